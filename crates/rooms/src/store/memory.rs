//! A store within this process: enough for one process, whose rooms come back from the node after a restart.
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Document, Revision, Store, StoreError};

/// Documents in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<String, Document>,
    /// Counts across keys, so that a document that comes back never has a revision that it had before.
    last: u64,
}

impl MemoryStore {
    /// Without documents.
    pub fn new() -> Self {
        Self::default()
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

    async fn put(&self, key: &str, value: Bytes, expected: Option<Revision>) -> Result<Revision, StoreError> {
        let mut state = self.lock();
        if state.documents.get(key).map(|document| document.revision) != expected {
            return Err(StoreError::Conflict);
        }
        state.last += 1;
        let revision = Revision(state.last);
        state.documents.insert(key.into(), Document { value, revision });
        Ok(revision)
    }

    async fn delete(&self, key: &str, expected: Revision) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.documents.get(key).map(|document| document.revision) != Some(expected) {
            return Err(StoreError::Conflict);
        }
        state.documents.remove(key);
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Document)>, StoreError> {
        let state = self.lock();
        let from = state.documents.range(prefix.to_owned()..);
        let matching = from.take_while(|(key, _)| key.starts_with(prefix));
        Ok(matching.map(|(key, document)| (key.clone(), document.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn memory_conforms() {
        let store = std::sync::Arc::new(super::MemoryStore::new());
        super::super::conformance::check(store).await.unwrap();
    }
}
