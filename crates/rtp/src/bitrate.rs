//! Bits per second as a type, so that nobody has to ask "bps or kbps?".

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// A rate in bits per second. Arithmetic saturates at zero and at [`Bitrate::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bitrate(u64);

impl Bitrate {
    /// Nothing at all.
    pub const ZERO: Bitrate = Bitrate(0);
    /// More than any link carries; stands for "no limit".
    pub const MAX: Bitrate = Bitrate(u64::MAX);

    /// A rate of so many bits per second.
    pub const fn bps(bits: u64) -> Self {
        Bitrate(bits)
    }

    /// A rate of so many thousand bits per second.
    pub const fn kbps(kilobits: u64) -> Self {
        Bitrate(kilobits.saturating_mul(1_000))
    }

    /// The rate at which `bytes` bytes flow in `time`; zero when no time has passed.
    pub fn of_bytes(bytes: u64, time: Duration) -> Self {
        let nanos = time.as_nanos();
        if nanos == 0 {
            return Bitrate::ZERO;
        }
        let bits = u128::from(bytes) * 8 * 1_000_000_000 / nanos;
        Bitrate(u64::try_from(bits).unwrap_or(u64::MAX))
    }

    /// Bits per second.
    pub const fn as_bps(self) -> u64 {
        self.0
    }

    /// Thousands of bits per second, rounded down.
    pub const fn as_kbps(self) -> u64 {
        self.0 / 1_000
    }

    /// `percent` hundredths of this rate.
    pub fn percent(self, percent: u32) -> Self {
        let bits = u128::from(self.0) * u128::from(percent) / 100;
        Bitrate(u64::try_from(bits).unwrap_or(u64::MAX))
    }
}

impl Add for Bitrate {
    type Output = Bitrate;
    fn add(self, other: Bitrate) -> Bitrate {
        Bitrate(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bitrate {
    fn add_assign(&mut self, other: Bitrate) {
        *self = *self + other;
    }
}

impl Sub for Bitrate {
    type Output = Bitrate;
    fn sub(self, other: Bitrate) -> Bitrate {
        Bitrate(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Bitrate {
    fn sub_assign(&mut self, other: Bitrate) {
        *self = *self - other;
    }
}

impl Sum for Bitrate {
    fn sum<I: Iterator<Item = Bitrate>>(rates: I) -> Bitrate {
        rates.fold(Bitrate::ZERO, Add::add)
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(f, "{} bit/s", self.0),
            1_000..10_000_000 => write!(f, "{} kbit/s", self.0 / 1_000),
            _ => write!(f, "{} Mbit/s", self.0 / 1_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_a_time_make_a_rate() {
        assert_eq!(Bitrate::of_bytes(1_250, Duration::from_millis(10)), Bitrate::kbps(1_000));
        assert_eq!(Bitrate::of_bytes(1_250, Duration::ZERO), Bitrate::ZERO);
        assert_eq!(Bitrate::of_bytes(u64::MAX, Duration::from_nanos(1)), Bitrate::MAX);
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Bitrate::bps(1) - Bitrate::bps(2), Bitrate::ZERO);
        assert_eq!(Bitrate::MAX + Bitrate::bps(1), Bitrate::MAX);
        assert_eq!(Bitrate::MAX.percent(200), Bitrate::MAX);
        assert_eq!(Bitrate::kbps(200).percent(90), Bitrate::kbps(180));
    }

    #[test]
    fn it_reads_well_in_a_log() {
        let shown: Vec<_> = [999, 1_500, 2_500_000, 25_000_000].map(|b| Bitrate::bps(b).to_string()).into();
        assert_eq!(shown, ["999 bit/s", "1 kbit/s", "2500 kbit/s", "25 Mbit/s"]);
    }
}
