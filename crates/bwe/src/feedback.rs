//! Transport-wide feedback, read in place (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1).

/// One tick of the deltas, in microseconds.
const TICK: i64 = 250;

/// One step of the reference time, in microseconds.
const REFERENCE: i64 = 64_000;

/// Feedback that is not what section 3.1 describes. Nothing of it was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends before the packets that it announces.
    #[error("transport-wide feedback is cut short")]
    Truncated,
    /// It uses the status that the draft keeps for later.
    #[error("transport-wide feedback uses a reserved packet status")]
    ReservedStatus,
}

/// What feedback says, in the order of sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// So many numbers from `first` on did not arrive.
    Missing { first: u16, count: u16 },
    /// One packet arrived so many microseconds after the reference time.
    Arrived { seq: u16, offset: i64 },
}

/// Well-formed feedback: each status is a known one, and there are as many deltas as it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feedback<'a> {
    base: u16,
    count: u16,
    reference: u32,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// Checks all of it before anything is believed, so that half a message never moves the estimate.
    pub(crate) fn parse(fci: &'a [u8]) -> Result<Self, Malformed> {
        let [b0, b1, c0, c1, r0, r1, r2, _number, rest @ ..] = fci else {
            return Err(Malformed::Truncated);
        };
        let count = u16::from_be_bytes([*c0, *c1]);
        let (mut left, mut at, mut needed) = (count, 0, 0);
        while left > 0 {
            let chunk = Chunk::read(rest, at)?;
            let covered = chunk.len().min(left);
            needed += chunk.delta_bytes(covered)?;
            at += 2;
            left -= covered;
        }
        let (chunks, rest) = rest.split_at_checked(at).ok_or(Malformed::Truncated)?;
        Ok(Feedback {
            base: u16::from_be_bytes([*b0, *b1]),
            count,
            reference: u32::from_be_bytes([0, *r0, *r1, *r2]),
            chunks,
            deltas: rest.get(..needed).ok_or(Malformed::Truncated)?,
        })
    }

    /// The 24 bits of the reference time, in steps of 64 ms.
    pub(crate) fn reference(&self) -> u32 {
        self.reference
    }

    /// Calls `tell` for each arrival and for each run of missing packets. Takes as long as the message is, whatever it says:
    /// a run of thousands of missing numbers is one call.
    pub(crate) fn each(&self, mut tell: impl FnMut(Told)) {
        let (mut seq, mut left) = (self.base, self.count);
        let mut deltas = Deltas { bytes: self.deltas, offset: 0 };
        for at in (0..self.chunks.len()).step_by(2) {
            let Ok(chunk) = Chunk::read(self.chunks, at) else { return };
            let covered = chunk.len().min(left);
            left -= covered;
            if chunk.is_run() && chunk.status(0) == NOT_RECEIVED {
                tell(Told::Missing { first: seq, count: covered });
                seq = seq.wrapping_add(covered);
                continue;
            }
            for index in 0..covered {
                match deltas.next(chunk.status(index)) {
                    Some(offset) => tell(Told::Arrived { seq, offset }),
                    None => tell(Told::Missing { first: seq, count: 1 }),
                }
                seq = seq.wrapping_add(1);
            }
        }
    }
}

const NOT_RECEIVED: u16 = 0;
const SMALL_DELTA: u16 = 1;
const LARGE_DELTA: u16 = 2;

/// One packet status chunk: a run of one status, 14 statuses of one bit, or 7 of two bits.
#[derive(Clone, Copy)]
struct Chunk(u16);

impl Chunk {
    fn read(bytes: &[u8], at: usize) -> Result<Self, Malformed> {
        match bytes.get(at..at + 2) {
            Some(&[high, low]) => Ok(Chunk(u16::from_be_bytes([high, low]))),
            _ => Err(Malformed::Truncated),
        }
    }

    fn is_run(self) -> bool {
        self.0 & 0x8000 == 0
    }

    fn is_two_bit(self) -> bool {
        self.0 & 0x4000 != 0
    }

    fn len(self) -> u16 {
        match (self.is_run(), self.is_two_bit()) {
            // A run of nothing would let a message of zeros go on for ever only if it were endless; it ends with the bytes.
            (true, _) => self.0 & 0x1FFF,
            (false, false) => 14,
            (false, true) => 7,
        }
    }

    fn status(self, index: u16) -> u16 {
        match (self.is_run(), self.is_two_bit()) {
            (true, _) => (self.0 >> 13) & 3,
            (false, false) => (self.0 >> 13u16.saturating_sub(index)) & 1,
            (false, true) => (self.0 >> 12u16.saturating_sub(2 * index)) & 3,
        }
    }

    /// How many bytes of deltas the first `covered` statuses take.
    fn delta_bytes(self, covered: u16) -> Result<usize, Malformed> {
        let bytes_of = |status| match status {
            NOT_RECEIVED => Ok(0),
            SMALL_DELTA => Ok(1),
            LARGE_DELTA => Ok(2),
            _ => Err(Malformed::ReservedStatus),
        };
        if self.is_run() {
            return Ok(bytes_of(self.status(0))? * usize::from(covered));
        }
        (0..covered).try_fold(0, |sum, index| Ok(sum + bytes_of(self.status(index))?))
    }
}

struct Deltas<'a> {
    bytes: &'a [u8],
    offset: i64,
}

impl Deltas<'_> {
    /// The arrival of the next packet, in microseconds after the reference time; `None` if it did not arrive.
    fn next(&mut self, status: u16) -> Option<i64> {
        let (ticks, rest) = match (status, self.bytes) {
            (SMALL_DELTA, [ticks, rest @ ..]) => (i64::from(*ticks), rest),
            (LARGE_DELTA, [high, low, rest @ ..]) => (i64::from(i16::from_be_bytes([*high, *low])), rest),
            _ => return None,
        };
        self.bytes = rest;
        self.offset += ticks * TICK;
        Some(self.offset)
    }
}

/// Makes one line of time out of reference times, which wrap every 12 days.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReceiverClock {
    last: Option<(u32, i64)>,
}

impl ReceiverClock {
    /// The receiver's microseconds at `reference`, counted from an origin of its own.
    pub(crate) fn at(&mut self, reference: u32) -> i64 {
        let (before, steps) = self.last.unwrap_or((reference, 0));
        // The difference of two 24-bit numbers, with its sign: shifting up and down again extends it.
        let moved = ((reference.wrapping_sub(before) << 8) as i32) >> 8;
        // Wrapping is for a receiver that jumps by days in each message for years; nothing below trusts one difference.
        let steps = steps.wrapping_add(i64::from(moved));
        self.last = Some((reference, steps));
        steps.wrapping_mul(REFERENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fci: &[u8]) -> Vec<Told> {
        let mut all = Vec::new();
        Feedback::parse(fci).unwrap().each(|told| all.push(told));
        all
    }

    #[test]
    fn each_kind_of_chunk_is_read() {
        let arrived = |seq, ticks: i64| Told::Arrived { seq, offset: ticks * TICK };
        let missing = |first, count| Told::Missing { first, count };
        // A run of three missing, a run of two small deltas, 14 one-bit statuses (cut at 3), across the wrap.
        let run = [0xFF, 0xFE, 0, 5, 0, 0, 1, 9, 0x00, 0x03, 0x20, 0x02, 4, 8];
        assert_eq!(read(&run), [missing(0xFFFE, 3), arrived(1, 4), arrived(2, 12)]);
        let one_bit = [0, 7, 0, 3, 0, 0, 1, 9, 0b1010_1000, 0, 4, 0];
        assert_eq!(read(&one_bit), [arrived(7, 4), missing(8, 1), arrived(9, 4)]);
        let two_bit = [0, 7, 0, 3, 0, 0, 1, 9, 0b1110_0001, 0, 0xFF, 0xFF, 4];
        assert_eq!(read(&two_bit), [arrived(7, -1), missing(8, 1), arrived(9, 3)]);
    }

    #[test]
    fn what_is_cut_short_or_reserved_tells_nothing() {
        let whole = [0, 7, 0, 3, 0, 0, 1, 9, 0b1110_0001, 0, 0xFF, 0xFF, 4];
        for length in 0..whole.len() {
            assert_eq!(Feedback::parse(&whole[..length]).err(), Some(Malformed::Truncated), "{length} bytes");
        }
        let reserved = [0, 7, 0, 1, 0, 0, 1, 9, 0x60, 1, 0, 0];
        assert_eq!(Feedback::parse(&reserved).err(), Some(Malformed::ReservedStatus));
    }

    #[test]
    fn the_reference_time_wraps() {
        let mut clock = ReceiverClock::default();
        assert_eq!(clock.at(0xFF_FFFE), 0);
        assert_eq!(clock.at(1), 3 * REFERENCE);
        assert_eq!(clock.at(0xFF_FFFF), REFERENCE, "messages out of order go back");
    }
}
