//! A store within this process: enough for one process, whose rooms come back from the node after a restart. Its log is
//! bounded: the oldest events make room for new ones.
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Change, Committed, Conflict, Document, Position, Revision, Span, Store, StoreError};

/// Events kept by default: some 50 MB of them at 400 bytes each. Fewer would be lost on a reader who was away for the
/// minute that a busy process needs to fill it.
const KEPT_EVENTS: usize = 100_000;

/// Documents and events in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    kept: usize,
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<String, Document>,
    /// Counts across keys, so that a document that comes back never has a revision that it had before.
    revision: u64,
    /// Oldest first; the newest is at `position`.
    events: VecDeque<Bytes>,
    position: u64,
}

impl State {
    fn apply(&mut self, change: Change) -> Result<Committed, Conflict> {
        let present = self.documents.get(&change.key).map(|document| document.revision);
        if !change.expected.admits(present) {
            return Err(Conflict);
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        match change.value {
            Some(value) => self.documents.insert(change.key, Document { value, revision }),
            None => self.documents.remove(&change.key),
        };
        self.position += change.events.len() as u64;
        self.events.extend(change.events);
        Ok(Committed { revision, position: Position(self.position) })
    }

    /// Of the newest event that is no longer there.
    fn forgotten(&self) -> u64 {
        self.position - self.events.len() as u64
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Without documents; keeps the last 100 000 events.
    pub fn new() -> Self {
        Self::keeping(KEPT_EVENTS)
    }

    /// Without documents; keeps the last `events` events.
    pub fn keeping(events: usize) -> Self {
        Self { state: Mutex::default(), kept: events }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, and a document is replaced whole: the state is never half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Document>, StoreError> {
        Ok(self.lock().documents.get(key).cloned())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Result<Committed, Conflict>>, StoreError> {
        let mut state = self.lock();
        let answers = changes.into_iter().map(|change| state.apply(change)).collect();
        let excess = state.events.len().saturating_sub(self.kept);
        state.events.drain(..excess);
        Ok(answers)
    }

    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Document)>, StoreError> {
        let state = self.lock();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let matching = state.documents.range::<str, _>((from, Bound::Unbounded));
        let matching = matching.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(matching.map(|(key, document)| (key.clone(), document.clone())).collect())
    }

    async fn events(&self, after: Position, limit: usize) -> Result<Vec<(Position, Bytes)>, StoreError> {
        let state = self.lock();
        let forgotten = state.forgotten();
        let skipped = usize::try_from(after.0.saturating_sub(forgotten)).unwrap_or(usize::MAX);
        let numbered = (forgotten + 1..).map(Position).zip(state.events.iter().cloned());
        Ok(numbered.skip(skipped).take(limit).collect())
    }

    async fn span(&self) -> Result<Span, StoreError> {
        let state = self.lock();
        Ok(Span { first: Position(state.forgotten() + 1), last: Position(state.position) })
    }

    async fn trim(&self, through: Position) -> Result<(), StoreError> {
        let mut state = self.lock();
        let count = through.0.min(state.position).saturating_sub(state.forgotten());
        // At most the length of the log, so it fits.
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(state.events.len());
        state.events.drain(..count);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{Expected, conformance};

    #[tokio::test]
    async fn memory_conforms() {
        conformance::check(Arc::new(MemoryStore::new())).await.unwrap();
    }

    #[tokio::test]
    async fn the_oldest_events_make_room_for_new_ones() {
        let store = MemoryStore::keeping(3);
        for number in 0..5_u8 {
            let events = vec![Bytes::copy_from_slice(&[number])];
            let change =
                Change { key: "a".into(), expected: Expected::Any, value: Some(Bytes::new()), events };
            store.commit(vec![change]).await.unwrap()[0].unwrap();
        }
        assert_eq!(store.span().await.unwrap(), Span { first: Position(3), last: Position(5) });
        let kept = store.events(Position(0), 10).await.unwrap();
        let kept: Vec<_> = kept.iter().map(|(position, event)| (position.0, event[0])).collect();
        assert_eq!(kept, [(3, 2), (4, 3), (5, 4)]);
    }
}
