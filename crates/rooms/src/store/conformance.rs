//! What every [`Store`] must do, as a program: run it against an implementation, on an empty store.
use std::sync::Arc;

use bytes::Bytes;

use super::{Change, Committed, Conflict, Expected, Position, Revision, Span, Store, StoreError};

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

/// Checks every rule. Leaves documents under `conformance/` behind. The store must keep 500 events.
pub async fn check(store: Arc<dyn Store>) -> Result<(), Violation> {
    an_empty_store_has_an_empty_log(&*store).await?;
    documents_change_only_at_the_expected_revision(&*store).await?;
    deletion_is_guarded_too(&*store).await?;
    lists_are_by_prefix_and_in_order(&*store).await?;
    pages_follow_on_each_other(&*store).await?;
    each_expectation_admits_what_it_says(&*store).await?;
    a_batch_applies_in_order(&*store).await?;
    a_conflict_refuses_one_change_alone_with_its_events(&*store).await?;
    events_are_read_in_pieces(&*store).await?;
    a_trim_forgets_events_but_not_positions(&*store).await?;
    writers_at_once_have_their_events_whole(store.clone()).await?;
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

fn change(key: &str, expected: Expected, value: Option<&str>, events: &[&str]) -> Change {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let events = events.iter().map(|event| bytes(event)).collect();
    Change { key: format!("conformance/{key}"), expected, value: value.map(bytes), events }
}

/// Commits one change that must succeed.
async fn commit(store: &dyn Store, change: Change) -> Result<Committed, Violation> {
    let answers = store.commit(vec![change]).await?;
    match answers.as_slice() {
        [Ok(committed)] => Ok(*committed),
        _ => Err(Violation("a change without conflict is committed, and answered for once".into())),
    }
}

async fn last(store: &dyn Store) -> Result<Position, Violation> {
    Ok(store.span().await?.last)
}

async fn an_empty_store_has_an_empty_log(store: &dyn Store) -> Result<(), Violation> {
    let span = store.span().await?;
    demand(span == Span { first: Position(1), last: Position(0) }, "an empty log spans from 1 to 0")?;
    demand(store.events(Position(0), 9).await?.is_empty(), "an empty log has no events")?;
    demand(store.commit(Vec::new()).await?.is_empty(), "nothing is answered for a batch of nothing")?;
    let first = commit(store, change("first", Expected::Any, Some("1"), &["a"])).await?;
    demand(first.position == Position(1), "the first event is at 1")?;
    let silent = commit(store, change("first", Expected::Any, Some("2"), &[])).await?;
    demand(silent.position == Position(1), "a change without events stands where the last event does")
}

async fn pages_follow_on_each_other(store: &dyn Store) -> Result<(), Violation> {
    let prefix = "conformance/list/";
    let page = store.page(prefix, None, 2).await?;
    let keys: Vec<&str> = page.iter().map(|(key, _)| key.as_str()).collect();
    demand(keys == ["conformance/list/1", "conformance/list/10"], "a page holds the first keys, in order")?;
    let rest = store.page(prefix, Some("conformance/list/10"), 2).await?;
    let keys: Vec<&str> = rest.iter().map(|(key, _)| key.as_str()).collect();
    demand(keys == ["conformance/list/2"], "a page begins after the key and ends with the prefix")?;
    let between = store.page(prefix, Some("conformance/list/100"), 9).await?;
    demand(between.len() == 1, "a page may begin after a key that is not there")?;
    let before = store.page(prefix, Some("a"), 9).await?;
    demand(before.len() == 3, "a page that begins before the prefix begins with it")?;
    demand(store.page(prefix, Some("d"), 9).await?.is_empty(), "nothing comes after the prefix")?;
    demand(store.page(prefix, None, 0).await?.is_empty(), "a page of nothing is empty")
}

async fn each_expectation_admits_what_it_says(store: &dyn Store) -> Result<(), Violation> {
    let gone = commit(store, change("e", Expected::Any, None, &["removed"])).await?;
    demand(gone.position == last(store).await?, "whatever there is may be removed, also nothing")?;
    let born = commit(store, change("e", Expected::Any, Some("1"), &[])).await?;
    demand(born.revision > gone.revision, "a document is newer than its removal before")?;
    let refused = store.commit(vec![change("e", Expected::Absent, None, &[])]).await?;
    demand(refused == [Err(Conflict)], "a document that is there is not absent")?;
    let removed = commit(store, change("e", Expected::At(born.revision), None, &[])).await?;
    demand(removed.revision > born.revision, "a removal is newer than what it removes")?;
    let refused = store.commit(vec![change("e", Expected::At(removed.revision), None, &[])]).await?;
    demand(refused == [Err(Conflict)], "nothing is at the revision of a removal")
}

async fn a_batch_applies_in_order(store: &dyn Store) -> Result<(), Violation> {
    let before = last(store).await?;
    let batch = vec![
        change("batch", Expected::Absent, Some("1"), &["one", "two"]),
        change("batch", Expected::Absent, Some("never"), &["never"]),
        change("batch", Expected::Any, None, &[]),
        change("batch", Expected::Absent, Some("2"), &["three"]),
    ];
    let answers = store.commit(batch).await?;
    let positions: Vec<_> =
        answers.iter().map(|answer| answer.map(|committed| committed.position.0 - before.0)).collect();
    demand(positions == [Ok(2), Err(Conflict), Ok(2), Ok(3)], "each change sees those before it")?;
    let newest = answers.last().and_then(|answer| answer.ok()).map(|committed| committed.revision);
    let document = store.get("conformance/batch").await?;
    demand(
        document.is_some_and(|document| document.value == "2" && Some(document.revision) == newest),
        "the last change of a batch is what stays",
    )?;
    let events = store.events(before, 9).await?;
    let values: Vec<&[u8]> = events.iter().map(|(_, event)| &event[..]).collect();
    demand(values == [&b"one"[..], b"two", b"three"], "events are in the order of the changes")
}

async fn a_conflict_refuses_one_change_alone_with_its_events(store: &dyn Store) -> Result<(), Violation> {
    let before = last(store).await?;
    let batch = vec![
        change("alone/1", Expected::Absent, Some("1"), &["1"]),
        change("alone/2", Expected::At(Revision(u64::MAX)), Some("2"), &["2"]),
        change("alone/3", Expected::Absent, Some("3"), &["3"]),
    ];
    let answers = store.commit(batch).await?;
    let kinds: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    demand(kinds == [true, false, true], "one refused change takes no other with it")?;
    let listed = store.list("conformance/alone/").await?;
    let values: Vec<&[u8]> = listed.iter().map(|(_, document)| &document.value[..]).collect();
    demand(values == [b"1", b"3"], "a refused change leaves no document")?;
    let events = store.events(before, 9).await?;
    let values: Vec<&[u8]> = events.iter().map(|(_, event)| &event[..]).collect();
    demand(values == [b"1", b"3"], "a refused change leaves no event")
}

async fn events_are_read_in_pieces(store: &dyn Store) -> Result<(), Violation> {
    let before = last(store).await?.0;
    let names: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let events: Vec<&str> = names.iter().map(String::as_str).collect();
    commit(store, change("pieces", Expected::Any, Some(""), &events)).await?;
    let mut read = Vec::new();
    loop {
        let piece = store.events(Position(before + read.len() as u64), 64).await?;
        if piece.is_empty() {
            break;
        }
        demand(piece.len() <= 64, "no more events than were asked for")?;
        read.extend(piece);
    }
    let right = |(index, (position, event)): (usize, &(Position, Bytes))| {
        position.0 == before + 1 + index as u64
            && names.get(index).is_some_and(|name| name.as_bytes() == event)
    };
    demand(read.len() == 300 && read.iter().enumerate().all(right), "positions have no holes")?;
    demand(store.events(Position(u64::MAX), 9).await?.is_empty(), "nothing comes after the last position")
}

async fn a_trim_forgets_events_but_not_positions(store: &dyn Store) -> Result<(), Violation> {
    let before = last(store).await?;
    commit(store, change("trim", Expected::Any, Some(""), &["a", "b", "c"])).await?;
    let second = Position(before.0 + 2);
    store.trim(second).await?;
    let left = Span { first: Position(before.0 + 3), last: Position(before.0 + 3) };
    demand(store.span().await? == left, "a trim forgets up to and including the position")?;
    store.trim(before).await?;
    demand(store.span().await? == left, "a trim of what is forgotten changes nothing")?;
    let kept = store.events(Position(0), 9).await?;
    demand(kept == [(left.last, Bytes::from_static(b"c"))], "a reader from before begins with what is kept")?;
    store.trim(Position(u64::MAX)).await?;
    let empty = Span { first: Position(before.0 + 4), last: left.last };
    demand(store.span().await? == empty, "a trim of everything leaves the last position")?;
    let next = commit(store, change("trim", Expected::Any, Some(""), &["d"])).await?;
    demand(next.position == Position(before.0 + 4), "positions go on after a trim")
}

async fn writers_at_once_have_their_events_whole(store: Arc<dyn Store>) -> Result<(), Violation> {
    let before = last(&*store).await?;
    let writers: Vec<_> = (0..8).map(|writer| tokio::spawn(write_pairs(store.clone(), writer))).collect();
    for writer in writers {
        writer.await.map_err(|error| Violation(error.to_string()))??;
    }
    let events = store.events(before, 1_000).await?;
    demand(events.len() == 8 * 8 * 2, "every event of every writer is there once")?;
    let whole = events.chunks(2).all(|pair| matches!(pair, [(_, one), (_, two)] if one == two));
    demand(whole, "the events of one change stand together")
}

/// Each change has twice the same event, and each answer names where the second one is.
async fn write_pairs(store: Arc<dyn Store>, writer: usize) -> Result<(), Violation> {
    for round in 0..8 {
        let event = format!("{writer} {round}");
        let change = change(&format!("pairs/{writer}"), Expected::Any, Some(&event), &[&event, &event]);
        let committed = commit(&*store, change).await?;
        let read = store.events(Position(committed.position.0 - 1), 1).await?;
        demand(
            read == [(committed.position, Bytes::from(event))],
            "an answer names its last event's position",
        )?;
    }
    Ok(())
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
