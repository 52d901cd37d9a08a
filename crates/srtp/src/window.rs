//! Which packet of a stream a number means, and whether it came before (RFC 3711 section 3.3).

/// Bits of a word.
const BITS: u64 = u64::BITS as u64;
/// Half of the sequence numbers.
const HALF: u16 = 1 << 15;

/// What was received of one stream, `WORDS` × 64 indices back from the highest: the replay list of RFC 3711 section 3.3.2.
///
/// Ask [`Self::is_fresh`] before a packet is opened, and [`Self::accept`] it afterwards: what is not authentic must leave no
/// trace. Keep one for each SSRC, and only once a packet of it was authentic: anybody can invent an SSRC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window<const WORDS: usize> {
    /// The highest authentic index, once there was one.
    highest: Option<u64>,
    /// A ring: the bit of an index is the index modulo the width. Bits above the highest are those of a width ago.
    seen: [u64; WORDS],
}

/// For an RTP stream: 1,024 packets, because one that was asked for again comes late in a busy stream.
pub type RtpWindow = Window<16>;
/// For the RTCP of one sender: 128 packets. Its index is in the packet, see [`Opener::rtcp_index`](crate::Opener::rtcp_index).
pub type RtcpWindow = Window<2>;

impl<const WORDS: usize> Window<WORDS> {
    /// How far back it remembers.
    pub const WIDTH: u64 = WORDS as u64 * BITS;

    /// The window of a stream that nothing came of.
    #[must_use]
    pub const fn new() -> Self {
        Window { highest: None, seen: [0; WORDS] }
    }

    /// Whether a packet with this index may be opened: it was not accepted, and is not too old to tell.
    #[must_use]
    pub fn is_fresh(&self, index: u64) -> bool {
        match self.highest {
            Some(highest) if index <= highest => {
                highest - index < Self::WIDTH && self.seen[word_of(index, WORDS)] & bit_of(index) == 0
            }
            _ => true,
        }
    }

    /// Remembers an authentic packet. One that is too old changes nothing.
    pub fn accept(&mut self, index: u64) {
        match self.highest {
            Some(highest) if index <= highest => {
                if highest - index >= Self::WIDTH {
                    return;
                }
            }
            Some(highest) => {
                self.pass(highest, index);
                self.highest = Some(index);
            }
            None => self.highest = Some(index),
        }
        self.seen[word_of(index, WORDS)] |= bit_of(index);
    }

    /// Forgets what the bits above `from`, up to `to`, meant a width ago.
    fn pass(&mut self, from: u64, to: u64) {
        if to - from >= Self::WIDTH {
            self.seen = [0; WORDS];
            return;
        }
        let first = from + 1;
        for word in first / BITS..=to / BITS {
            let from = if word == first / BITS { first % BITS } else { 0 };
            let to = if word == to / BITS { to % BITS } else { BITS - 1 };
            let passed = u64::MAX << from & u64::MAX >> (BITS - 1 - to);
            self.seen[(word % WORDS as u64) as usize] &= !passed;
        }
    }
}

impl RtpWindow {
    /// The index that a sequence number means: the one nearest to the highest accepted (RFC 3711 section 3.3.1 and
    /// appendix A). The first packet's roll-over counter is zero.
    ///
    /// None if it would be before the first roll-over or above 48 bits: no packet has such an index.
    #[must_use]
    pub fn estimate(&self, sequence: u16) -> Option<u64> {
        let Some(highest) = self.highest else { return Some(sequence.into()) };
        let (roll_overs, last) = ((highest >> 16) as u32, highest as u16);
        let roll_overs = if last < HALF && sequence.saturating_sub(last) > HALF {
            roll_overs.checked_sub(1)?
        } else if last >= HALF && sequence < last - HALF {
            roll_overs.checked_add(1)?
        } else {
            roll_overs
        };
        Some(u64::from(roll_overs) << 16 | u64::from(sequence))
    }
}

impl<const WORDS: usize> Default for Window<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

fn word_of(index: u64, words: usize) -> usize {
    (index / BITS % words as u64) as usize
}

fn bit_of(index: u64) -> u64 {
    1 << (index % BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn after<const WORDS: usize>(accepted: &[u64]) -> Window<WORDS> {
        let mut window = Window::new();
        accepted.iter().for_each(|index| window.accept(*index));
        window
    }

    #[test]
    fn a_packet_comes_once() {
        let mut window = RtpWindow::new();
        assert!(window.is_fresh(40_000));
        window.accept(40_000);
        assert!(!window.is_fresh(40_000));
        assert!(window.is_fresh(39_999) && window.is_fresh(40_001));
    }

    #[test]
    fn late_packets_are_taken_as_far_back_as_it_is_wide() {
        let rtp: RtpWindow = after(&[5_000]);
        assert!(rtp.is_fresh(5_000 - 1_023));
        assert!(!rtp.is_fresh(5_000 - 1_024));
        let rtcp: RtcpWindow = after(&[5_000]);
        assert!(rtcp.is_fresh(5_000 - 127));
        assert!(!rtcp.is_fresh(5_000 - 128));
    }

    #[test]
    fn too_old_a_packet_takes_nobodys_place() {
        let mut window: RtcpWindow = after(&[5_000]);
        window.accept(5_000 - 128);
        assert_eq!(window, after(&[5_000]));
        window.accept(4_990);
        assert!(!window.is_fresh(4_990) && window.is_fresh(4_991));
    }

    #[test]
    fn no_index_is_too_high_to_remember() {
        let mut window: RtcpWindow = after(&[u64::MAX - 1]);
        window.accept(u64::MAX);
        assert!(
            !window.is_fresh(u64::MAX) && !window.is_fresh(u64::MAX - 1) && window.is_fresh(u64::MAX - 2)
        );
    }

    #[test]
    fn the_first_packet_has_no_roll_over() {
        assert_eq!(RtpWindow::new().estimate(65_535), Some(65_535));
        assert_eq!(after::<16>(&[65_535]).estimate(0), Some(65_536));
    }

    #[test]
    fn numbers_roll_over_both_ways() {
        let window: RtpWindow = after(&[3 << 16 | 2]);
        assert_eq!(window.estimate(3), Some(3 << 16 | 3));
        assert_eq!(window.estimate(65_534), Some(2 << 16 | 65_534));
        let window: RtpWindow = after(&[3 << 16 | 65_534]);
        assert_eq!(window.estimate(65_533), Some(3 << 16 | 65_533));
        assert_eq!(window.estimate(2), Some(4 << 16 | 2));
    }

    #[test]
    fn nothing_is_before_the_first_packet_or_behind_the_last() {
        assert_eq!(after::<16>(&[2]).estimate(65_534), None);
        assert_eq!(after::<16>(&[(1 << 48) - 1]).estimate(0), None);
    }

    #[test]
    fn halfway_the_roll_over_stays() {
        assert_eq!(after::<16>(&[1 << 16]).estimate(HALF), Some(1 << 16 | u64::from(HALF)));
        assert_eq!(after::<16>(&[1 << 16 | u64::from(HALF)]).estimate(0), Some(1 << 16));
    }

    /// The same, told by everything that was ever accepted.
    #[derive(Default)]
    struct Naive(BTreeSet<u64>);

    impl Naive {
        fn is_fresh(&self, index: u64, width: u64) -> bool {
            !self.0.contains(&index) && self.0.last().is_none_or(|highest| index + width > *highest)
        }

        fn estimate(&self, sequence: u16) -> Option<u64> {
            let Some(highest) = self.0.last().map(|highest| *highest as i64) else {
                return Some(sequence.into());
            };
            let same = highest >> 16;
            let nearest = [same, same - 1, same + 1]
                .map(|roll_overs| roll_overs << 16 | i64::from(sequence))
                .into_iter()
                .min_by_key(|index| (index - highest).abs())?;
            u64::try_from(nearest).ok().filter(|index| *index < 1 << 48)
        }
    }

    /// How far from the highest the next packet is: mostly near, now and then about the width or a roll-over away.
    fn steps() -> impl Strategy<Value = Vec<i64>> {
        let step =
            prop_oneof![6 => -8i64..8, 3 => -200i64..200, 2 => -1_100i64..1_100, 1 => -70_000i64..70_000];
        proptest::collection::vec(step, 1..400)
    }

    fn agree<const WORDS: usize>(start: u64, steps: &[i64]) -> Result<(), TestCaseError> {
        let (mut window, mut naive) = (Window::<WORDS>::new(), Naive::default());
        let width = Window::<WORDS>::WIDTH;
        for step in steps {
            let index = naive.0.last().map_or(start, |highest| highest.saturating_add_signed(*step));
            let fresh = naive.is_fresh(index, width);
            prop_assert_eq!(window.is_fresh(index), fresh, "{}", index);
            window.accept(index);
            if fresh {
                naive.0.insert(index);
            }
        }
        let highest = naive.0.last().copied().unwrap_or_default();
        for index in highest.saturating_sub(width + 3)..highest + 3 {
            prop_assert_eq!(window.is_fresh(index), naive.is_fresh(index, width), "{}", index);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn it_remembers_what_a_set_would(start in 0u64..200_000, steps in steps()) {
            agree::<16>(start, &steps)?;
            agree::<2>(start, &steps)?;
            agree::<3>(start, &steps)?;
        }

        #[test]
        fn it_estimates_the_nearest(
            highest in prop_oneof![0u64..200_000, (1u64 << 48) - 200_000..1 << 48, 0u64..1 << 48],
            sequence: u16,
        ) {
            let naive = Naive(BTreeSet::from([highest]));
            prop_assert_eq!(after::<16>(&[highest]).estimate(sequence), naive.estimate(sequence));
        }
    }
}
