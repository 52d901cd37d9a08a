//! What every [`Store`] must do, as a program: run it against an implementation, on an empty store.
use std::sync::Arc;

use bytes::Bytes;

use super::{Revision, Store, StoreError};

/// What the store did wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Violation(String);

impl From<StoreError> for Violation {
    fn from(error: StoreError) -> Self {
        Self(format!("an operation that must succeed failed: {error}"))
    }
}

fn demand(holds: bool, rule: &str) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(rule.into())) }
}

fn conflicts<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict(_)))
}

/// Checks every rule. Leaves documents under `conformance/` behind.
pub async fn check(store: Arc<dyn Store>) -> Result<(), Violation> {
    documents_change_only_at_the_expected_revision(&*store).await?;
    deletion_is_guarded_too(&*store).await?;
    lists_are_by_prefix_and_in_order(&*store).await?;
    of_many_writers_one_wins_each_round(store).await
}

async fn documents_change_only_at_the_expected_revision(store: &dyn Store) -> Result<(), Violation> {
    let key = "conformance/a";
    demand(store.get(key).await?.is_none(), "an unknown key has no document")?;
    let guess = store.put(key, Bytes::from_static(b"x"), Some(Revision(1))).await;
    demand(conflicts(&guess), "an update of a missing document conflicts")?;
    let first = store.put(key, Bytes::from_static(b"one"), None).await?;
    let again = store.put(key, Bytes::from_static(b"two"), None).await;
    demand(conflicts(&again), "a second creation conflicts")?;
    let second = store.put(key, Bytes::from_static(b"two"), Some(first)).await?;
    demand(second > first, "revisions grow")?;
    let stale = store.put(key, Bytes::from_static(b"three"), Some(first)).await;
    demand(conflicts(&stale), "an update from an old revision conflicts")?;
    let document = store.get(key).await?;
    demand(
        document.is_some_and(|document| document.value == "two" && document.revision == second),
        "what was written last is read, with its revision",
    )
}

async fn deletion_is_guarded_too(store: &dyn Store) -> Result<(), Violation> {
    let key = "conformance/b";
    let first = store.put(key, Bytes::new(), None).await?;
    let second = store.put(key, Bytes::new(), Some(first)).await?;
    demand(conflicts(&store.delete(key, first).await), "a deletion at an old revision conflicts")?;
    store.delete(key, second).await?;
    demand(store.get(key).await?.is_none(), "a deleted document is gone")?;
    demand(conflicts(&store.delete(key, second).await), "a second deletion conflicts")?;
    let reborn = store.put(key, Bytes::new(), None).await?;
    demand(reborn > second, "a document that comes back has a revision that it never had")
}

async fn lists_are_by_prefix_and_in_order(store: &dyn Store) -> Result<(), Violation> {
    for key in ["conformance/list/2", "conformance/list/10", "conformance/list/1", "conformance/listen"] {
        store.put(key, Bytes::copy_from_slice(key.as_bytes()), None).await?;
    }
    let listed = store.list("conformance/list/").await?;
    let keys: Vec<&str> = listed.iter().map(|(key, _)| key.as_str()).collect();
    demand(
        keys == ["conformance/list/1", "conformance/list/10", "conformance/list/2"],
        "a list holds the keys with the prefix, in order",
    )?;
    demand(
        listed.iter().all(|(key, document)| document.value == key.as_bytes()),
        "a list holds the documents",
    )?;
    demand(store.list("conformance/nothing").await?.is_empty(), "a list of nothing is empty")
}

async fn of_many_writers_one_wins_each_round(store: Arc<dyn Store>) -> Result<(), Violation> {
    let key = "conformance/race";
    store.put(key, Bytes::from_static(&[0]), None).await?;
    let writers: Vec<_> = (0..8).map(|_| tokio::spawn(increment(store.clone(), key, 8))).collect();
    for writer in writers {
        writer.await.map_err(|error| Violation(error.to_string()))??;
    }
    let total = store.get(key).await?.and_then(|document| document.value.first().copied());
    demand(total == Some(64), "no update is lost among writers that retry")
}

async fn increment(store: Arc<dyn Store>, key: &str, times: u8) -> Result<(), Violation> {
    for _ in 0..times {
        loop {
            let Some(document) = store.get(key).await? else {
                return Err(Violation("a document vanished".into()));
            };
            let next = document.value.first().map_or(1, |count| count + 1);
            match store.put(key, Bytes::copy_from_slice(&[next]), Some(document.revision)).await {
                Ok(_) => break,
                Err(StoreError::Conflict(_)) => tokio::task::yield_now().await,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
