//! What lies on disk: the folder, its two keyspaces, and how documents, events and counters look as bytes.
//!
//! * `documents`: key -> revision (8 bytes, big endian), then the document's value.
//! * `events`: position (8 bytes, big endian) -> the event. Position 0, which no event has, holds the [`Counters`]: so
//!   every commit writes to both keyspaces, and neither holds back the engine's journal.
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::EmbeddedSettings;
use crate::store::{Document, Position, Revision};

/// Of the rows above. Another one means another version of this program.
const FORMAT: u8 = 1;
/// The file by which the engine knows its own folder.
const MARK: &str = "version";
/// The journal is played back at start, and takes this much disk at most. The engine's own default is 512 MiB; less
/// than 64 MiB it refuses.
const JOURNAL_BYTES: u64 = 128 << 20;
/// Written to a table on disk when it is full, one for each keyspace.
const MEMTABLE_BYTES: u64 = 16 << 20;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Two processes at once would destroy it.
    #[error("the store {} is open in another process: stop that one, or give this one a folder of its own", .0.display())]
    Locked(PathBuf),
    /// The files are from another version.
    #[error("the store {} was written by another version (format {found}): use that version, or move the folder away to begin anew", path.display())]
    Version {
        /// The store's folder.
        path: PathBuf,
        /// As far as it can be told.
        found: String,
    },
    /// The folder holds something else.
    #[error("{} holds other files than a store: name an empty folder, or one that does not exist yet", .0.display())]
    Foreign(PathBuf),
    /// The operating system refuses.
    #[error("the store {} cannot be used: {source}; it needs a folder that this user may write to, on a disk with space left", path.display())]
    Io {
        /// The store's folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The files contradict themselves.
    #[error("the store {} is damaged ({detail}): restore a copy, or move the folder away to begin anew", path.display())]
    Damaged {
        /// The store's folder.
        path: PathBuf,
        /// What the engine said.
        detail: String,
    },
}

impl OpenError {
    fn of(path: &Path, error: fjall::Error) -> Self {
        let path = path.to_owned();
        match error {
            fjall::Error::Locked => Self::Locked(path),
            fjall::Error::InvalidVersion(found) => {
                Self::Version { path, found: found.map_or("unknown".into(), |found| format!("{found:?}")) }
            }
            fjall::Error::Io(source) => Self::Io { path, source },
            other => Self::Damaged { path, detail: other.to_string() },
        }
    }
}

/// How far the store has counted. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counters {
    /// Of the last change.
    pub(super) revision: u64,
    /// Of the last event.
    pub(super) position: u64,
    /// Of the oldest event kept.
    pub(super) first: u64,
}

impl Counters {
    const NONE: Self = Self { revision: 0, position: 0, first: 1 };
    /// Where they are in `events`.
    pub(super) const KEY: [u8; 8] = [0; 8];

    pub(super) fn to_row(self) -> Vec<u8> {
        let mut row = vec![FORMAT];
        for number in [self.revision, self.position, self.first] {
            row.extend_from_slice(&number.to_be_bytes());
        }
        row
    }

    /// Or the format that the row claims, which is not ours.
    fn from_row(row: &[u8]) -> Result<Self, String> {
        let (&format, rest) = row.split_first().ok_or("none")?;
        let numbers: Vec<u64> =
            rest.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
        match (format, numbers.as_slice()) {
            (FORMAT, &[revision, position, first]) => Ok(Self { revision, position, first }),
            _ => Err(format.to_string()),
        }
    }
}

/// An open store. Clones are handles to the same; the folder is unlocked when the last is dropped.
#[derive(Clone)]
pub(super) struct Files {
    pub(super) database: Database,
    pub(super) documents: Keyspace,
    pub(super) events: Keyspace,
}

impl Files {
    /// Opens the store in the folder, or makes one there.
    pub(super) fn open(settings: &EmbeddedSettings) -> Result<(Self, Counters), OpenError> {
        let path = settings.path.as_path();
        let failed = |error| OpenError::of(path, error);
        prepare(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        if is_foreign(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })? {
            return Err(OpenError::Foreign(path.to_owned()));
        }
        let builder = Database::builder(path).cache_size(settings.cache_bytes).worker_threads(1);
        let database = builder.max_journaling_size(JOURNAL_BYTES).open().map_err(failed)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let documents = database.keyspace("documents", options).map_err(failed)?;
        let events = database.keyspace("events", options).map_err(failed)?;
        let counters = match events.get(Counters::KEY).map_err(failed)? {
            Some(row) => {
                let version = |found| OpenError::Version { path: path.to_owned(), found };
                Counters::from_row(&row).map_err(version)?
            }
            None => Counters::NONE,
        };
        Ok((Self { database, documents, events }, counters))
    }

    /// Whether no write failed so far. After one the engine takes no more, until it is opened anew.
    pub(super) fn takes_writes(&self) -> bool {
        // Nothing is buffered between commits, so that this only looks.
        self.database.persist(PersistMode::Buffer).is_ok()
    }

    pub(super) fn document(&self, key: &str) -> fjall::Result<Option<Document>> {
        // The engine refuses an empty key, which no document has.
        if key.is_empty() {
            return Ok(None);
        }
        self.documents.get(key)?.map(|row| document(&row)).transpose()
    }

    pub(super) fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> fjall::Result<Vec<(String, Document)>> {
        let after = after.filter(|after| *after >= prefix);
        let from = after.unwrap_or(prefix).as_bytes().to_vec();
        let mut page = Vec::new();
        for row in self.documents.range(from..) {
            if page.len() == limit {
                break;
            }
            let (key, row) = row.into_inner()?;
            if !key.starts_with(prefix.as_bytes()) {
                break;
            }
            if after.is_some_and(|after| after.as_bytes() == &*key) {
                continue;
            }
            page.push((String::from_utf8_lossy(&key).into_owned(), document(&row)?));
        }
        Ok(page)
    }

    /// From `from`, which is after 0.
    pub(super) fn events(&self, from: u64, limit: usize) -> fjall::Result<Vec<(Position, Bytes)>> {
        let rows = self.events.range(from.to_be_bytes()..).take(limit);
        rows.map(|row| {
            let (key, event) = row.into_inner()?;
            let position = key.first_chunk().ok_or_else(damaged)?;
            Ok((Position(u64::from_be_bytes(*position)), Bytes::copy_from_slice(&event)))
        })
        .collect()
    }
}

/// A document as it lies in `documents`.
pub(super) fn document_row(revision: u64, value: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(8 + value.len());
    row.extend_from_slice(&revision.to_be_bytes());
    row.extend_from_slice(value);
    row
}

fn document(row: &[u8]) -> fjall::Result<Document> {
    let (revision, value) = row.split_first_chunk().ok_or_else(damaged)?;
    Ok(Document { value: Bytes::copy_from_slice(value), revision: Revision(u64::from_be_bytes(*revision)) })
}

fn damaged() -> fjall::Error {
    fjall::Error::Io(io::Error::new(io::ErrorKind::InvalidData, "a row is shorter than its number"))
}

/// Only this user may look into the folder: documents name people. A folder that was there keeps its owner's choice.
fn prepare(path: &Path) -> io::Result<()> {
    if !path.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        return std::fs::set_permissions(path, Permissions::from_mode(0o700));
    }
    let open_to_others = std::fs::metadata(path)?.permissions().mode() & 0o077;
    if open_to_others != 0 {
        tracing::warn!(path = %path.display(), "other users may look into the store: chmod 700 the folder");
    }
    Ok(())
}

fn is_foreign(path: &Path) -> io::Result<bool> {
    let holds_something = std::fs::read_dir(path)?.next().is_some();
    // A process that died while it made the store may leave the lock alone.
    Ok(holds_something && !path.join(MARK).exists() && !path.join("lock").exists())
}
