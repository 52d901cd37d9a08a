//! What was sent and not yet told about.

use std::collections::VecDeque;

use crate::{Micros, SECOND};

/// Records at most. More would follow 50 Mbit/s for longer; 2,048 packets are 0.4 s of that, and 8 s of 2.5 Mbit/s.
const MOST: usize = 2_048;

/// How long a packet is waited for. Shorter forgets what a swollen queue (2 s are seen) still delivers.
const LONGEST: Micros = 3 * SECOND;

/// A history that has room for no more than this is not worth giving back: 512 bytes.
const SMALL: usize = 64;

/// One packet in flight. Eight bytes, because a node has thousands of histories of hundreds of packets.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// The low bits of the time; the rest follows from the newest packet, which is at most [`LONGEST`] younger.
    at: u32,
    size: u16,
    cluster: u8,
    flags: u8,
}

const _: () = assert!(size_of::<Record>() == 8);

const PROBE: u8 = 1;
const RECEIVED: u8 = 2;
const LOST: u8 = 4;

/// A packet about which feedback told something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// When it left.
    pub at: Micros,
    /// Bytes.
    pub size: u16,
    /// Whether it was padding.
    pub probe: bool,
    /// The probe that it was part of; 0: none.
    pub cluster: u8,
    /// Whether earlier feedback took it for lost.
    pub was_lost: bool,
}

/// The packets in flight, by sequence number.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    records: VecDeque<Record>,
    /// The number that the next packet gets.
    next: u16,
    /// When the newest packet left.
    newest: Micros,
}

impl History {
    /// Takes in one packet and returns its number.
    pub(crate) fn push(&mut self, now: Micros, size: u16, probe: bool, cluster: u8) -> u16 {
        self.forget_old(now);
        if self.records.len() >= MOST {
            self.records.pop_front();
        }
        self.newest = now;
        let flags = if probe { PROBE } else { 0 };
        self.records.push_back(Record { at: now as u32, size, cluster, flags });
        let seq = self.next;
        self.next = seq.wrapping_add(1);
        seq
    }

    /// Drops what has been in flight for too long: nobody knows any more what became of it.
    pub(crate) fn forget_old(&mut self, now: Micros) {
        if now.saturating_sub(self.newest) > LONGEST {
            self.records.clear();
        }
        while self.records.front().is_some_and(|front| now.saturating_sub(self.time_of(front)) > LONGEST) {
            self.records.pop_front();
        }
    }

    /// Drops what is at the old end and has arrived, so that a path without loss keeps only what is in flight.
    pub(crate) fn forget_received(&mut self) {
        while self.records.front().is_some_and(|front| front.flags & RECEIVED != 0) {
            self.records.pop_front();
        }
    }

    /// Gives memory back. For a path that fell silent; a busy one would only allocate again.
    pub(crate) fn free(&mut self) {
        self.records.clear();
        if self.records.capacity() > SMALL {
            self.records = VecDeque::new();
        }
    }

    /// Packet `seq` arrived. `None` if that is no news, or if it was never sent or is forgotten.
    pub(crate) fn received(&mut self, seq: u16) -> Option<Sent> {
        self.tell(seq, RECEIVED, RECEIVED)
    }

    /// Packet `seq` did not arrive so far. `None` if that is no news, or if it was never sent or is forgotten.
    pub(crate) fn lost(&mut self, seq: u16) -> Option<Sent> {
        self.tell(seq, LOST, RECEIVED | LOST)
    }

    /// The numbers out of `count` from `first` on that this history may know. Never more than it holds.
    pub(crate) fn known(&self, first: u16, count: u16) -> impl Iterator<Item = u16> + use<> {
        let held = self.records.len() as u32;
        let start = u32::from(first.wrapping_sub(self.oldest()));
        // A run that begins before the oldest record and reaches into the history shows as an offset near 65,536.
        let (start, end) = if start < held {
            (start, (start + u32::from(count)).min(held))
        } else {
            (0, (start + u32::from(count)).saturating_sub(1 << 16).min(held))
        };
        let oldest = self.oldest();
        (start..end).map(move |offset| oldest.wrapping_add(offset as u16))
    }

    fn oldest(&self) -> u16 {
        self.next.wrapping_sub(self.records.len() as u16)
    }

    /// Marks a packet, unless it bears one of the marks that make this no news.
    fn tell(&mut self, seq: u16, mark: u8, old_news: u8) -> Option<Sent> {
        let index = usize::from(seq.wrapping_sub(self.oldest()));
        let record = self.records.get_mut(index)?;
        if record.flags & old_news != 0 {
            return None;
        }
        let before = *record;
        record.flags |= mark;
        Some(self.sent(before))
    }

    fn time_of(&self, record: &Record) -> Micros {
        self.newest - Micros::from((self.newest as u32).wrapping_sub(record.at))
    }

    fn sent(&self, record: Record) -> Sent {
        Sent {
            at: self.time_of(&record),
            size: record.size,
            probe: record.flags & PROBE != 0,
            cluster: record.cluster,
            was_lost: record.flags & LOST != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_in_number_and_in_time() {
        let mut history = History::default();
        for packet in 0..10_000 {
            history.push(packet, 100, false, 0);
        }
        assert_eq!(history.records.len(), MOST);
        history.push(10_000 + LONGEST + 1, 100, false, 0);
        assert_eq!(history.records.len(), 1);
        // The low bits of the time come round again after 71 minutes; the packets of then must not look young.
        history.push((1 << 32) + 10_000 + LONGEST, 100, false, 0);
        assert_eq!(history.records.len(), 1);
        history.forget_old(1 << 40);
        history.free();
        assert_eq!(history.records.capacity(), 0);
    }

    #[test]
    fn news_is_told_once_and_loss_may_be_taken_back() {
        let mut history = History::default();
        let first = history.push(5_000_000_000, 100, true, 3);
        let second = history.push(5_000_000_100, 200, false, 0);
        assert!(!history.lost(first).unwrap().was_lost);
        assert_eq!(history.lost(first), None);
        let late = history.received(first).unwrap();
        assert_eq!(late, Sent { at: 5_000_000_000, size: 100, probe: true, cluster: 3, was_lost: true });
        assert_eq!((history.received(first), history.lost(first)), (None, None));
        assert_eq!((history.received(second + 1), history.received(first.wrapping_sub(1))), (None, None));
        history.forget_received();
        assert_eq!(history.records.len(), 1);
    }

    #[test]
    fn a_run_of_numbers_is_cut_to_what_is_known() {
        let mut history = History::default();
        for packet in 0..10 {
            history.push(packet, 100, false, 0);
        }
        let known = |first, count| history.known(first, count).collect::<Vec<_>>();
        assert_eq!(known(8, 60_000), [8, 9]);
        assert_eq!(known(0xFFFE, 4), [0, 1]);
        assert_eq!(known(20, 100), []);
        assert_eq!(known(3, 0), []);
        assert_eq!(known(0xFFF0, 0xFFFF).len(), 10);
    }
}
