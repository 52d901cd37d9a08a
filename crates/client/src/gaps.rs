//! Which numbers of a rising sequence came, came twice, or never came.
use sluice_memory::Extent;

/// Numbers this far below the highest can still be told apart; older ones count as late.
const WINDOW: u64 = 4096;
const WORDS: usize = (WINDOW / 64) as usize;

// In the order of fields: what each number touches comes before the bits, see `TOUCHED`.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Gaps {
    seen: Option<Seen>,
    unique: u64,
    duplicates: u64,
    late: u64,
    bits: [u64; WORDS],
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    first: u64,
    highest: u64,
}

impl Default for Gaps {
    fn default() -> Self {
        Self { seen: None, unique: 0, duplicates: 0, late: 0, bits: [0; WORDS] }
    }
}

impl Gaps {
    /// Bytes of its beginning that each number touches, beside its [bit](Self::next).
    pub(crate) const TOUCHED: usize = std::mem::offset_of!(Self, bits);

    /// Where the bit of the number after the highest is.
    pub(crate) fn next(&self) -> Extent {
        let (word, _) = place(self.seen.map_or(0, |seen| seen.highest + 1));
        Extent::of(&self.bits[word])
    }

    /// Takes a number in. Returns whether it is new.
    pub(crate) fn see(&mut self, number: u64) -> bool {
        let Some(Seen { first, highest }) = self.seen else {
            self.seen = Some(Seen { first: number, highest: number });
            return self.mark(number);
        };
        if number > highest {
            // Forget what falls out of the window, at most all of it.
            for passed in (highest + 1..=number).take(WINDOW as usize) {
                let (word, bit) = place(passed);
                self.bits[word] &= !bit;
            }
            self.seen = Some(Seen { first, highest: number });
            return self.mark(number);
        }
        if highest - number >= WINDOW {
            self.late += 1;
            return false;
        }
        if number < first {
            self.seen = Some(Seen { first: number, highest });
        }
        self.mark(number)
    }

    /// Whether no higher number came.
    pub(crate) fn is_highest(&self, number: u64) -> bool {
        self.seen.is_none_or(|seen| seen.highest <= number)
    }

    fn mark(&mut self, number: u64) -> bool {
        let (word, bit) = place(number);
        let new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        if new {
            self.unique += 1
        } else {
            self.duplicates += 1
        }
        new
    }

    /// Numbers between the first and the highest that never came.
    pub(crate) fn missing(&self) -> u64 {
        self.seen.map_or(0, |Seen { first, highest }| (highest - first + 1).saturating_sub(self.unique))
    }

    /// Numbers that came more than once, or too late to tell.
    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates + self.late
    }
}

fn place(number: u64) -> (usize, u64) {
    let index = number % WINDOW;
    ((index / 64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(numbers: impl IntoIterator<Item = u64>) -> (u64, u64) {
        let mut gaps = Gaps::default();
        for number in numbers {
            gaps.see(number);
        }
        (gaps.missing(), gaps.duplicates())
    }

    #[test]
    fn a_gapless_sequence_misses_nothing_however_long() {
        assert_eq!(after(65_000..80_000), (0, 0));
    }

    #[test]
    fn a_reordered_sequence_misses_nothing_even_at_its_start() {
        assert_eq!(after([11, 10, 13, 12, 14]), (0, 0));
    }

    #[test]
    fn what_never_came_is_missing_and_what_came_twice_is_counted() {
        assert_eq!(after([1, 2, 2, 5, 5, 6]), (2, 2));
    }

    #[test]
    fn a_jump_beyond_the_window_forgets_the_old_and_counts_the_jump() {
        assert_eq!(after([1, 10_001, 10_000]), (9_998, 0));
        assert_eq!(after([1, 10_001, 1]), (9_999, 1));
    }
}
