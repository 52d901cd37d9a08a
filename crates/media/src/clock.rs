//! Wall-clock time as RTCP has it, derived from the time that the caller tells.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds from 1900, where NTP begins, to 1970 (RFC 5905 section 6).
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// Ties the caller's time to the wall's. Made once: a wall clock that is set later must not move the timestamps of a call.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    now: Instant,
    wall: Duration,
}

impl Clock {
    /// `wall` is what a wall clock shows at `now`.
    #[must_use]
    pub fn new(now: Instant, wall: SystemTime) -> Self {
        Clock { now, wall: wall.duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    fn since_1970(&self, at: Instant) -> Duration {
        match at.checked_duration_since(self.now) {
            Some(later) => self.wall + later,
            None => self.wall.saturating_sub(self.now.saturating_duration_since(at)),
        }
    }

    /// The next time from `at` on that is a multiple of `step` since the clock was made. Sessions that share a clock so have
    /// their deadlines together: one wake-up serves them all.
    #[must_use]
    pub fn together(&self, at: Instant, step: Duration) -> Instant {
        let since = at.saturating_duration_since(self.now).as_nanos();
        let over = since % step.as_nanos().max(1);
        match u64::try_from(step.as_nanos() - over) {
            Ok(left) if over > 0 => at + Duration::from_nanos(left),
            _ => at,
        }
    }

    /// 32 bits of seconds since 1900, 32 of their fraction (RFC 3550 section 4).
    #[must_use]
    pub fn ntp(&self, at: Instant) -> u64 {
        let since = self.since_1970(at);
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        // The seconds wrap in 2036, as the field does.
        (since.as_secs() + NTP_TO_UNIX) << 32 | fraction
    }

    /// The middle 32 bits of [`Self::ntp`], which reports echo.
    #[must_use]
    pub fn compact(&self, at: Instant) -> u32 {
        (self.ntp(at) >> 16) as u32
    }

    /// 64ths of seconds with 18 bits of fraction, 24 bits in all: the abs-send-time header extension.
    #[must_use]
    pub fn send_time(&self, at: Instant) -> u32 {
        (self.ntp(at) >> 14) as u32 & 0x00ff_ffff
    }
}

/// What a peer's NTP timestamp says.
#[must_use]
pub fn wall_clock(ntp: u64) -> SystemTime {
    let nanos = ((ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
    let seconds = (ntp >> 32).saturating_sub(NTP_TO_UNIX);
    UNIX_EPOCH + Duration::new(seconds, u32::try_from(nanos).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_meet() {
        let now = Instant::now();
        let clock = Clock::new(now, UNIX_EPOCH);
        let at = |ms| now + Duration::from_millis(ms);
        let step = Duration::from_millis(10);
        assert_eq!([1, 9, 10, 11].map(|ms| clock.together(at(ms), step)), [at(10), at(10), at(10), at(20)]);
        assert_eq!(clock.together(at(7), Duration::ZERO), at(7));
    }

    #[test]
    fn time_goes_there_and_back() {
        let now = Instant::now();
        let wall = UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        let clock = Clock::new(now, wall);
        let later = Duration::from_millis(1_500);
        assert_eq!(wall_clock(clock.ntp(now)), wall);
        assert_eq!(wall_clock(clock.ntp(now + later)), wall + later);
        assert_eq!(
            clock.compact(now + later).wrapping_sub(clock.compact(now)),
            98_304,
            "65,536ths of a second"
        );
        assert_eq!(clock.send_time(now + later).wrapping_sub(clock.send_time(now)) & 0xff_ffff, 393_216);
    }
}
