//! RTP sequence numbers: 16 bits on the wire, 64 bits once unwrapped.

/// A 16-bit RTP sequence number (RFC 3550, section 5.1). It wraps, so it has a distance but no total order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seq(pub u16);

impl Seq {
    /// How far `self` is ahead of `other`, by the shorter way round: negative when it is behind.
    pub fn distance(self, other: Seq) -> i16 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// Whether `self` comes after `other`, by the shorter way round.
    pub fn is_after(self, other: Seq) -> bool {
        self.distance(other) > 0
    }

    /// The number `steps` later.
    pub fn advance(self, steps: u16) -> Seq {
        Seq(self.0.wrapping_add(steps))
    }
}

/// Extends the numbers of one stream to 64 bits, so that the rest of the program can compare and subtract them.
///
/// The first number becomes `65_536 + number`: packets that came out of order before it still have room below.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeqUnwrapper {
    highest: Option<u64>,
}

impl SeqUnwrapper {
    /// The extended number of `seq`: the one nearest to the highest number seen so far.
    pub fn unwrap(&mut self, seq: Seq) -> u64 {
        let Some(highest) = self.highest else {
            let first = 65_536 + u64::from(seq.0);
            self.highest = Some(first);
            return first;
        };
        // The low 16 bits of `highest` are the wire number that it came from.
        let step = seq.distance(Seq((highest & 0xffff) as u16));
        let extended = highest.saturating_add_signed(i64::from(step));
        self.highest = Some(highest.max(extended));
        extended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_shorter_way_round_decides() {
        assert!(Seq(0).is_after(Seq(65_535)));
        assert!(!Seq(65_535).is_after(Seq(0)));
        assert_eq!(Seq(3).distance(Seq(65_534)), 5);
        assert_eq!(Seq(65_535).advance(2), Seq(1));
    }

    #[test]
    fn a_late_packet_before_the_first_one_keeps_its_place() {
        let mut numbers = SeqUnwrapper::default();
        assert_eq!(numbers.unwrap(Seq(1)), 65_537);
        assert_eq!(numbers.unwrap(Seq(65_535)), 65_535);
        assert_eq!(numbers.unwrap(Seq(2)), 65_538);
    }

    proptest! {
        #[test]
        fn steps_shorter_than_half_the_circle_are_followed_exactly(
            start: u16,
            steps in proptest::collection::vec(-2_000i64..30_000, 1..200),
        ) {
            let mut numbers = SeqUnwrapper::default();
            let mut truth = numbers.unwrap(Seq(start));
            let mut highest = truth;
            for step in steps {
                truth = highest.saturating_add_signed(step);
                prop_assert_eq!(numbers.unwrap(Seq((truth & 0xffff) as u16)), truth);
                highest = highest.max(truth);
            }
            let _ = truth;
        }
    }
}
