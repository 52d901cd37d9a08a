//! A store in a folder on disk: enough for one process that shall forget nothing. Nothing to install.
//!
//! The engine is `fjall`, a log-structured tree in pure Rust: a commit is one sequential append to its journal, which
//! is played back after a crash, and tables are written later in the background. A copy-on-write B-tree (`redb`, one
//! file) was measured beside it, on one disk and with groups of 256 changes of 1 KiB and two events: little more than
//! half the changes per second and almost three times the bytes written, because each document costs a page of 4 KiB
//! where it lies. Nor has it a way to survive `kill -9` but a synced commit; a journal has ([`Durability::Relaxed`]).
//!
//! The way of a change: `commit` -> bounded queue -> `writer` (one thread; all that wait become one write) -> reply.
//! Reads go past it, on the runtime's threads for blocking work, and see only what is written.
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{Change, Committed, Conflict, Document, Position, Span, Store, StoreError};

mod files;
#[cfg(test)]
mod tests;
mod writer;

pub use files::OpenError;
use files::{Counters, Files};
use writer::{Request, Writer};

/// What a commit that was answered for survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The end of the process and the loss of power: `fdatasync` before the answer.
    #[default]
    Sync,
    /// The end of the process, also by `kill -9`, but not the loss of power or of the operating system: the answer
    /// comes when the system has the write. The last seconds may then be missing, the youngest first.
    Relaxed,
}

/// Where and how an [`EmbeddedStore`] keeps things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedSettings {
    /// A folder; made, for this user alone, if it does not exist. Its parents too.
    pub path: PathBuf,
    /// What an answer means.
    pub durability: Durability,
    /// Memory for what was read from disk, in bytes. What was written last takes up to 16 MiB for each of documents
    /// and events besides, and a little more while it goes to disk.
    pub cache_bytes: u64,
    /// Commits that may wait. The next ones wait to wait: whoever commits is slowed down to the disk's pace.
    pub queue: usize,
}

impl EmbeddedSettings {
    /// Synced, with 32 MiB of cache and a queue of 1024 commits.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durability: Durability::Sync, cache_bytes: 32 << 20, queue: 1_024 }
    }
}

/// Documents and events in a folder. Dropping it writes what waits and closes the folder, which takes a moment.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

/// What the writer and readers both see.
struct Shared {
    settings: EmbeddedSettings,
    state: Mutex<State>,
}

struct State {
    /// `None` after a failure, until the writer has opened it again.
    files: Option<Files>,
    counters: Counters,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, and each field is replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> Result<Files, StoreError> {
        self.lock().files.clone().ok_or_else(|| {
            let path = self.settings.path.display();
            StoreError::Unavailable(format!("{path} failed before and was not opened again yet"))
        })
    }

    /// For the writer alone.
    fn files_or_reopen(&self) -> Result<(Files, Counters), OpenError> {
        let present = {
            let state = self.lock();
            state.files.clone().map(|files| (files, state.counters))
        };
        // The engine also fails behind our back, when it writes tables.
        match present {
            Some((files, counters)) if files.takes_writes() => return Ok((files, counters)),
            present => drop(present),
        }
        self.close();
        // Not under the lock: readers hold on to it on the runtime's threads, and this takes its time.
        let (files, counters) = Files::open(&self.settings)?;
        tracing::info!(path = %self.settings.path.display(), "the store is open again");
        *self.lock() = State { files: Some(files.clone()), counters };
        Ok((files, counters))
    }

    fn close(&self) {
        let files = self.lock().files.take();
        // Closing joins the engine's threads: not under the lock.
        drop(files);
    }

    fn counters(&self) -> Counters {
        self.lock().counters
    }

    fn set_counters(&self, counters: Counters) {
        self.lock().counters = counters;
    }
}

impl EmbeddedStore {
    /// Opens the store in the folder, or makes one there. Blocks while the journal of an earlier process is read,
    /// which takes a second or two where it is full.
    pub fn open(settings: EmbeddedSettings) -> Result<Self, OpenError> {
        let (files, counters) = Files::open(&settings)?;
        let path = settings.path.clone();
        let (queue, waiting) = mpsc::channel(settings.queue.max(1));
        let state = Mutex::new(State { files: Some(files), counters });
        let shared = Arc::new(Shared { settings, state });
        let writer = Writer::new(shared.clone(), waiting);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || writer.run());
        let thread = thread.map_err(|source| OpenError::Io { path, source })?;
        Ok(Self { shared, queue: Some(queue), thread: Some(thread) })
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let ended = || StoreError::Unavailable("its writer ended".into());
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue.send(request(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// A read may wait for the disk: not on a thread that others' tasks need.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Files) -> fjall::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let files = self.shared.files()?;
        let result = tokio::task::spawn_blocking(move || read(&files)).await;
        let result = result.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        result.map_err(|error| {
            metrics::counter!("sluice_rooms_store_errors_total").increment(1);
            StoreError::Unavailable(format!("{}: {error}", self.shared.settings.path.display()))
        })
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        // The writer ends when no sender is left and nothing waits.
        self.queue = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer had panicked");
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn get(&self, key: &str) -> Result<Option<Document>, StoreError> {
        let key = key.to_owned();
        self.read(move |files| files.document(&key)).await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Result<Committed, Conflict>>, StoreError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(|reply| Request::Commit { changes, reply }).await
    }

    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Document)>, StoreError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.read(move |files| files.page(&prefix, after.as_deref(), limit)).await
    }

    async fn events(&self, after: Position, limit: usize) -> Result<Vec<(Position, Bytes)>, StoreError> {
        let Some(next) = after.0.checked_add(1) else { return Ok(Vec::new()) };
        let from = next.max(self.shared.counters().first);
        self.read(move |files| files.events(from, limit)).await
    }

    async fn span(&self) -> Result<Span, StoreError> {
        let counters = self.shared.counters();
        Ok(Span { first: Position(counters.first), last: Position(counters.position) })
    }

    async fn trim(&self, through: Position) -> Result<(), StoreError> {
        while self.ask(|reply| Request::Trim { through: through.0, reply }).await? {}
        Ok(())
    }
}
