//! The one thread that writes: it takes all commits that wait, writes them at once, then answers all of them. While a
//! write is under way the next ones gather, so that the group grows just as the disk gets slower.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fjall::{OwnedWriteBatch, PersistMode};
use metrics::{counter, gauge, histogram};
use tokio::sync::{mpsc, oneshot};

use super::files::{Counters, Files, document_row};
use super::{Durability, Shared};
use crate::store::{Change, Committed, Conflict, Position, Revision, StoreError};

/// A group takes no more commits beyond this: larger ones write no faster, and make those at the front wait.
const GROUP_BYTES: usize = 4 << 20;
/// Events that one trim forgets at a time, so that commits wait some milliseconds at most.
const TRIM_EVENTS: u64 = 4_096;
/// Between two looks at how much disk the store takes, each of which asks for the size of every file.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Before a store that failed is opened again, which reads the whole journal: a full disk is not emptied by asking.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) type Answers = Vec<Result<Committed, Conflict>>;

/// What waits for the thread.
pub(super) enum Request {
    Commit {
        changes: Vec<Change>,
        reply: oneshot::Sender<Result<Answers, StoreError>>,
    },
    /// Forgets some of the events up to `through`. Answers whether there are more.
    Trim {
        through: u64,
        reply: oneshot::Sender<Result<bool, StoreError>>,
    },
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Request>,
    measured: Option<Instant>,
}

/// Commits that are written together.
struct Group {
    files: Files,
    batch: OwnedWriteBatch,
    counters: Counters,
    /// What this group did to documents, which cannot be read back yet.
    changed: HashMap<String, Option<u64>>,
    bytes: usize,
    changes: usize,
    refused: u64,
}

/// Who is answered once the group is written.
enum Reply {
    Commit(Answers, oneshot::Sender<Result<Answers, StoreError>>),
    Trim(bool, oneshot::Sender<Result<bool, StoreError>>),
}

impl Reply {
    fn send(self, written: &Result<(), String>) {
        let failed = |error: &String| StoreError::Unavailable(error.clone());
        // Whoever asked may have gone away: the change stands all the same.
        match self {
            Self::Commit(answers, reply) => {
                let _ = reply.send(written.as_ref().map(|()| answers).map_err(failed));
            }
            Self::Trim(more, reply) => {
                let _ = reply.send(written.as_ref().map(|()| more).map_err(failed));
            }
        }
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, queue: mpsc::Receiver<Request>) -> Self {
        Self { shared, queue, measured: None }
    }

    /// Until the store is dropped, and what waited then is written.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let mut replies = Vec::new();
            let written = self.write(first, &mut replies);
            if let Err(error) = &written {
                counter!("sluice_rooms_store_errors_total").increment(1);
                tracing::error!(path = %self.shared.settings.path.display(), %error, "the store failed");
            }
            for reply in replies {
                reply.send(&written);
            }
            if written.is_err() {
                self.recover();
            }
        }
    }

    /// So that readers have it again, also if nobody commits. If it fails, the next commit tries and says why.
    fn recover(&self) {
        std::thread::sleep(PAUSE);
        if let Err(error) = self.shared.files_or_reopen() {
            tracing::warn!(%error, "the store stays closed until the next commit");
        }
    }

    fn write(&mut self, first: Request, replies: &mut Vec<Reply>) -> Result<(), String> {
        let opened = self.shared.files_or_reopen();
        let (files, counters) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                replies.push(refusal(first));
                return Err(error.to_string());
            }
        };
        let durability = match self.shared.settings.durability {
            Durability::Sync => PersistMode::SyncData,
            Durability::Relaxed => PersistMode::Buffer,
        };
        let mut group = Group::new(files, counters, durability);
        let mut next = Some(first);
        while let Some(request) = next {
            if let Err(error) = group.take(request, replies) {
                drop(group);
                return Err(self.fail(&error));
            }
            next = if group.bytes < GROUP_BYTES { self.queue.try_recv().ok() } else { None };
        }
        self.finish(group)
    }

    fn finish(&mut self, group: Group) -> Result<(), String> {
        let Group { files, mut batch, counters, changes, refused, .. } = group;
        let started = Instant::now();
        if counters != self.shared.counters() {
            batch.insert(&files.events, Counters::KEY, counters.to_row());
            if let Err(error) = batch.commit() {
                drop(files);
                return Err(self.fail(&error));
            }
            self.shared.set_counters(counters);
        }
        #[allow(clippy::cast_precision_loss, reason = "a few thousand at most")]
        histogram!("sluice_rooms_store_commit_changes").record(changes as f64);
        histogram!("sluice_rooms_store_commit_seconds").record(started.elapsed());
        counter!("sluice_rooms_store_conflicts_total").increment(refused);
        self.measure(&files, counters);
        Ok(())
    }

    /// After a failed write the engine takes no more, since it cannot know what the disk holds: reading the journal
    /// anew tells. So the store is closed here, to be opened again.
    fn fail(&self, error: &fjall::Error) -> String {
        self.shared.close();
        match error {
            fjall::Error::Io(source) => format!("{}: {source}", self.shared.settings.path.display()),
            other => format!("{}: {other}", self.shared.settings.path.display()),
        }
    }

    fn measure(&mut self, files: &Files, counters: Counters) {
        if self.measured.is_some_and(|measured| measured.elapsed() < MEASURE_EVERY) {
            return;
        }
        self.measured = Some(Instant::now());
        #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        if let Ok(bytes) = files.database.disk_space() {
            gauge!("sluice_rooms_store_bytes").set(bytes as f64);
            gauge!("sluice_rooms_store_events").set((counters.position + 1 - counters.first) as f64);
        }
    }
}

fn refusal(request: Request) -> Reply {
    match request {
        Request::Commit { reply, .. } => Reply::Commit(Vec::new(), reply),
        Request::Trim { reply, .. } => Reply::Trim(false, reply),
    }
}

impl Group {
    fn new(files: Files, counters: Counters, durability: PersistMode) -> Self {
        let batch = files.database.batch().durability(Some(durability));
        Self { files, batch, counters, changed: HashMap::new(), bytes: 0, changes: 0, refused: 0 }
    }

    /// An error leaves the request's reply among `replies` all the same.
    fn take(&mut self, request: Request, replies: &mut Vec<Reply>) -> fjall::Result<()> {
        match request {
            Request::Commit { changes, reply } => {
                let answers: fjall::Result<Answers> =
                    changes.into_iter().map(|change| self.apply(change)).collect();
                let (answers, result) = match answers {
                    Ok(answers) => (answers, Ok(())),
                    Err(error) => (Vec::new(), Err(error)),
                };
                replies.push(Reply::Commit(answers, reply));
                result
            }
            Request::Trim { through, reply } => {
                replies.push(Reply::Trim(self.trim(through), reply));
                Ok(())
            }
        }
    }

    fn apply(&mut self, change: Change) -> fjall::Result<Result<Committed, Conflict>> {
        let present = match self.changed.get(&change.key) {
            Some(present) => present.map(Revision),
            None => self.files.document(&change.key)?.map(|document| document.revision),
        };
        if !change.expected.admits(present) {
            self.refused += 1;
            return Ok(Err(Conflict));
        }
        self.counters.revision += 1;
        let revision = self.counters.revision;
        self.changes += 1;
        self.bytes += change.key.len() + change.value.as_ref().map_or(0, bytes::Bytes::len);
        match &change.value {
            Some(value) => {
                let row = document_row(revision, value);
                self.batch.insert(&self.files.documents, change.key.as_str(), row);
            }
            None => self.batch.remove(&self.files.documents, change.key.as_str()),
        }
        self.changed.insert(change.key, change.value.map(|_| revision));
        for event in change.events {
            self.counters.position += 1;
            self.bytes += event.len();
            self.batch.insert(&self.files.events, self.counters.position.to_be_bytes(), &event[..]);
        }
        Ok(Ok(Committed { revision: Revision(revision), position: Position(self.counters.position) }))
    }

    /// Whether there are more to forget.
    fn trim(&mut self, through: u64) -> bool {
        let through = through.min(self.counters.position);
        let until = through.min(self.counters.first.saturating_add(TRIM_EVENTS - 1));
        for position in self.counters.first..=until {
            self.batch.remove(&self.files.events, position.to_be_bytes());
            self.counters.first = position + 1;
        }
        until < through
    }
}
