//! The store on disk: what holds beyond one process, and what it says when the disk does not play along.
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::store::{Expected, conformance};

fn change(key: &str, value: &'static str, events: &[&'static str]) -> Change {
    let events = events.iter().map(|event| Bytes::from_static(event.as_bytes())).collect();
    let value = Some(Bytes::from_static(value.as_bytes()));
    Change { key: key.into(), expected: Expected::Any, value, events }
}

#[tokio::test]
async fn embedded_conforms() {
    for durability in [Durability::Sync, Durability::Relaxed] {
        let folder = tempfile::tempdir().unwrap();
        let settings = EmbeddedSettings { durability, ..EmbeddedSettings::at(folder.path().join("store")) };
        conformance::check(Arc::new(EmbeddedStore::open(settings).unwrap())).await.unwrap();
    }
}

#[tokio::test]
async fn another_process_finds_everything_and_counts_on() {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedSettings::at(folder.path().join("a/b/store"));
    let store = EmbeddedStore::open(settings.clone()).unwrap();
    let batch = vec![change("a", "1", &["x", "y"]), change("b", "2", &["z"])];
    let committed = store.commit(batch).await.unwrap()[1].unwrap();
    assert_eq!(committed.position, Position(3));
    store.trim(Position(9)).await.unwrap();
    store.delete("b", committed.revision).await.unwrap();
    drop(store);
    let mode = std::fs::metadata(&settings.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "documents are nobody else's business");

    let store = EmbeddedStore::open(settings).unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().value, "1");
    assert_eq!(store.get("b").await.unwrap(), None);
    assert_eq!(store.span().await.unwrap(), Span { first: Position(4), last: Position(3) });
    let reborn = store.commit(vec![change("b", "3", &["again"])]).await.unwrap()[0].unwrap();
    assert_eq!(reborn.position, Position(4), "positions go on where they were");
    assert!(reborn.revision.0 > committed.revision.0 + 1, "revisions too, the removal's included");
    let events = store.events(Position(0), 9).await.unwrap();
    assert_eq!(events, [(Position(4), Bytes::from_static(b"again"))]);
}

#[tokio::test]
async fn a_store_that_is_open_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedSettings::at(folder.path().join("store"));
    let first = EmbeddedStore::open(settings.clone()).unwrap();
    let error = EmbeddedStore::open(settings.clone()).err().unwrap();
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
    assert!(error.to_string().contains(settings.path.to_str().unwrap()), "{error}");
    drop(first);
    EmbeddedStore::open(settings).unwrap();
}

#[test]
fn folders_that_cannot_hold_a_store_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: PathBuf| EmbeddedStore::open(EmbeddedSettings::at(path)).err().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = open(path.clone());
        assert!(matches!(error, OpenError::Io { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let error = open(folder.path().into());
    assert!(matches!(error, OpenError::Foreign(_)), "{error}");
    assert!(file.exists(), "what was there is left alone");
}

#[tokio::test]
async fn files_of_another_version_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedSettings::at(folder.path().join("store"));
    let (files, _) = Files::open(&settings).unwrap();
    files.events.insert(Counters::KEY, [9_u8; 40]).unwrap();
    drop(files);
    let error = EmbeddedStore::open(settings).err().unwrap();
    assert!(matches!(&error, OpenError::Version { found, .. } if found == "9"), "{error}");
}

#[tokio::test]
async fn a_failed_store_opens_again_with_the_next_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedSettings::at(folder.path().join("store"))).unwrap();
    store.commit(vec![change("a", "1", &["x"])]).await.unwrap()[0].unwrap();
    store.shared.close();
    assert!(matches!(store.get("a").await, Err(StoreError::Unavailable(_))));
    let next = store.commit(vec![change("a", "2", &["y"])]).await.unwrap()[0].unwrap();
    assert_eq!(next.position, Position(2));
    assert_eq!(store.get("a").await.unwrap().unwrap().value, "2");
}

#[tokio::test]
async fn a_long_log_is_forgotten_piece_by_piece() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedSettings::at(folder.path().join("store"))).unwrap();
    let long = vec!["event"; 10_000];
    store.commit(vec![change("a", "1", &long)]).await.unwrap()[0].unwrap();
    store.trim(Position(9_990)).await.unwrap();
    assert_eq!(store.span().await.unwrap(), Span { first: Position(9_991), last: Position(10_000) });
    assert_eq!(store.events(Position(5), 20).await.unwrap().len(), 10);
}
