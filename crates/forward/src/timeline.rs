//! When was this captured? Maps the RTP time of each layer of a publication to one common clock.
//!
//! Layers of one camera have clocks with unlike origins. Sender reports tie them to the sender's wall clock; until they come,
//! the arrival of the fastest packets has to do. One [`Timeline`] stands at each publication, on the publisher's side, so
//! that a packet is mapped once, however many subscribers it has.

use std::time::{Duration, Instant, SystemTime};

use sluice_rtp::Timestamp;

use crate::MAX_LAYERS;

/// Beyond this a clock has jumped rather than drifted: start again from the arrival. Smaller would restart on a long network
/// stall; larger would leave a picture frozen for as long after a publisher's clock was set.
const JUMP: i64 = 5_000_000_000;

/// How slowly a mapping follows arrivals that come late. Late arrivals are mostly queueing; only drift lasts.
const DRIFT_DIVISOR: i64 = 256;

/// Each report moves the wall clock's tie to ours by this part of its error: drift is followed, jitter is not.
const REPORT_DIVISOR: i64 = 16;

/// Maps the packets of one publication to capture instants that can be compared across its layers.
#[derive(Clone, Debug)]
pub struct Timeline {
    clock_rate: u32,
    layers: [Option<LayerClock>; MAX_LAYERS],
    /// One instant of the sender's wall clock and the same instant of ours.
    tie: Option<(SystemTime, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct LayerClock {
    /// From arrivals: this RTP time was captured then (plus the shortest way here).
    arrival: (Timestamp, Instant),
    /// From the latest sender report.
    report: Option<(Timestamp, Instant)>,
}

impl Timeline {
    /// A timeline for a codec with `clock_rate` ticks per second.
    pub fn new(clock_rate: u32) -> Self {
        Timeline { clock_rate: clock_rate.max(1), layers: [None; MAX_LAYERS], tie: None }
    }

    /// The instant at which the frame at `timestamp` of `layer` was captured, up to a constant that all layers share.
    ///
    /// Layers from [`MAX_LAYERS`] on are not followed; `arrived` comes back for them.
    pub fn playout(&mut self, layer: u8, timestamp: Timestamp, arrived: Instant) -> Instant {
        let rate = self.clock_rate;
        let Some(slot) = self.layers.get_mut(usize::from(layer)) else {
            return arrived;
        };
        let clock = slot.get_or_insert(LayerClock { arrival: (timestamp, arrived), report: None });
        let predicted = at(clock.arrival, timestamp, rate);
        let late = nanos_since(arrived, predicted);
        if late.abs() > JUMP {
            *clock = LayerClock { arrival: (timestamp, arrived), report: None };
            return arrived;
        }
        if late < 0 {
            clock.arrival = (timestamp, arrived);
        } else if timestamp.is_after(clock.arrival.0) {
            clock.arrival = (timestamp, shift(predicted, late / DRIFT_DIVISOR));
        }
        let by_arrival = at(clock.arrival, timestamp, rate);
        match clock.report.map(|report| at(report, timestamp, rate)) {
            Some(by_report) if nanos_since(by_report, by_arrival).abs() <= JUMP => by_report,
            _ => by_arrival,
        }
    }

    /// Takes in a sender report of `layer` (RFC 3550, section 6.4.1): at `wall_clock` of the sender its RTP time was `timestamp`.
    ///
    /// A report that comes before the first packet of its layer is left aside; the next one follows within seconds.
    pub fn on_sender_report(&mut self, layer: u8, wall_clock: SystemTime, timestamp: Timestamp) {
        let rate = self.clock_rate;
        let Some(Some(clock)) = self.layers.get_mut(usize::from(layer)) else {
            return;
        };
        let by_arrival = at(clock.arrival, timestamp, rate);
        let mut instant = by_arrival;
        let tied = self.tie.and_then(|(wall, ours)| Some(shift(ours, signed_nanos(wall_clock, wall)?)));
        match tied {
            Some(tied) if nanos_since(by_arrival, tied).abs() <= JUMP => {
                instant = shift(tied, nanos_since(by_arrival, tied) / REPORT_DIVISOR);
            }
            Some(_) => {
                // The sender's wall clock was set: reports from before no longer compare with this one.
                self.layers.iter_mut().flatten().for_each(|clock| clock.report = None);
            }
            None => {}
        }
        self.tie = Some((wall_clock, instant));
        if let Some(Some(clock)) = self.layers.get_mut(usize::from(layer)) {
            clock.report = Some((timestamp, instant));
        }
    }
}

/// The instant of `timestamp` on a clock that passes through `known`.
fn at(known: (Timestamp, Instant), timestamp: Timestamp, rate: u32) -> Instant {
    let ticks = i64::from(timestamp.distance(known.0));
    shift(known.1, ticks * 1_000_000_000 / i64::from(rate))
}

/// `a - b` in nanoseconds, signed, and cut to 64 bits.
pub(crate) fn nanos_since(a: Instant, b: Instant) -> i64 {
    let cut = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    match a.checked_duration_since(b) {
        Some(ahead) => cut(ahead),
        None => -cut(b.duration_since(a)),
    }
}

fn signed_nanos(a: SystemTime, b: SystemTime) -> Option<i64> {
    match a.duration_since(b) {
        Ok(ahead) => i64::try_from(ahead.as_nanos()).ok(),
        Err(behind) => i64::try_from(behind.duration().as_nanos()).ok().map(|nanos| -nanos),
    }
}

/// `instant` moved by so many nanoseconds; left alone where the clock cannot show the result.
fn shift(instant: Instant, nanos: i64) -> Instant {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    let moved = if nanos < 0 { instant.checked_sub(distance) } else { instant.checked_add(distance) };
    moved.unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: Duration = Duration::from_millis(33);

    fn millis_apart(a: Instant, b: Instant) -> i64 {
        nanos_since(a, b) / 1_000_000
    }

    #[test]
    fn reports_tie_layers_together_exactly_although_one_comes_late() {
        let start = Instant::now() + Duration::from_secs(1_000);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut timeline = Timeline::new(90_000);
        let low = |ms: u32| Timestamp(1_000u32.wrapping_add(ms * 90));
        let high = |ms: u32| Timestamp(4_294_900_000u32.wrapping_add(ms * 90));
        // The high layer takes 40 ms longer on its way.
        timeline.playout(0, low(0), start);
        timeline.playout(1, high(0), start + Duration::from_millis(40));
        let before = timeline.playout(1, high(33), start + Duration::from_millis(73));
        assert_eq!(millis_apart(before, start + FRAME), 40, "arrivals cannot know better");

        timeline.on_sender_report(0, wall, low(0));
        timeline.on_sender_report(1, wall + Duration::from_millis(500), high(500));
        let low_at = timeline.playout(0, low(66), start + Duration::from_millis(66));
        let high_at = timeline.playout(1, high(66), start + Duration::from_millis(106));
        assert!(millis_apart(high_at, low_at).abs() <= 3, "{} ms apart", millis_apart(high_at, low_at));
    }

    #[test]
    fn jitter_does_not_move_the_clock() {
        let start = Instant::now() + Duration::from_secs(1_000);
        let mut timeline = Timeline::new(90_000);
        for frame in 0..300u32 {
            let sent = FRAME * frame;
            let delay = Duration::from_millis(u64::from(frame % 7) * 10);
            let at = timeline.playout(0, Timestamp(frame * 2_970), start + sent + delay);
            assert!(millis_apart(at, start + sent).abs() <= 1, "frame {frame}");
        }
    }

    #[test]
    fn a_sender_whose_clock_runs_fast_is_followed_for_hours() {
        let start = Instant::now() + Duration::from_secs(1_000);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut timeline = Timeline::new(90_000);
        for second in 0..10_000u32 {
            // 200 millionths too fast: two seconds in ten thousand.
            let sent = Duration::from_nanos(u64::from(second) * 1_000_200_000);
            let arrived = start + Duration::from_secs(u64::from(second));
            let ticks = (sent.as_nanos() * 90_000 / 1_000_000_000) as u32;
            let at = timeline.playout(0, Timestamp(ticks), arrived);
            timeline.on_sender_report(0, wall + sent, Timestamp(ticks));
            assert!(
                millis_apart(at, arrived).abs() < 100,
                "{} ms after {second} s",
                millis_apart(at, arrived)
            );
        }
    }

    #[test]
    fn a_clock_that_jumps_starts_again_at_its_arrival() {
        let start = Instant::now() + Duration::from_secs(1_000);
        let mut timeline = Timeline::new(90_000);
        timeline.playout(0, Timestamp(0), start);
        let later = start + FRAME;
        assert_eq!(timeline.playout(0, Timestamp(90_000 * 60), later), later);
        assert_eq!(timeline.playout(0, Timestamp(90_000 * 60 + 2_970), later + FRAME), later + FRAME);
    }

    #[test]
    fn a_wall_clock_that_is_set_does_not_tear_the_layers_apart() {
        let start = Instant::now() + Duration::from_secs(1_000);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut timeline = Timeline::new(90_000);
        timeline.playout(0, Timestamp(0), start);
        timeline.playout(1, Timestamp(500), start);
        timeline.on_sender_report(0, wall, Timestamp(0));
        timeline.on_sender_report(1, wall - Duration::from_secs(3_600), Timestamp(500));
        let low = timeline.playout(0, Timestamp(2_970), start + FRAME);
        let high = timeline.playout(1, Timestamp(3_470), start + FRAME);
        assert!(millis_apart(low, high).abs() <= 1);
    }

    proptest! {
        #[test]
        fn hostile_times_never_panic(
            steps in proptest::collection::vec((0u8..6, any::<u32>(), 0u64..10_000, any::<bool>(), any::<u32>()), 1..60),
        ) {
            let mut now = Instant::now();
            let mut timeline = Timeline::new(90_000);
            for (layer, timestamp, millis, report, wall) in steps {
                now += Duration::from_millis(millis);
                if report {
                    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(wall));
                    timeline.on_sender_report(layer, wall, Timestamp(timestamp));
                }
                let at = timeline.playout(layer, Timestamp(timestamp), now);
                prop_assert!(nanos_since(at, now).abs() <= 2 * JUMP);
            }
        }
    }
}
