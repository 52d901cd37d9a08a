//! A process that writes to a store on disk is killed at a random moment, again and again: the next one finds all that
//! was answered for, each document with exactly its events.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a panic is the report; answers are printed"
)]
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt;
use sluice_rooms::store::{Change, Durability, EmbeddedSettings, EmbeddedStore, Expected, Position, Store};

const FOLDER: &str = "STORE_TEST_FOLDER";
const DURABILITY: &str = "STORE_TEST_DURABILITY";
const WRITERS: usize = 8;
const ROUNDS: usize = 4;

fn settings(folder: &Path, relaxed: bool) -> EmbeddedSettings {
    let durability = if relaxed { Durability::Relaxed } else { Durability::Sync };
    EmbeddedSettings { durability, ..EmbeddedSettings::at(folder) }
}

/// What a writer writes: its document is its number, and each number is one event.
fn text(writer: usize, number: u64) -> String {
    format!("{writer} {number}")
}

#[test]
#[ignore = "not a test but the process that is killed"]
fn writes_until_killed() {
    let folder = std::env::var(FOLDER).expect("the parent names the folder");
    let settings = settings(Path::new(&folder), std::env::var(DURABILITY).is_ok());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(EmbeddedStore::open(settings).unwrap());
        let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(count(store.clone(), writer))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// Far more than a round takes; the bound ends a process whose parent has gone.
async fn count(store: Arc<EmbeddedStore>, writer: usize) {
    let key = format!("writer/{writer}");
    let before = store.get(&key).await.unwrap().map(|document| read(&document.value).1);
    let first = before.unwrap_or(0) + 1;
    for number in first..first + 100_000 {
        let value = Bytes::from(text(writer, number));
        let events = vec![value.clone()];
        let change = Change { key: key.clone(), expected: Expected::Any, value: Some(value), events };
        let committed = store.commit(vec![change]).await.unwrap()[0].unwrap();
        println!("ack {writer} {number} {}", committed.position.0);
    }
}

fn read(value: &[u8]) -> (usize, u64) {
    let (writer, number) = std::str::from_utf8(value).unwrap().split_once(' ').unwrap();
    (writer.parse().unwrap(), number.parse().unwrap())
}

/// Starts a writing process, kills it after `acks` answers, and returns all answers that it gave: number and position
/// by writer.
fn write_and_kill(folder: &Path, relaxed: bool, acks: usize) -> HashMap<usize, Vec<(u64, u64)>> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["writes_until_killed", "--exact", "--ignored", "--nocapture"]).env(FOLDER, folder);
    if relaxed {
        child.env(DURABILITY, "relaxed");
    }
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let mut answers: HashMap<usize, Vec<(u64, u64)>> = HashMap::new();
    let mut count = 0;
    // After the kill the pipe still holds what was printed before.
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let Some((_, fields)) = line.split_once("ack ") else { continue };
        let numbers: Vec<u64> = fields.split(' ').filter_map(|field| field.parse().ok()).collect();
        if let [writer, number, position] = numbers[..] {
            answers.entry(usize::try_from(writer).unwrap()).or_default().push((number, position));
        }
        count += 1;
        if count == acks {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(count >= acks, "the process ended by itself after {count} answers");
    answers
}

async fn everything_answered_for_is_there(folder: &Path, answers: &HashMap<usize, Vec<(u64, u64)>>) {
    let store = EmbeddedStore::open(settings(folder, false)).unwrap();
    let log = store.events(Position(0), usize::MAX).await.unwrap();
    assert!(log.iter().zip(1..).all(|((position, _), expected)| position.0 == expected), "a hole in the log");
    assert_eq!(store.span().await.unwrap().last, Position(log.len() as u64));
    let mut last: HashMap<usize, u64> = HashMap::new();
    for (_, event) in &log {
        let (writer, number) = read(event);
        let before = last.insert(writer, number).unwrap_or(0);
        assert_eq!(number, before + 1, "an event of writer {writer} is missing or twice there");
    }
    for (writer, answers) in answers {
        for (number, position) in answers {
            let (_, event) = &log[usize::try_from(*position).unwrap() - 1];
            assert_eq!(
                event,
                text(*writer, *number).as_bytes(),
                "an answer's event is where the answer says"
            );
        }
    }
    for (writer, number) in last {
        let document =
            store.get(&format!("writer/{writer}")).await.unwrap().expect("events without a document");
        assert_eq!(read(&document.value), (writer, number), "a document and its last event are one write");
    }
}

async fn survives(relaxed: bool) {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..ROUNDS {
        let acks = rand::rng().random_range(1..400);
        let answers = write_and_kill(folder.path(), relaxed, acks);
        everything_answered_for_is_there(folder.path(), &answers).await;
    }
}

#[tokio::test]
async fn synced_answers_survive_a_kill() {
    survives(false).await;
}

#[tokio::test]
async fn relaxed_answers_survive_a_kill() {
    survives(true).await;
}
