//! Freezes of a received video, as `freezeCount` of WebRTC's statistics has them (webrtc-stats,
//! RTCInboundRtpStreamStats): a gap between two frames of at least max(3 x average, average + 150 ms), the average being that
//! of the last 30 gaps.
use std::time::{Duration, Instant};

const AVERAGED: usize = 30;
/// With fewer gaps than this there is no average to speak of.
const FEWEST: usize = 5;
const SLACK: Duration = Duration::from_millis(150);

#[derive(Debug, Clone, Default)]
pub(crate) struct FreezeMeter {
    last: Option<Instant>,
    /// Microseconds; the newest takes the oldest's place.
    gaps: [u32; AVERAGED],
    /// Of these.
    sum: u64,
    /// Gaps seen in all.
    count: usize,
}

impl FreezeMeter {
    /// A frame is complete. Returns how long the picture had stood still, if that was a freeze.
    pub(crate) fn frame(&mut self, now: Instant) -> Option<Duration> {
        let frozen = self.frozen(now);
        if let Some(last) = self.last.replace(now) {
            let gap = now.saturating_duration_since(last).as_micros();
            let gap = u32::try_from(gap).unwrap_or(u32::MAX);
            let oldest = std::mem::replace(&mut self.gaps[self.count % AVERAGED], gap);
            self.sum = self.sum + u64::from(gap) - u64::from(oldest);
            self.count += 1;
        }
        frozen
    }

    /// How long the picture stands still by now, if that is a freeze already.
    pub(crate) fn frozen(&self, now: Instant) -> Option<Duration> {
        let gap = now.saturating_duration_since(self.last?);
        if self.count < FEWEST {
            return None;
        }
        let average = Duration::from_micros(self.sum / self.count.min(AVERAGED) as u64);
        (gap >= (average * 3).max(average + SLACK)).then_some(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames after these many milliseconds each; the freezes.
    fn freezes(gaps: impl IntoIterator<Item = u64>) -> Vec<u128> {
        let mut meter = FreezeMeter::default();
        let mut now = Instant::now();
        let mut found = Vec::new();
        meter.frame(now);
        for gap in gaps {
            now += Duration::from_millis(gap);
            found.extend(meter.frame(now).map(|frozen| frozen.as_millis()));
        }
        found
    }

    fn steady(gap: u64) -> impl Iterator<Item = u64> {
        std::iter::repeat_n(gap, 60)
    }

    #[test]
    fn jitter_is_no_freeze_and_a_long_gap_is_one() {
        assert_eq!(freezes(steady(33).chain([80, 2, 33, 120, 1])), [] as [u128; 0]);
        // 33 + 150 is more than 3 x 33.
        assert_eq!(freezes(steady(33).chain([182])), [] as [u128; 0]);
        assert_eq!(freezes(steady(33).chain([184, 33, 500])), [184, 500]);
    }

    #[test]
    fn a_slow_picture_may_wait_for_three_of_its_own_gaps() {
        assert_eq!(freezes(steady(200).chain([550])), [] as [u128; 0]);
        assert_eq!(freezes(steady(200).chain([601])), [601]);
    }

    #[test]
    fn nothing_is_judged_before_there_is_an_average() {
        assert_eq!(freezes([33, 33, 900]), [] as [u128; 0]);
    }

    #[test]
    fn a_picture_that_never_comes_back_is_frozen_too() {
        let mut meter = FreezeMeter::default();
        let mut now = Instant::now();
        assert_eq!(meter.frozen(now), None);
        for _ in 0..40 {
            now += Duration::from_millis(33);
            meter.frame(now);
        }
        assert_eq!(meter.frozen(now + Duration::from_millis(100)), None);
        assert_eq!(meter.frozen(now + Duration::from_secs(3)), Some(Duration::from_secs(3)));
    }
}
