//! The newest events, encoded and back to back.
//!
//! Events outlive the calls that they tell of. Kept as they are, each would be a dozen small pieces strewn among those of
//! sessions, and would hold fast the memory around them when the sessions are long gone.

use std::collections::VecDeque;

use prost::Message as _;
use sluice_api::sfu::v1 as api;

/// Bytes of all kept events at most, however many may be kept: one that carries an `app_state` may have 64 KiB. Who is further
/// behind is better served by a snapshot.
const MOST_BYTES: usize = 4 << 20;

/// A bounded ring of events with consecutive numbers.
#[derive(Default)]
pub(crate) struct EventRing {
    capacity: usize,
    bytes: VecDeque<u8>,
    /// For each event the position behind its last byte, counted from the first byte that was ever kept.
    ends: VecDeque<u64>,
    /// The position of the first byte that is kept.
    start: u64,
    /// The number of the newest event.
    last: u64,
}

impl EventRing {
    /// Keeps `capacity` events.
    pub(crate) fn new(capacity: usize) -> Self {
        EventRing { capacity, ..EventRing::default() }
    }

    /// Adds an event, whose number follows the last one's; the oldest make room.
    pub(crate) fn push(&mut self, event: &api::Event) {
        let event_bytes = event.encode_to_vec();
        // Room first: a buffer that grows past its bound for a moment doubles, and each place in it is used sooner or later.
        while self.ends.len() >= self.capacity.max(1)
            || (self.bytes.len() + event_bytes.len() > MOST_BYTES && !self.ends.is_empty())
        {
            self.pop();
        }
        self.bytes.extend(&event_bytes);
        self.ends.push_back(self.start + self.bytes.len() as u64);
        self.last = event.sequence;
    }

    fn pop(&mut self) {
        let Some(end) = self.ends.pop_front() else { return };
        let length = usize::try_from(end - self.start).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.drain(..length);
        self.start = end;
    }

    pub(crate) fn clear(&mut self) {
        self.start += self.bytes.len() as u64;
        self.bytes.clear();
        self.ends.clear();
    }

    /// The number before that of the oldest event; none if there is no event.
    pub(crate) fn before_oldest(&self) -> Option<u64> {
        (!self.ends.is_empty()).then(|| self.last - self.ends.len() as u64)
    }

    /// At most `count` events, encoded, without the first `skip`.
    pub(crate) fn read(&self, skip: usize, count: usize) -> impl Iterator<Item = Vec<u8>> {
        let before = skip.checked_sub(1).and_then(|index| self.ends.get(index));
        let mut from = before.copied().unwrap_or(self.start);
        self.ends.iter().skip(skip).take(count).map(move |&end| {
            let place =
                |at: u64| usize::try_from(at - self.start).unwrap_or(usize::MAX).min(self.bytes.len());
            let event = self.bytes.range(place(from)..place(end)).copied().collect();
            from = end;
            event
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u64, bytes: usize) -> api::Event {
        api::Event { sequence, room_id: "r".repeat(bytes), ..Default::default() }
    }

    fn numbers(ring: &EventRing, skip: usize, count: usize) -> Vec<u64> {
        ring.read(skip, count).map(|bytes| api::Event::decode(&bytes[..]).unwrap().sequence).collect()
    }

    #[test]
    fn the_newest_are_kept_whole_however_often_it_goes_round() {
        let mut ring = EventRing::new(3);
        assert_eq!(ring.before_oldest(), None);
        for sequence in 1..=1_000 {
            ring.push(&event(sequence, sequence as usize % 50));
        }
        assert_eq!((ring.before_oldest(), numbers(&ring, 0, 9)), (Some(997), vec![998, 999, 1_000]));
        assert_eq!((numbers(&ring, 1, 1), numbers(&ring, 3, 1)), (vec![999], vec![]));
        ring.clear();
        ring.push(&event(1_005, 7));
        assert_eq!((ring.before_oldest(), numbers(&ring, 0, 9)), (Some(1_004), vec![1_005]));
    }

    #[test]
    fn large_events_push_the_old_ones_out_but_never_themselves() {
        let mut ring = EventRing::new(1_000);
        for sequence in 1..=40 {
            ring.push(&event(sequence, 1 << 20));
        }
        assert!(ring.bytes.len() <= MOST_BYTES);
        assert_eq!(numbers(&ring, 0, 100), [38, 39, 40], "with their own overhead four are too many");
        ring.push(&event(41, MOST_BYTES));
        assert_eq!(numbers(&ring, 0, 100), [41]);
    }

    #[test]
    fn a_full_buffer_makes_room_and_does_not_grow() {
        let mut ring = EventRing::new(usize::MAX);
        for sequence in 100_001..=200_000 {
            // A power of two: the buffer doubles to the bound itself.
            let event = event(sequence, 122);
            assert_eq!(event.encoded_len(), 128);
            ring.push(&event);
        }
        assert!(ring.bytes.capacity() < 2 * MOST_BYTES, "{}", ring.bytes.capacity());
        assert_eq!(ring.before_oldest(), Some(200_000 - MOST_BYTES as u64 / 128));
    }
}
