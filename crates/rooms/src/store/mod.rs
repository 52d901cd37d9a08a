//! Where room management keeps what must outlive a process or be seen by several: one document per key, changed by
//! compare-and-set on its revision, and one log of events, which grow only together with a change of a document.
//!
//! An implementation proves itself with [`conformance::check`].
use async_trait::async_trait;
use bytes::Bytes;

pub mod conformance;
mod embedded;
mod memory;

pub use embedded::{Durability, EmbeddedSettings, EmbeddedStore, OpenError};
pub use memory::MemoryStore;

/// How many documents [`Store::list`] asks for at once: a few hundred KiB of them, read in some milliseconds.
const LIST_PAGE: usize = 256;

/// A state of one document. Later states have greater revisions; those of different keys cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// Where an event stands in the log. The first event ever has 1, and each next one has one more, also after a trim or
/// a restart; 0 is "before the first".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// What is stored under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Opaque to the store.
    pub value: Bytes,
    /// Names this state.
    pub revision: Revision,
}

/// What must be there for a change to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there, or nothing.
    Any,
    /// No document.
    Absent,
    /// The document at this revision.
    At(Revision),
}

impl Expected {
    /// Whether a document at `present` (`None`: no document) is what is expected.
    pub fn admits(self, present: Option<Revision>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => present.is_none(),
            Self::At(revision) => present == Some(revision),
        }
    }
}

/// A document's next state and the events of that transition: one atomic write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of the document.
    pub key: String,
    /// What must be there, at this change's turn in the batch.
    pub expected: Expected,
    /// The next state. `None` removes the document.
    pub value: Option<Bytes>,
    /// Appended to the log in this order. Opaque to the store.
    pub events: Vec<Bytes>,
}

/// A change happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Of the document's new state; of a removal, a revision that no state has.
    pub revision: Revision,
    /// Of the change's last event; if it has none, of the last event before it.
    pub position: Position,
}

/// A change did not happen: the document is not what was expected. Somebody else was first: read again, decide again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document is not at the expected revision")]
pub struct Conflict;

/// Which events the log holds: `first` to `last`, both included. `first` is one after `last` while it holds none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Of the oldest event kept.
    pub first: Position,
    /// Of the newest event that there ever was.
    pub last: Position,
}

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was first: read again, decide again.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The store cannot be reached or failed. Of a commit: its changes may or may not have happened.
    #[error("the store failed: {0}")]
    Unavailable(String),
}

/// One document per key, and a log of events. Keys are `/`-separated paths of printable ASCII.
///
/// **A change is there whole, with its events, or not at all; what is answered for stays.**
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The document under `key`, if there is one.
    async fn get(&self, key: &str) -> Result<Option<Document>, StoreError>;

    /// Applies `changes` in order, each seeing those before it, and answers for each in the same order.
    ///
    /// Each is atomic by itself; one whose expectation fails is refused alone. All that are answered for are as durable
    /// as the store is set to make them. Changes of others may come between; their events too. On an error of the
    /// whole, each change may or may not have happened: read again. Dropping the future takes nothing back.
    async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Result<Committed, Conflict>>, StoreError>;

    /// At most `limit` documents whose key begins with `prefix` and comes after `after`, ordered by key (bytes).
    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Document)>, StoreError>;

    /// At most `limit` events after `after`, oldest first.
    ///
    /// Positions have no holes: a first one greater than `after` + 1 tells that those between were forgotten.
    async fn events(&self, after: Position, limit: usize) -> Result<Vec<(Position, Bytes)>, StoreError>;

    /// Which events the log holds.
    async fn span(&self) -> Result<Span, StoreError>;

    /// Forgets events up to and including `through`; a position beyond the last forgets all.
    async fn trim(&self, through: Position) -> Result<(), StoreError>;

    /// All documents whose key begins with `prefix`, ordered by key. Read in pages: one that changes meanwhile may be
    /// listed in either state.
    async fn list(&self, prefix: &str) -> Result<Vec<(String, Document)>, StoreError> {
        let mut listed = self.page(prefix, None, LIST_PAGE).await?;
        let mut more = listed.len() == LIST_PAGE;
        while more {
            let after = listed.last().map(|(key, _)| key.clone());
            let page = self.page(prefix, after.as_deref(), LIST_PAGE).await?;
            more = page.len() == LIST_PAGE;
            listed.extend(page);
        }
        Ok(listed)
    }

    /// Writes `value` if the document is at `expected` (`None`: if there is no document), and returns its revision.
    async fn put(&self, key: &str, value: Bytes, expected: Option<Revision>) -> Result<Revision, StoreError> {
        let expected = expected.map_or(Expected::Absent, Expected::At);
        let change = Change { key: key.into(), expected, value: Some(value), events: Vec::new() };
        alone(self.commit(vec![change]).await?).map(|committed| committed.revision)
    }

    /// Removes the document if it is at `expected`.
    async fn delete(&self, key: &str, expected: Revision) -> Result<(), StoreError> {
        let expected = Expected::At(expected);
        let change = Change { key: key.into(), expected, value: None, events: Vec::new() };
        alone(self.commit(vec![change]).await?).map(|_| ())
    }
}

/// The answer to a batch of one.
fn alone(answers: Vec<Result<Committed, Conflict>>) -> Result<Committed, StoreError> {
    match answers.into_iter().next() {
        Some(answer) => Ok(answer?),
        None => Err(StoreError::Unavailable("a change was not answered for".into())),
    }
}
