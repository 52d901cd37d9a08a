//! The RTP clock of an outgoing stream: one clock, although its sources have many.

use std::time::Instant;

use sluice_rtp::{Codec, MediaKind, Timestamp};

use crate::timeline::nanos_since;

/// Turns capture instants into outgoing RTP time where a new source begins.
///
/// Every seam is measured from the one anchor, the first packet of all. So the error of one seam is gone at the next, and
/// a thousand switches leave sound and picture where one switch does.
#[derive(Clone, Debug)]
pub(crate) struct OutClock {
    rate: u32,
    /// Ticks from frame to frame, smoothed. Seams fall on this grid, which hides the jitter of arrival times.
    interval: u32,
    learns: bool,
    /// The shortest step of a seam. A switch upwards shows one picture twice, small and large, and the second needs a time of
    /// its own: 1 ms in video, so that a hundred switches do not put off the picture by a hundred frames.
    least: u32,
    anchor: Option<(Instant, i64)>,
    /// The newest frame: the source's time, and the outgoing time in 64 bits.
    last: Option<(Timestamp, i64)>,
}

impl OutClock {
    pub(crate) fn new(codec: Codec) -> Self {
        let rate = codec.clock_rate();
        // Until more is known: video at 30 frames/s; audio packets of 20 ms, which is what WebRTC sends.
        let learns = codec.kind() == MediaKind::Video;
        let interval = if learns { rate / 30 } else { rate / 50 };
        // Sound is never shown twice, and packets of sound must not overlap.
        let least = if learns { rate / 1_000 } else { interval };
        OutClock { rate, interval, learns, least, anchor: None, last: None }
    }

    /// Notes the time of a packet of the present source that goes out.
    pub(crate) fn follow(&mut self, timestamp: Timestamp) {
        let Some((newest, out)) = &mut self.last else {
            return;
        };
        let Ok(step @ 1..) = u32::try_from(timestamp.distance(*newest)) else {
            return;
        };
        *newest = timestamp;
        *out += i64::from(step);
        // Below 10 frames/s the grid would move a seam further than the jitter that it hides.
        if self.learns && step <= self.rate / 10 {
            self.interval = (3 * self.interval + step) / 4;
        }
    }

    /// Begins a new source, strictly later than all that went out. Returns what to add to its times.
    pub(crate) fn seam(&mut self, timestamp: Timestamp, playout: Instant) -> u32 {
        let out = match (self.anchor, self.last) {
            (Some((anchor, start)), Some((_, newest))) => {
                let ideal = i128::from(start) + self.ticks(nanos_since(playout, anchor));
                newest.saturating_add(self.snap(ideal - i128::from(newest)))
            }
            _ => {
                let start = i64::from(timestamp.0);
                self.anchor = Some((playout, start));
                start
            }
        };
        self.last = Some((timestamp, out));
        // Wire time is the low 32 bits.
        (out as u32).wrapping_sub(timestamp.0)
    }

    fn ticks(&self, nanos: i64) -> i128 {
        i128::from(nanos) * i128::from(self.rate) / 1_000_000_000
    }

    /// The step nearest to `step` on the frame grid, but forward.
    fn snap(&self, step: i128) -> i64 {
        let interval = i128::from(self.interval.max(1));
        let snapped = (step + interval / 2).div_euclid(interval) * interval;
        i64::try_from(snapped.max(i128::from(self.least))).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn out(timestamp: Timestamp, shift: u32) -> u32 {
        timestamp.0.wrapping_add(shift)
    }

    #[test]
    fn errors_of_seams_do_not_pile_up() {
        let start = Instant::now();
        let mut clock = OutClock::new(Codec::Vp8);
        let mut truth = 0u32;
        let first = Timestamp(4_294_960_000);
        let shift = clock.seam(first, start);
        assert_eq!(out(first, shift), first.0, "the first source keeps its time");
        for seam in 1..500u32 {
            // Each source has its own origin; each seam comes 10 frames later and is judged up to 12 ms wrong.
            truth += 10 * 3_000;
            let source = Timestamp(seam.wrapping_mul(2_654_435_761));
            let error = Duration::from_millis(u64::from(seam % 13));
            let playout = start + Duration::from_nanos(u64::from(truth) * 1_000_000_000 / 90_000) + error;
            let shift = clock.seam(source, playout);
            let now = Timestamp(out(source, shift));
            assert_eq!(now.distance(first.advance(truth)), 0, "seam {seam}");
        }
    }

    #[test]
    fn a_seam_never_goes_back() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut clock = OutClock::new(Codec::Vp8);
        clock.seam(Timestamp(0), start);
        clock.follow(Timestamp(3_000));
        clock.follow(Timestamp(6_000));
        clock.follow(Timestamp(3_000));
        let shift = clock.seam(Timestamp(77), start - Duration::from_secs(50));
        assert_eq!(out(Timestamp(77), shift), 6_090, "a moment on, although the source says long ago");
    }

    #[test]
    fn a_long_pause_is_as_long_in_media_time() {
        let start = Instant::now();
        let mut clock = OutClock::new(Codec::Opus);
        clock.seam(Timestamp(5), start);
        // 30 hours: more than the 24.8 hours after which 32 bits at 48 kHz begin anew.
        let ticks = 30u64 * 3_600 * 48_000;
        let shift = clock.seam(Timestamp(1), start + Duration::from_secs(30 * 3_600));
        assert_eq!(out(Timestamp(1), shift), (ticks + 5) as u32);
    }

    #[test]
    fn slow_video_is_not_forced_onto_a_coarse_grid() {
        let start = Instant::now();
        let mut clock = OutClock::new(Codec::Vp8);
        clock.seam(Timestamp(0), start);
        for second in 1..=5 {
            clock.follow(Timestamp(second * 90_000));
        }
        let shift = clock.seam(Timestamp(0), start + Duration::from_millis(5_400));
        assert_eq!(out(Timestamp(0), shift), 5 * 90_000 + 12 * 3_000);
    }
}
