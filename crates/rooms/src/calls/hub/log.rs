//! What one device is told, in order: its socket reads along, and after a short absence a cursor says where to go on.
//!
//! The log is queue and memory in one. A word that makes an earlier one pointless takes its place (a view of a call is
//! always the whole call), so that a large call with much coming and going holds one word per call, however slow the
//! device reads.
use std::collections::VecDeque;
use std::sync::Arc;

use sluice_calls::{Call, CallId, Ring, ShownReason, StopReason};
use tokio::time::Instant;

/// Something to tell a device. Turned into text by whoever sends it, so that telling costs the teller nothing.
#[derive(Debug, Clone)]
pub(super) enum Word {
    Ring(Ring),
    Stopped {
        call: CallId,
        reason: StopReason,
    },
    /// The call after the transition; the device gets its own view of it.
    Changed(Arc<Call>),
    Over {
        call: CallId,
        reason: ShownReason,
        duration_ms: u64,
    },
}

impl Word {
    fn call(&self) -> &CallId {
        match self {
            Self::Ring(ring) => &ring.call,
            Self::Stopped { call, .. } | Self::Over { call, .. } => call,
            Self::Changed(call) => &call.id,
        }
    }

    /// Whoever hears this needs `earlier` no more.
    fn replaces(&self, earlier: &Self) -> bool {
        let fits = match self {
            Self::Ring(_) | Self::Stopped { .. } => matches!(earlier, Self::Ring(_)),
            Self::Changed(_) | Self::Over { .. } => matches!(earlier, Self::Changed(_)),
        };
        fits && self.call() == earlier.call()
    }
}

#[derive(Debug)]
struct Kept {
    position: u64,
    at: Instant,
    word: Word,
}

/// The words for one device, oldest first.
#[derive(Debug)]
pub(super) struct Log {
    kept: VecDeque<Kept>,
    /// Everything after this position is here.
    floor: u64,
    last: u64,
}

impl Log {
    /// Empty. Positions of earlier logs lie before `start`, so that their cursors are unknown here.
    pub(super) fn new(start: u64) -> Self {
        Self { kept: VecDeque::new(), floor: start, last: start }
    }

    /// Where it ends.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// At most `most` are kept.
    pub(super) fn push(&mut self, position: u64, now: Instant, word: Word, most: usize) {
        self.kept.retain(|kept| !word.replaces(&kept.word));
        self.kept.push_back(Kept { position, at: now, word });
        self.last = position;
        while self.kept.len() > most.max(1) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(kept) = self.kept.pop_front() {
            self.floor = kept.position;
        }
    }

    /// Forgets what is older than `before`.
    pub(super) fn forget(&mut self, before: Instant) {
        while self.kept.front().is_some_and(|kept| kept.at < before) {
            self.drop_first();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.floor = self.last;
    }

    /// Whether everything after `position` is still here.
    pub(super) fn knows(&self, position: u64) -> bool {
        (self.floor..=self.last).contains(&position)
    }

    /// Everything after `position`; `None` if something is missing.
    pub(super) fn after(&self, position: u64) -> Option<Vec<(u64, Word)>> {
        let later = self.kept.iter().filter(|kept| kept.position > position);
        self.knows(position).then(|| later.map(|kept| (kept.position, kept.word.clone())).collect())
    }
}

/// What a client gives back when it connects again: the process it spoke with, and how far it had read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) boot: u64,
    pub(super) position: u64,
}

impl Cursor {
    /// `None`: not one of ours. Its client gets a snapshot, as with one that is too old.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (boot, position) = text.split_once('.')?;
        Some(Self { boot: u64::from_str_radix(boot, 16).ok()?, position: position.parse().ok()? })
    }

    pub(super) fn text(self) -> String {
        format!("{:x}.{}", self.boot, self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::model::ring;
    use super::*;

    fn stopped(call: &str) -> Word {
        Word::Stopped { call: CallId::new(call), reason: StopReason::Cancelled }
    }

    fn positions(log: &Log, after: u64) -> Option<Vec<u64>> {
        log.after(after).map(|words| words.into_iter().map(|(position, _)| position).collect())
    }

    #[test]
    fn a_reader_goes_on_where_it_was_or_learns_that_something_is_missing() {
        let now = Instant::now();
        let mut log = Log::new(10);
        assert_eq!(positions(&log, 10), Some(vec![]));
        for (position, call) in [(11, "a"), (15, "b"), (16, "c"), (20, "d")] {
            log.push(position, now, stopped(call), 3);
        }
        assert_eq!(positions(&log, 15), Some(vec![16, 20]));
        assert_eq!(positions(&log, 11), Some(vec![15, 16, 20]));
        assert_eq!(positions(&log, 10), None, "11 is no longer kept");
        assert_eq!(positions(&log, 21), None, "of the future, or of another log");
    }

    #[test]
    fn what_a_later_word_makes_pointless_is_not_kept() {
        let now = Instant::now();
        let mut log = Log::new(0);
        log.push(1, now, Word::Ring(ring("a")), 64);
        log.push(2, now, Word::Ring(ring("b")), 64);
        log.push(3, now, stopped("a"), 64);
        assert_eq!(
            positions(&log, 0),
            Some(vec![2, 3]),
            "who missed the ring hears that it is over, not that it rings"
        );
    }

    #[test]
    fn old_words_are_forgotten() {
        let start = Instant::now();
        let mut log = Log::new(0);
        log.push(1, start, stopped("a"), 64);
        log.push(2, start + Duration::from_secs(1), stopped("b"), 64);
        log.forget(start + Duration::from_secs(1));
        assert_eq!((positions(&log, 0), positions(&log, 1)), (None, Some(vec![2])));
        log.clear();
        assert_eq!((positions(&log, 1), positions(&log, 2)), (None, Some(vec![])));
    }

    #[test]
    fn a_cursor_comes_back_and_rubbish_is_none() {
        let cursor = Cursor { boot: u64::MAX, position: 42 };
        assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
        for rubbish in ["", ".", "x.1", "1.", "1.-1", "1.1.1", "12"] {
            assert_eq!(Cursor::parse(rubbish), None, "{rubbish:?}");
        }
    }
}
