//! Where room management keeps what must outlive a process or be seen by several: one document per key, changed by
//! compare-and-set on its revision.
//!
//! An implementation proves itself with [`conformance::check`].
use async_trait::async_trait;
use bytes::Bytes;

pub mod conformance;
mod memory;

pub use memory::MemoryStore;

/// A state of one document. Later states have greater revisions; those of different keys cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// What is stored under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Opaque to the store.
    pub value: Bytes,
    /// Names this state.
    pub revision: Revision,
}

/// Why a change did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was first: read again, decide again.
    #[error("the document is not at the expected revision")]
    Conflict,
    /// The store cannot be reached or failed.
    #[error("the store failed: {0}")]
    Unavailable(String),
}

/// One document per key. Keys are `/`-separated paths of printable ASCII.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The document under `key`, if there is one.
    async fn get(&self, key: &str) -> Result<Option<Document>, StoreError>;

    /// Writes `value` if the document is at `expected` (`None`: if there is no document), and returns its revision.
    async fn put(&self, key: &str, value: Bytes, expected: Option<Revision>) -> Result<Revision, StoreError>;

    /// Removes the document if it is at `expected`.
    async fn delete(&self, key: &str, expected: Revision) -> Result<(), StoreError>;

    /// All documents whose key begins with `prefix`, ordered by key.
    async fn list(&self, prefix: &str) -> Result<Vec<(String, Document)>, StoreError>;
}
