//! Keeps the world over a restart: one JSON file, replaced whole, at most once a second.
//!
//! A second's messages may be lost with the machine; the file is never half written. What Sluice knows of calls is not
//! here: it is asked again at each start.
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::app::App;
use crate::world::World;

const FILE: &str = "demo.json";
/// Of the file's form.
const VERSION: u32 = 1;
/// Between two writes. Longer loses more with the machine, shorter writes more.
const REST: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Disk {
    folder: PathBuf,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    world: &'a World,
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    world: World,
}

impl Disk {
    /// Makes the folder if it is missing.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, StartError> {
        std::fs::create_dir_all(&folder).map_err(|error| broken(&folder, &error))?;
        Ok(Self { folder })
    }

    /// `None`: there is nothing yet.
    pub(crate) fn read(&self) -> Result<Option<World>, StartError> {
        let path = self.folder.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(broken(&path, &error)),
        };
        let read: Read = serde_json::from_slice(&bytes).map_err(|error| broken(&path, &error))?;
        if read.version != VERSION {
            return Err(broken(&path, &format!("its version is {}, not {VERSION}", read.version)));
        }
        Ok(Some(read.world))
    }

    /// Replaces the file at once: whoever reads sees the old one or the new one.
    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        let file = tempfile::NamedTempFile::new_in(&self.folder)?;
        let mut writer = BufWriter::new(&file);
        writer.write_all(bytes)?;
        writer.flush()?;
        drop(writer);
        file.as_file().sync_data()?;
        file.persist(self.folder.join(FILE))?;
        Ok(())
    }
}

fn broken(path: &Path, problem: &impl ToString) -> StartError {
    StartError::Disk { path: path.to_owned(), problem: problem.to_string() }
}

/// Writes whenever something changed, and a last time at `stop`.
pub(crate) async fn keep(app: &App, stop: &CancellationToken) {
    let Some(disk) = &app.disk else { return };
    loop {
        let ending = tokio::select! {
            () = stop.cancelled() => true,
            () = app.dirty.notified() => false,
        };
        write_once(app, disk).await;
        if ending {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(REST) => {}
        }
    }
}

async fn write_once(app: &App, disk: &Disk) {
    let bytes = serde_json::to_vec(&Written { version: VERSION, world: &app.world() });
    let disk = disk.clone();
    let written = match bytes {
        Ok(bytes) => tokio::task::spawn_blocking(move || disk.write(&bytes)).await,
        Err(error) => return tracing::error!(%error, "the demo's state cannot be written as JSON"),
    };
    let problem = match written {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    metrics::counter!("sluice_demo_failed_writes_total").increment(1);
    tracing::error!(problem, "the demo's state was not written; the next change tries again");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_ours_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let disk = Disk::open(folder.path().to_owned()).unwrap();
        assert!(disk.read().unwrap().is_none());
        for text in ["not JSON", r#"{"version": 1}"#, r#"{"version": 99, "world": {}}"#] {
            std::fs::write(&path, text).unwrap();
            let error = disk.read().err().unwrap().to_string();
            assert!(error.contains("demo.json") && error.contains("remove it"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
