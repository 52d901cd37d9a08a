//! The datagrams of one socket that are under way in one direction.
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::line::Line;

/// Bytes of memory under way at most: what 10 Mbit/s bring in about three seconds. More is dropped and counted.
const MOST_BYTES: usize = 4 << 20;

/// A datagram, and the other end's address.
pub(crate) struct Datagram {
    arrives: Instant,
    pub(crate) other: SocketAddr,
    pub(crate) contents: Vec<u8>,
}

impl Datagram {
    /// What a datagram with so many bytes takes.
    fn memory(bytes: usize) -> usize {
        size_of::<Self>() + bytes
    }
}

pub(crate) struct Lane {
    /// All sockets of a client share it.
    line: Arc<Mutex<Line>>,
    /// In the order of arrival.
    under_way: VecDeque<Datagram>,
    /// That they take.
    memory: usize,
}

impl Lane {
    pub(crate) fn new(line: Arc<Mutex<Line>>) -> Self {
        Self { line, under_way: VecDeque::new(), memory: 0 }
    }

    /// A datagram enters.
    pub(crate) fn push(&mut self, now: Instant, other: SocketAddr, contents: &[u8]) {
        let memory = self.memory + Datagram::memory(contents.len());
        let arrives = {
            let mut line = self.line();
            let Some(arrives) = line.admit(now, contents.len()) else { return };
            if memory > MOST_BYTES {
                line.overflowed();
                return;
            }
            arrives
        };
        self.memory = memory;
        self.under_way.push_back(Datagram { arrives, other, contents: contents.to_vec() });
    }

    /// The next that has arrived by now.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Datagram> {
        let next = self.under_way.pop_front_if(|next| next.arrives <= now)?;
        self.memory -= Datagram::memory(next.contents.len());
        Some(next)
    }

    /// When the next arrives.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.under_way.front().map(|next| next.arrives)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Times and counters stay meaningful wherever a panic left them.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::impair::{Link, line};

    fn lane(delay: Duration, now: Instant) -> Lane {
        Lane::new(Arc::new(Mutex::new(Line::new(Link { delay, ..Link::default() }, 1, now))))
    }

    #[test]
    fn a_datagram_comes_out_as_it_went_in_when_it_is_due_and_not_before() {
        let now = Instant::now();
        let mut lane = lane(Duration::from_millis(30), now);
        let other = ([127, 0, 0, 1], 9).into();
        lane.push(now, other, b"first");
        lane.push(now + Duration::from_millis(1), other, b"second");
        let due = lane.due().unwrap();
        assert_eq!(due, now + Duration::from_millis(30));
        assert!(lane.pop(due - Duration::from_nanos(1)).is_none());
        let first = lane.pop(due).unwrap();
        assert_eq!((&*first.contents, first.other), (&b"first"[..], other));
        assert!(lane.pop(due).is_none());
        assert_eq!(lane.pop(due + Duration::from_millis(1)).unwrap().contents, b"second");
        assert_eq!((lane.due(), lane.memory), (None, 0));
    }

    #[test]
    fn what_is_under_way_takes_a_bounded_part_of_memory() {
        let now = Instant::now();
        let mut lane = lane(Duration::from_secs(10), now);
        for _ in 0..10_000 {
            lane.push(now, ([127, 0, 0, 1], 9).into(), &[0; 1_000]);
        }
        let kept = lane.under_way.len();
        assert_eq!(kept, MOST_BYTES / Datagram::memory(1_000));
        let fates = line::fates(&lane.line);
        assert_eq!((fates.passed, fates.dropped), (kept as u64, 10_000 - kept as u64));
    }
}
