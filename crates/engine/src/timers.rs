//! Deadlines of sessions and rooms in one heap. Moving a deadline later costs nothing; the stale entry is skipped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use rustc_hash::FxHashMap;

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A session's transport.
    Session(usize),
    /// A room's housekeeping.
    Room(usize),
}

/// All deadlines of a shard.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
    /// The deadline that counts, and the earliest entry in the heap for it.
    wanted: FxHashMap<Timer, (Instant, Instant)>,
}

impl Timers {
    /// Sets or moves a deadline.
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        match self.wanted.get_mut(&timer) {
            Some((wanted, queued)) => {
                *wanted = at;
                if at < *queued {
                    *queued = at;
                    self.heap.push(Reverse((at, timer)));
                }
            }
            None => {
                self.wanted.insert(timer, (at, at));
                self.heap.push(Reverse((at, timer)));
            }
        }
    }

    /// Forgets a deadline.
    pub(crate) fn clear(&mut self, timer: Timer) {
        self.wanted.remove(&timer);
    }

    /// Takes one deadline that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        while let Some(Reverse((at, timer))) = self.heap.peek().copied() {
            if at > now {
                return None;
            }
            self.heap.pop();
            let Some((wanted, queued)) = self.wanted.get_mut(&timer) else { continue };
            if *queued != at {
                continue;
            }
            if *wanted > now {
                *queued = *wanted;
                self.heap.push(Reverse((*wanted, timer)));
                continue;
            }
            self.wanted.remove(&timer);
            return Some(timer);
        }
        None
    }

    /// When to look again. May be early, never late.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_fire_once_at_their_latest_time() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(Timer::Session(1), at(10));
        timers.set(Timer::Session(1), at(30));
        timers.set(Timer::Room(1), at(20));
        timers.set(Timer::Session(2), at(40));
        timers.set(Timer::Session(2), at(5));
        timers.set(Timer::Session(3), at(1));
        timers.clear(Timer::Session(3));

        assert_eq!(timers.pop(at(4)), None);
        assert_eq!(timers.pop(at(6)), Some(Timer::Session(2)));
        assert_eq!(timers.pop(at(25)), Some(Timer::Room(1)));
        assert_eq!(timers.pop(at(25)), None);
        assert_eq!(timers.next(), Some(at(30)));
        assert_eq!(timers.pop(at(60)), Some(Timer::Session(1)));
        assert_eq!(timers.pop(at(60)), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_key_that_is_used_again_does_not_inherit_an_old_deadline() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(Timer::Session(1), at(10));
        timers.clear(Timer::Session(1));
        timers.set(Timer::Session(1), at(50));
        assert_eq!(timers.pop(at(20)), None);
        assert_eq!(timers.pop(at(50)), Some(Timer::Session(1)));
        assert_eq!(timers.pop(at(90)), None);
    }
}
