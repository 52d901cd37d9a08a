//! Which events are read and undelivered, in which order they may go, and what to remember of it. No IO, no clock.
//!
//! A lane holds the events that must stay in order. At most one of a lane is under way. A lane that fails sleeps, and
//! keeps nothing but positions: its events are read again when it wakes. So memory is bounded although others go on.
use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sluice_calls::Time;

use crate::store::Position;

/// What must be known to go on after a restart: up to where the log was read, and what of it is not delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The last position read.
    pub(super) read: u64,
    /// First and last position of each run of undelivered events.
    pub(super) open: Vec<(u64, u64)>,
}

/// One event to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) lane: String,
    pub(super) position: Position,
    /// None: must be read again.
    pub(super) event: Option<Bytes>,
    /// Attempts that failed before this one.
    pub(super) failures: u32,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<(u64, Option<Bytes>)>,
    /// Of the first in `waiting`.
    failures: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    lanes: HashMap<String, Lane>,
    /// Lanes whose first event may go now, in the order in which that became so.
    ready: VecDeque<String>,
    /// Lanes that failed, by the time at which they may go again.
    asleep: BTreeSet<(Time, String)>,
    /// Undelivered positions; of those under way too.
    open: BTreeSet<u64>,
    read: u64,
    /// Grows with each change of the progress.
    version: u64,
    held: usize,
    most_held: usize,
    most_open: usize,
}

impl Queue {
    pub(super) fn new(read: u64, most_held: usize, most_open: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            asleep: BTreeSet::new(),
            open: BTreeSet::new(),
            read,
            version: 0,
            held: 0,
            most_held,
            most_open,
        }
    }

    /// How many more events may be read.
    pub(super) fn room(&self) -> usize {
        let held = self.most_held.saturating_sub(self.held);
        held.min(self.most_open.saturating_sub(self.open.len()))
    }

    pub(super) fn read(&self) -> Position {
        Position(self.read)
    }

    /// Unchanged as long as [`progress`](Self::progress) is.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn undelivered(&self) -> usize {
        self.open.len()
    }

    /// Everything up to here was read.
    pub(super) fn advance(&mut self, position: Position) {
        self.read = self.read.max(position.0);
        self.version += 1;
    }

    /// An event to deliver.
    pub(super) fn push(&mut self, position: Position, lane: &str, event: Bytes) {
        self.advance(position);
        self.open.insert(position.0);
        let fresh = !self.lanes.contains_key(lane);
        let entry = self.lanes.entry(lane.to_owned()).or_default();
        let keep = entry.failures == 0 && self.held < self.most_held;
        self.held += usize::from(keep);
        entry.waiting.push_back((position.0, keep.then_some(event)));
        if fresh {
            self.ready.push_back(lane.to_owned());
        }
    }

    /// The next event that may go; its lane waits until [`settled`](Self::settled) or [`failed`](Self::failed).
    pub(super) fn next(&mut self, now: Time) -> Option<Job> {
        while let Some((_, lane)) = self.asleep.first().filter(|(wake, _)| *wake <= now).cloned() {
            self.asleep.pop_first();
            self.ready.push_back(lane);
        }
        let name = self.ready.pop_front()?;
        let lane = self.lanes.get(&name)?;
        let (position, event) = lane.waiting.front()?.clone();
        Some(Job { lane: name, position: Position(position), event, failures: lane.failures })
    }

    /// The event under way in this lane needs no more.
    pub(super) fn settled(&mut self, name: &str) {
        let Some(lane) = self.lanes.get_mut(name) else { return };
        if let Some((position, event)) = lane.waiting.pop_front() {
            self.open.remove(&position);
            self.version += 1;
            self.held -= usize::from(event.is_some());
        }
        lane.failures = 0;
        if lane.waiting.is_empty() {
            self.lanes.remove(name);
        } else {
            self.ready.push_back(name.to_owned());
        }
    }

    /// The event under way in this lane must go again, at `wake`.
    pub(super) fn failed(&mut self, name: &str, wake: Time) {
        let Some(lane) = self.lanes.get_mut(name) else { return };
        lane.failures = lane.failures.saturating_add(1);
        for (_, event) in &mut lane.waiting {
            self.held -= usize::from(event.take().is_some());
        }
        self.asleep.insert((wake, name.to_owned()));
    }

    /// When the next lane wakes.
    pub(super) fn wakes_at(&self) -> Option<Time> {
        self.asleep.first().map(|(wake, _)| *wake)
    }

    pub(super) fn progress(&self) -> Progress {
        let mut open: Vec<(u64, u64)> = Vec::new();
        for position in &self.open {
            match open.last_mut() {
                Some((_, last)) if *last + 1 == *position => *last = *position,
                _ => open.push((*position, *position)),
            }
        }
        Progress { read: self.read, open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn positions(queue: &mut Queue, now: Time) -> Vec<u64> {
        std::iter::from_fn(|| queue.next(now)).map(|job| job.position.0).collect()
    }

    #[test]
    fn events_of_a_call_go_one_after_the_other_and_calls_side_by_side() {
        let mut queue = Queue::new(0, 100, 100);
        for (position, lane) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] {
            queue.push(Position(position), lane, event("x"));
        }
        assert_eq!(positions(&mut queue, Time(0)), [1, 3]);
        queue.settled("a");
        assert_eq!(positions(&mut queue, Time(0)), [2]);
        queue.settled("b");
        assert_eq!(positions(&mut queue, Time(0)), [0; 0]);
        queue.settled("a");
        assert_eq!(positions(&mut queue, Time(0)), [4]);
        queue.settled("a");
        assert_eq!(queue.progress(), Progress { read: 4, open: vec![] });
        assert!(queue.lanes.is_empty() && queue.held == 0);
    }

    #[test]
    fn a_call_that_fails_sleeps_holds_no_memory_and_blocks_no_other() {
        let mut queue = Queue::new(0, 4, 100);
        for position in 1..=4 {
            queue.push(Position(position), "bad", event("x"));
        }
        assert_eq!(queue.room(), 0);
        assert_eq!(positions(&mut queue, Time(0)), [1]);
        queue.failed("bad", Time(1_000));
        assert_eq!(queue.room(), 4, "its events stay in the store");
        queue.push(Position(5), "bad", event("x"));
        queue.push(Position(6), "good", event("x"));
        assert_eq!(positions(&mut queue, Time(999)), [6]);
        queue.settled("good");
        assert_eq!(queue.progress(), Progress { read: 6, open: vec![(1, 5)] });
        assert_eq!(queue.wakes_at(), Some(Time(1_000)));
        let again = queue.next(Time(1_000)).unwrap();
        assert_eq!((again.position, again.event, again.failures), (Position(1), None, 1));
        queue.settled("bad");
        assert_eq!(queue.next(Time(1_000)).unwrap().failures, 0, "the next one begins anew");
    }

    #[test]
    fn what_is_undelivered_is_bounded_too() {
        let mut queue = Queue::new(10, 100, 3);
        for position in 11..=13 {
            queue.push(Position(position), "bad", event("x"));
            queue.next(Time(0));
            queue.failed("bad", Time(9));
        }
        assert_eq!(queue.room(), 0);
    }
}
