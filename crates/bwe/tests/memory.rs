//! What an estimator takes: nothing more per packet once it runs, and little when it rests.
#![allow(clippy::unwrap_used, reason = "a panic here is the report")]

use std::alloc::System;
use std::time::{Duration, Instant};

use sluice_bwe::Estimator;
use sluice_rtp::Bitrate;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PACKETS: u16 = 30;

/// What the test harness may allocate meanwhile, in bytes.
const HARNESS: i64 = 2_048;

/// A tenth of a second: 30 packets, each 3 ms apart on both sides, and feedback about them.
fn round(estimator: &mut Estimator, now: Instant, number: u64) {
    let mut fci = [0u8; 10 + PACKETS as usize];
    for packet in 0..PACKETS {
        let seq = estimator.on_sent(now + Duration::from_millis(3 * u64::from(packet)), 1_200, false);
        if packet == 0 {
            fci[..2].copy_from_slice(&seq.to_be_bytes());
        }
    }
    let micros = 100_000 * number;
    fci[2..4].copy_from_slice(&PACKETS.to_be_bytes());
    fci[4..7].copy_from_slice(&((micros / 64_000) as u32).to_be_bytes()[1..]);
    fci[8..10].copy_from_slice(&(0x2000 | PACKETS).to_be_bytes());
    fci[10..].fill(12);
    fci[10] = (micros % 64_000 / 250) as u8;
    let told = estimator.on_feedback(now + Duration::from_millis(100), &fci).unwrap();
    assert_eq!((told.received, told.lost), (u32::from(PACKETS), 0));
    assert_eq!(estimator.poll(now + Duration::from_millis(100)), None);
}

#[test]
fn packets_allocate_nothing_and_idleness_gives_back() {
    let start = Instant::now();
    let region = Region::new(ALLOCATOR);
    let mut estimator = Estimator::new(start, Bitrate::kbps(3_000));
    assert!(size_of::<Estimator>() <= 1_024);

    let at = |number: u64| start + Duration::from_millis(100 * number);
    (0..50).for_each(|number| round(&mut estimator, at(number), number));
    // The test harness has a thread of its own that allocates now and then: the best of ten is ours alone.
    let stretch = |first: u64| {
        let steady = Region::new(ALLOCATOR);
        (first..first + 100).for_each(|number| round(&mut estimator, at(number), number));
        let change = steady.change();
        change.allocations + change.reallocations + change.deallocations
    };
    assert_eq!((0..10).map(|part| 50 + 100 * part).map(stretch).min(), Some(0));

    // Nobody answers any more: what is in flight grows to its bound, and is given back when the sending ends.
    let last = at(1_050);
    let busy = region.change();
    for _ in 0..10_000 {
        estimator.on_sent(last, 1_200, false);
    }
    let full = region.change();
    estimator.poll(last + Duration::from_secs(60));
    let idle = region.change();
    let held = |from: &Stats, to: &Stats| {
        let grown = to.bytes_allocated as i64 - from.bytes_allocated as i64;
        grown - (to.bytes_deallocated as i64 - from.bytes_deallocated as i64)
    };
    let grown = held(&busy, &full);
    assert!((8_192..=16_384 + HARNESS).contains(&grown), "{grown} bytes more");
    assert!(held(&full, &idle) <= HARNESS - grown, "{} bytes given back", -held(&full, &idle));
}
