//! Receivers that lie, stutter or shout: the estimator neither panics, nor loops, nor leaves its limits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sluice_bwe::{Action, Estimator, Limits};
use sluice_rtp::Bitrate;

#[derive(Clone, Debug)]
enum Event {
    Send {
        packets: u8,
        size: u16,
    },
    Wait {
        millis: u32,
    },
    Garbage(Vec<u8>),
    /// A well-formed head and chunks, with whatever behind.
    Plausible {
        base: u16,
        count: u16,
        reference: u32,
        chunks: Vec<u16>,
        deltas: Vec<u8>,
    },
    Rtt(u64),
    Wish {
        allocated: u64,
        desired: u64,
    },
    NewPath,
}

fn event() -> impl Strategy<Value = Event> {
    let plausible = (
        0u16..400,
        any::<u16>(),
        prop_oneof![0u32..50, any::<u32>()],
        prop::collection::vec(any::<u16>(), 0..20),
        prop::collection::vec(any::<u8>(), 0..300),
    );
    prop_oneof![
        8 => (any::<u8>(), any::<u16>()).prop_map(|(packets, size)| Event::Send { packets, size }),
        4 => (0u32..200).prop_map(|millis| Event::Wait { millis }),
        1 => any::<u32>().prop_map(|millis| Event::Wait { millis }),
        2 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Event::Garbage),
        8 => plausible.prop_map(|(base, count, reference, chunks, deltas)| {
            Event::Plausible { base, count, reference, chunks, deltas }
        }),
        1 => any::<u64>().prop_map(Event::Rtt),
        2 => (any::<u64>(), any::<u64>()).prop_map(|(allocated, desired)| Event::Wish { allocated, desired }),
        2 => (0u64..1_000, 0u64..5_000_000).prop_map(|(allocated, desired)| Event::Wish { allocated, desired }),
        1 => Just(Event::NewPath),
    ]
}

fn write(base: u16, count: u16, reference: u32, chunks: &[u16], deltas: &[u8]) -> Vec<u8> {
    let mut fci = Vec::new();
    fci.extend(base.to_be_bytes());
    fci.extend(count.to_be_bytes());
    fci.extend(&reference.to_be_bytes()[1..]);
    fci.push(0);
    fci.extend(chunks.iter().flat_map(|chunk| chunk.to_be_bytes()));
    fci.extend(deltas);
    fci
}

/// Polls until nothing is wanted, and counts what that sent.
fn settle(estimator: &mut Estimator, now: Instant, packets: &mut u64) {
    for _ in 0..10 {
        match estimator.poll(now) {
            Some(Action::Pad { bytes }) => {
                assert!(bytes < 100_000, "{bytes} bytes at once");
                estimator.on_sent(now, bytes, true);
                *packets += 1;
            }
            None => {
                assert!(estimator.deadline().is_none_or(|deadline| deadline > now), "nothing due is left");
                return;
            }
        }
    }
    panic!("poll never ends");
}

proptest! {
    // A file beside an integration test is where nobody looks; the failing case is printed.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_that_a_receiver_says_breaks_it(events in prop::collection::vec(event(), 0..120)) {
        let mut now = Instant::now();
        let limits = Limits::default();
        let mut estimator = Estimator::new(now, Bitrate::kbps(500));
        let mut packets = 0u64;
        for event in events {
            match event {
                Event::Send { packets: some, size } => {
                    for _ in 0..some {
                        prop_assert_eq!(estimator.on_sent(now, usize::from(size), false), packets as u16);
                        packets += 1;
                    }
                }
                Event::Wait { millis } => now += Duration::from_millis(u64::from(millis)),
                Event::Garbage(bytes) => drop(estimator.on_feedback(now, &bytes)),
                Event::Plausible { base, count, reference, chunks, deltas } => {
                    let base = (packets as u16).wrapping_sub(base);
                    let fci = write(base, count, reference, &chunks, &deltas);
                    if let Ok(told) = estimator.on_feedback(now, &fci) {
                        prop_assert!(u64::from(told.received) + u64::from(told.lost) <= packets.min(2_048));
                        let again = estimator.on_feedback(now, &fci).unwrap();
                        prop_assert_eq!((again.received, again.lost), (0, 0), "repeats are no news");
                    }
                }
                Event::Rtt(micros) => estimator.on_rtt(Duration::from_micros(micros)),
                Event::Wish { allocated, desired } => {
                    estimator.set_wish(now, Bitrate::bps(allocated), Bitrate::bps(desired));
                }
                Event::NewPath => estimator.on_path_change(now),
            }
            settle(&mut estimator, now, &mut packets);
            let estimate = estimator.estimate();
            prop_assert!(estimate >= limits.min && estimate <= limits.max, "{estimate}");
            prop_assert!(estimator.loss().is_none_or(|loss| (0.0..=1.0).contains(&loss)));
            prop_assert!(estimator.rtt().is_none_or(|rtt| rtt <= Duration::from_secs(2)));
        }
    }
}
