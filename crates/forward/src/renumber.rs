//! Outgoing numbers for the numbers of one source: gaps of the source stay, what is left out on purpose closes up.

use crate::marks::Marks;

/// A shift from source numbers to outgoing ones that grows by one with each number left out.
///
/// Late numbers get the shift that was right in their place; beyond `WORDS * 64` numbers it is no longer known.
#[derive(Clone, Debug)]
pub(crate) struct Renumber<const WORDS: usize> {
    /// What turns a number above every omission into its outgoing number, modulo 2^64.
    shift: u64,
    omitted: Marks<WORDS>,
}

impl<const WORDS: usize> Renumber<WORDS> {
    /// The source's number `first` goes out as `out`.
    pub(crate) fn new(first: u64, out: u64) -> Self {
        Renumber { shift: out.wrapping_sub(first), omitted: Marks::new() }
    }

    /// The outgoing number; `None` when `number` itself was left out, or is too old to tell.
    pub(crate) fn out(&self, number: u64) -> Option<u64> {
        if self.omitted.is_forgotten(number) || self.omitted.has(number) {
            return None;
        }
        Some(number.wrapping_add(self.shift).wrapping_add(self.omitted.above(number)))
    }

    /// Leaves out `number`, which must be higher than all seen so far: later ones close up.
    pub(crate) fn omit(&mut self, number: u64) {
        if self.omitted.mark(number) {
            self.shift = self.shift.wrapping_sub(1);
        }
    }

    pub(crate) fn is_omitted(&self, number: u64) -> bool {
        self.omitted.has(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn omissions_close_up_and_late_numbers_keep_their_place() {
        let mut numbers = Renumber::<2>::new(100, 7);
        assert_eq!(numbers.out(100), Some(7));
        numbers.omit(102);
        numbers.omit(103);
        assert_eq!(numbers.out(104), Some(9));
        assert_eq!(numbers.out(101), Some(8), "late, from before the omission");
        assert_eq!(numbers.out(102), None);
        numbers.omit(1_000);
        assert_eq!(numbers.out(101), None, "too old to tell");
    }
}
