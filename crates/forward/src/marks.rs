//! Remembers which of the latest numbers of a growing sequence were marked, in a fixed ring of bits.

/// Marks on the latest `WORDS * 64` numbers. What is older counts as forgotten.
#[derive(Clone, Debug)]
pub(crate) struct Marks<const WORDS: usize> {
    /// The highest number marked so far.
    top: Option<u64>,
    bits: [u64; WORDS],
}

impl<const WORDS: usize> Marks<WORDS> {
    const SPAN: u64 = WORDS as u64 * 64;

    pub(crate) fn new() -> Self {
        Marks { top: None, bits: [0; WORDS] }
    }

    fn place(number: u64) -> (usize, u64) {
        let at = number % Self::SPAN;
        ((at / 64) as usize, 1 << (at % 64))
    }

    /// Whether `number` lies so far below the highest mark that nothing is known about it.
    pub(crate) fn is_forgotten(&self, number: u64) -> bool {
        self.top.is_some_and(|top| number.saturating_add(Self::SPAN) <= top)
    }

    pub(crate) fn has(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.top.is_some_and(|top| number <= top)
            && !self.is_forgotten(number)
            && self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Marks `number`. False when it was marked before, or is forgotten.
    pub(crate) fn mark(&mut self, number: u64) -> bool {
        if self.is_forgotten(number) || self.has(number) {
            return false;
        }
        if self.top.is_none_or(|top| number > top) {
            self.advance(number);
        }
        let (word, bit) = Self::place(number);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= bit;
        }
        true
    }

    /// Moves the highest number up to `number` and forgets the marks that the ring's new places held.
    fn advance(&mut self, number: u64) {
        match self.top {
            Some(top) if number - top < Self::SPAN => {
                for fresh in top + 1..=number {
                    let (word, bit) = Self::place(fresh);
                    if let Some(bits) = self.bits.get_mut(word) {
                        *bits &= !bit;
                    }
                }
            }
            _ => self.bits = [0; WORDS],
        }
        self.top = Some(number);
    }

    /// How many marked numbers are greater than `number`.
    pub(crate) fn above(&self, number: u64) -> u64 {
        let Some(top) = self.top else {
            return 0;
        };
        let from = number.saturating_add(1).max(top.saturating_sub(Self::SPAN - 1));
        (from..=top).map(|marked| u64::from(self.has(marked))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// A set of every number ever marked is the naive reference.
        #[test]
        fn it_agrees_with_a_set_within_its_span(steps in proptest::collection::vec(-90i64..150, 1..200)) {
            let mut marks = Marks::<2>::new();
            let mut truth = BTreeSet::new();
            let mut number = 1_000u64;
            for step in steps {
                number = number.saturating_add_signed(step);
                let top = truth.last().copied().unwrap_or(0);
                let forgotten = number + 128 <= top;
                prop_assert_eq!(marks.is_forgotten(number), forgotten);
                prop_assert_eq!(marks.has(number), truth.contains(&number) && !forgotten);
                let above = truth.range(number + 1..).filter(|marked| **marked + 128 > top).count() as u64;
                prop_assert_eq!(marks.above(number), above);
                prop_assert_eq!(marks.mark(number), !forgotten && !truth.contains(&number));
                if !forgotten {
                    truth.insert(number);
                }
            }
        }
    }
}
