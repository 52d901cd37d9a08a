//! When a caller was first seen: what makes an account fresh. Kept in the store, so that a restart makes nobody fresh again.
use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache;
use sluice_calls::{Time, UserId};

use crate::store::{Store, StoreError};

#[derive(Clone)]
pub(super) struct FirstSeen {
    store: Arc<dyn Store>,
    cache: Cache<UserId, Time>,
}

impl FirstSeen {
    pub(super) fn new(store: Arc<dyn Store>, remembered: u64) -> Self {
        Self { store, cache: Cache::new(remembered) }
    }

    /// When `user` was first seen, perhaps just now: then it is written, once in this user's life.
    pub(super) async fn of(&self, now: Time, user: &UserId) -> Result<Time, StoreError> {
        if let Some(first) = self.cache.get(user) {
            return Ok(first);
        }
        let key = format!("calls/seen/{user}");
        let first = match self.store.get(&key).await? {
            Some(document) => read(&key, &document.value)?,
            None => match self.store.put(&key, Bytes::from(now.0.to_string()), None).await {
                // Somebody else wrote it at the same moment.
                Ok(_) | Err(StoreError::Conflict(_)) => now,
                Err(error) => return Err(error),
            },
        };
        self.cache.insert(user.clone(), first);
        Ok(first)
    }
}

fn read(key: &str, value: &[u8]) -> Result<Time, StoreError> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.map(Time).ok_or_else(|| StoreError::Unavailable(format!("the document {key} cannot be read")))
}
