//! RTP time: a 32-bit clock that wraps (every 13 hours at 90 kHz, every day at 48 kHz).

/// An RTP timestamp in ticks of the codec's clock (RFC 3550, section 5.1). It wraps: a distance, but no total order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timestamp(pub u32);

impl Timestamp {
    /// How many ticks `self` is ahead of `other`, by the shorter way round: negative when it is behind.
    pub fn distance(self, other: Timestamp) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// Whether `self` is later than `other`, by the shorter way round.
    pub fn is_after(self, other: Timestamp) -> bool {
        self.distance(other) > 0
    }

    /// The time `ticks` later.
    pub fn advance(self, ticks: u32) -> Timestamp {
        Timestamp(self.0.wrapping_add(ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_across_the_wrap() {
        let before = Timestamp(u32::MAX - 1_000);
        let after = before.advance(3_000);
        assert!(after.is_after(before));
        assert_eq!(after.distance(before), 3_000);
        assert_eq!(before.distance(after), -3_000);
        assert!(!before.is_after(before));
    }
}
