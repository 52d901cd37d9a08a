//! Watching events, and draining.

use sluice_api::sfu::v1 as api;
use sluice_api::sfu::v1::event::Kind;
use sluice_api::sfu::v1::sfu_client::SfuClient;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{PATIENCE, event, hello, put_room, settings, start};

fn delete(room_id: &str) -> api::DeleteRoomRequest {
    api::DeleteRoomRequest { room_id: room_id.to_owned(), owner_epoch: 0 }
}

fn room_ended(event: &api::Event) -> api::RoomEndReason {
    match event.kind.as_ref().unwrap() {
        Kind::RoomEnded(ended) => ended.reason(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_watcher_that_reconnects_misses_nothing() {
    let node = start(settings()).await;
    let mut client = node.client().await;
    let mut events = client.watch_events(api::WatchEventsRequest::default()).await.unwrap().into_inner();
    let boot_id = hello(&mut events).await.boot_id;
    client.put_room(put_room("one", 1)).await.unwrap();
    client.delete_room(delete("one")).await.unwrap();
    let seen = event(&mut events).await;
    assert_eq!((seen.room_id.as_str(), room_ended(&seen)), ("one", api::RoomEndReason::Deleted));
    drop(events);

    // While nobody watches, two rooms come and go.
    for room in ["two", "three"] {
        client.put_room(put_room(room, 1)).await.unwrap();
        client.delete_room(delete(room)).await.unwrap();
    }
    let mut elsewhere = node.client().await;
    let resume = api::WatchEventsRequest { boot_id, after_sequence: seen.sequence };
    let mut events = elsewhere.watch_events(resume).await.unwrap().into_inner();
    let greeting = hello(&mut events).await;
    assert_eq!((greeting.sequence, greeting.reset), (seen.sequence, false));
    for (number, room) in [(1, "two"), (2, "three")] {
        let event = event(&mut events).await;
        assert_eq!((event.sequence, event.room_id.as_str()), (seen.sequence + number, room));
    }
    drop(events);
    node.stop().await;
}

#[tokio::test]
async fn a_caller_in_the_same_process_needs_no_connection_and_does_not_keep_the_node_from_ending() {
    let node = start(settings()).await;
    let mut here = SfuClient::new(node.carrier.clone());
    let mut events = here.watch_events(api::WatchEventsRequest::default()).await.unwrap().into_inner();
    hello(&mut events).await;
    assert!(here.put_room(put_room("r", 1)).await.unwrap().into_inner().created);
    let mut elsewhere = node.client().await;
    assert!(!elsewhere.put_room(put_room("r", 1)).await.unwrap().into_inner().created, "it is the same node");
    elsewhere.delete_room(delete("r")).await.unwrap();
    assert_eq!(room_ended(&event(&mut events).await), api::RoomEndReason::Deleted);
    let refused = here.put_room(put_room("", 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");

    node.stop().await;
    let end = tokio::time::timeout(PATIENCE, events.message()).await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    let late = tokio::time::timeout(PATIENCE, here.put_room(put_room("late", 1))).await.unwrap().unwrap_err();
    assert_eq!(late.code(), Code::Unavailable, "{late}");
}

#[tokio::test]
async fn a_snapshot_tells_where_to_watch_on() {
    let node = start(settings()).await;
    let mut client = node.client().await;
    let mut events = client.watch_events(api::WatchEventsRequest::default()).await.unwrap().into_inner();
    let before = hello(&mut events).await.sequence;
    for _ in 0..20 {
        client.put_room(put_room("other", 1)).await.unwrap();
        client.delete_room(delete("other")).await.unwrap();
    }
    client.put_room(put_room("r", 1)).await.unwrap();
    let get = api::GetRoomRequest { room_id: "r".into() };
    let room = client.get_room(get).await.unwrap().into_inner().room.unwrap();
    // One shard, so all that was answered before is numbered before.
    assert_eq!(room.event_sequence, before + 20);
    drop(events);
    node.stop().await;
}

#[tokio::test]
async fn a_watcher_of_another_boot_is_told_to_start_anew() {
    let node = start(settings()).await;
    let mut client = node.client().await;
    let request = api::WatchEventsRequest { boot_id: "yesterday".into(), after_sequence: 7 };
    let mut events = client.watch_events(request).await.unwrap().into_inner();
    assert!(hello(&mut events).await.reset);
    drop(events);
    node.stop().await;
}

#[tokio::test]
async fn watchers_have_so_many_places() {
    let mut settings = settings();
    settings.grpc.max_watchers = 1;
    let node = start(settings).await;
    let mut client = node.client().await;
    let watch = api::WatchEventsRequest::default;
    let mut first = client.watch_events(watch()).await.unwrap().into_inner();
    hello(&mut first).await;
    assert_eq!(client.watch_events(watch()).await.unwrap_err().code(), Code::ResourceExhausted);
    drop(first);
    // The node learns of it when the client's reset arrives.
    let deadline = std::time::Instant::now() + PATIENCE;
    while client.watch_events(watch()).await.is_err() {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    node.stop().await;
}

#[tokio::test]
async fn a_room_that_ended_can_be_put_again() {
    let node = start(settings()).await;
    let mut client = node.client().await;
    for _ in 0..50 {
        assert!(client.put_room(put_room("r", 1)).await.unwrap().into_inner().created);
        client.delete_room(delete("r")).await.unwrap();
    }
    node.stop().await;
}

#[tokio::test]
async fn a_node_that_drains_keeps_its_rooms_until_the_deadline() {
    let node = start(settings()).await;
    let mut client = node.client().await;
    client.put_room(put_room("old", 1)).await.unwrap();
    let mut events = client.watch_events(api::WatchEventsRequest::default()).await.unwrap().into_inner();
    hello(&mut events).await;

    let drained = client.drain(api::DrainRequest { deadline_ms: 0 }).await.unwrap().into_inner();
    assert_eq!(drained.rooms, 1);
    match event(&mut events).await.kind.unwrap() {
        Kind::NodeDraining(draining) => assert_eq!(draining.deadline_ms, 0),
        other => panic!("{other:?}"),
    }
    let mut health = HealthClient::new(node.channel().await);
    wait_for_health(&mut health, "sluice.sfu.v1.Sfu", ServingStatus::NotServing).await;
    wait_for_health(&mut health, "", ServingStatus::Serving).await;
    let refused = client.put_room(put_room("new", 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(!client.put_room(put_room("old", 1)).await.unwrap().into_inner().created);

    client.drain(api::DrainRequest { deadline_ms: 50 }).await.unwrap();
    assert!(matches!(event(&mut events).await.kind.unwrap(), Kind::NodeDraining(_)));
    let ended = event(&mut events).await;
    assert_eq!((ended.room_id.as_str(), room_ended(&ended)), ("old", api::RoomEndReason::Drained));
    drop(events);
    node.stop().await;
}

/// Waits until the node says so of one of its services.
async fn wait_for_health(health: &mut HealthClient<Channel>, service: &str, status: ServingStatus) {
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut watched = health.watch(request).await.unwrap().into_inner();
    let seen =
        async { while watched.message().await.unwrap().expect("the stream goes on").status() != status {} };
    tokio::time::timeout(PATIENCE, seen).await.expect("the health is told in time");
}

#[tokio::test]
async fn a_node_that_ends_shows_how_its_rooms_ended() {
    let node = start(settings()).await;
    let mut client = node.client().await;
    client.put_room(put_room("r", 1)).await.unwrap();
    let mut events = client.watch_events(api::WatchEventsRequest::default()).await.unwrap().into_inner();
    hello(&mut events).await;
    let stopping = tokio::spawn(node.stop());
    let ended = event(&mut events).await;
    assert_eq!(room_ended(&ended), api::RoomEndReason::Drained);
    let end = tokio::time::timeout(PATIENCE, events.message()).await.unwrap();
    assert_eq!(end.unwrap_err().code(), Code::Unavailable);
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
}
