use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_util::StreamExt;

use super::*;

type Item = Result<api::WatchEventsResponse, Status>;
type Events = Pin<Box<dyn Stream<Item = Item>>>;

fn log(capacity: usize) -> Arc<EventLog> {
    Arc::new(EventLog::new("boot".to_owned(), capacity, 2))
}

fn append(log: &EventLog, count: usize) {
    for _ in 0..count {
        log.append("room", SystemTime::now(), api::event::Kind::RoomEnded(api::RoomEnded { reason: 1 }));
    }
}

fn watch(log: &Arc<EventLog>, boot_id: &str, after_sequence: u64) -> Events {
    let request = api::WatchEventsRequest { boot_id: boot_id.to_owned(), after_sequence };
    Box::pin(log.watch(&request).unwrap())
}

async fn hello(events: &mut Events) -> (u64, bool) {
    match events.next().await.unwrap().unwrap().message.unwrap() {
        api::watch_events_response::Message::Hello(hello) => {
            assert_eq!(hello.boot_id, "boot");
            (hello.sequence, hello.reset)
        }
        api::watch_events_response::Message::Event(event) => panic!("an event before Hello: {event:?}"),
    }
}

async fn sequences(events: &mut Events, count: usize) -> Vec<u64> {
    let mut sequences = Vec::new();
    for _ in 0..count {
        match events.next().await.unwrap().unwrap().message.unwrap() {
            api::watch_events_response::Message::Event(event) => sequences.push(event.sequence),
            api::watch_events_response::Message::Hello(_) => panic!("a second Hello"),
        }
    }
    sequences
}

fn is_waiting(events: &mut Events) -> bool {
    let next = pin!(events.next());
    let mut context = Context::from_waker(Waker::noop());
    matches!(std::future::Future::poll(next, &mut context), Poll::Pending)
}

#[tokio::test]
async fn a_new_watcher_sees_what_comes_from_now_on() {
    let log = log(10);
    append(&log, 3);
    let mut events = watch(&log, "", 0);
    assert_eq!(hello(&mut events).await, (3, false));
    assert!(is_waiting(&mut events));
    append(&log, 2);
    assert_eq!(sequences(&mut events, 2).await, [4, 5]);
}

#[tokio::test]
async fn a_watcher_that_lost_its_stream_goes_on_where_it_was() {
    let log = log(10);
    append(&log, 8);
    let mut events = watch(&log, "boot", 5);
    assert_eq!(hello(&mut events).await, (5, false));
    assert_eq!(sequences(&mut events, 3).await, [6, 7, 8]);
    assert!(is_waiting(&mut events));
}

#[tokio::test]
async fn a_watcher_that_was_away_for_too_long_or_knew_another_boot_starts_anew() {
    let log = log(10);
    append(&log, 30);
    // 21 to 30 are kept.
    for (boot, after, expected) in [
        ("boot", 20, (20, false)),
        ("boot", 19, (30, true)),
        ("boot", 31, (30, true)),
        ("other", 25, (30, true)),
    ] {
        assert_eq!(hello(&mut watch(&log, boot, after)).await, expected, "{boot} {after}");
    }
}

#[tokio::test]
async fn a_slow_watcher_gets_an_error_and_no_gap() {
    let log = log(300);
    let mut events = watch(&log, "", 0);
    assert_eq!(hello(&mut events).await, (0, false));
    append(&log, 1_000);
    let error = events.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), tonic::Code::DataLoss);
    assert!(events.next().await.is_none());
    drop(events);
    assert_eq!(log.watchers(), 0);
}

#[tokio::test]
async fn lost_events_leave_a_gap_that_nobody_misses() {
    let log = log(10);
    append(&log, 3);
    let mut events = watch(&log, "boot", 3);
    assert_eq!(hello(&mut events).await, (3, false));
    log.skip(4);
    append(&log, 1);
    assert_eq!(log.last(), 8);
    assert_eq!(events.next().await.unwrap().unwrap_err().code(), tonic::Code::DataLoss);
    assert_eq!(hello(&mut watch(&log, "boot", 3)).await, (8, true));
}

#[tokio::test]
async fn places_for_watchers_are_few_and_come_back() {
    let log = log(10);
    let first = watch(&log, "", 0);
    let _second = watch(&log, "", 0);
    let request = api::WatchEventsRequest::default();
    let refused = log.watch(&request).err().unwrap();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert_eq!(log.watchers(), 2);
    drop(first);
    assert!(log.watch(&request).is_ok());
}

#[tokio::test]
async fn a_long_backlog_comes_in_order_and_whole() {
    let log = log(5_000);
    append(&log, 4_000);
    let mut events = watch(&log, "boot", 0);
    hello(&mut events).await;
    assert_eq!(sequences(&mut events, 4_000).await, (1..=4_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_last_events_are_shown_before_the_stream_ends() {
    let log = log(10);
    let mut events = watch(&log, "", 0);
    hello(&mut events).await;
    append(&log, 2);
    log.close();
    assert_eq!(sequences(&mut events, 2).await, [1, 2]);
    assert_eq!(events.next().await.unwrap().unwrap_err().code(), tonic::Code::Unavailable);
    assert!(events.next().await.is_none());
}
