//! Connections break, processes die: who comes back goes on as the same participant.

use crate::support::client::{Client, camera, description};
use crate::support::node::FakeNode;
use crate::support::server::{Server, settings, start, start_with, token, token_for};
use livekit::leave_request::Action;
use livekit::signal_request::Message as Request;
use livekit::signal_response::Message as Response;
use sluice_api::sfu::v1 as sfu;
use sluice_livekit_proto as livekit;
use tokio_tungstenite::tungstenite::Message;

async fn come_back(server: &Server, identity: &str, sid: &str) -> Client {
    server.connect(&token(identity), &format!("&reconnect=1&sid={sid}&reconnect_reason=1")).await
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on() {
    let (node, server) = start().await;
    let mut alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let track_id = alice.publish("cam").await;
    bob.update(|info| info.tracks.len() == 1).await;
    let sid = alice.sid.clone();
    drop(alice);

    let mut alice = come_back(&server, "alice", &sid).await;
    assert!(matches!(alice.next().await, Response::Reconnect(_)), "the first message");
    let Response::Update(update) = alice.next().await else { panic!("then everybody") };
    assert_eq!(update.participants.len(), 2);
    let me = update.participants.iter().find(|participant| participant.sid == sid).unwrap();
    assert_eq!(me.tracks[0].sid, track_id);
    assert!(matches!(alice.next().await, Response::RoomUpdate(_)));
    assert!(alice.offer().await.sdp.contains("restart=true"));
    assert!(!node.calls().iter().any(|call| call.starts_with("DeleteSession")), "media went on");
}

#[tokio::test]
async fn who_comes_back_hears_who_left_meanwhile() {
    let (node, server) = start().await;
    let alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let (alice_sid, bob_sid) = (alice.sid.clone(), bob.sid.clone());
    drop(alice);
    bob.send(Request::Leave(livekit::LeaveRequest::default())).await;
    node.wait_for_call(&format!("DeleteSession {bob_sid}.sub")).await;
    let mut alice = come_back(&server, "alice", &alice_sid).await;
    let gone = alice.update(|info| info.sid == bob_sid).await;
    assert_eq!(gone.state(), livekit::participant_info::State::Disconnected);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let (_node, server) = start_with(|settings| {
        settings.limits.client_queue = 8;
        settings.limits.messages_per_second = 1_000_000;
    })
    .await;
    let mut alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    // Each request is answered with an echo of itself: soon the connection's buffers are full, then the queue.
    let refused = livekit::AddTrackRequest { name: "x".repeat(100_000), ..camera("cam") };
    for _ in 0..400 {
        if alice.try_send(Request::AddTrack(refused.clone())).await.is_err() {
            break;
        }
    }
    assert!(alice.closed().await.is_none());
    bob.send(Request::Ping(1)).await;
    bob.expect(|message| matches!(message, Response::Pong(_)).then_some(())).await;
    let mut alice = come_back(&server, "alice", &alice.sid).await;
    assert!(matches!(alice.next().await, Response::Reconnect(_)), "it may come back");
}

#[tokio::test]
async fn an_answer_to_an_offer_of_the_lost_connection_is_ignored() {
    let (node, server) = start().await;
    let mut alice = server.join("alice").await;
    let old = alice.offer().await;
    let sid = alice.sid.clone();
    let mut alice = come_back(&server, "alice", &sid).await;
    let new = alice.offer().await;
    assert!(new.id > old.id);
    alice.accept(&old).await;
    alice.accept(&new).await;
    node.wait_for_call(&format!("Answer {sid}.sub")).await;
    assert_eq!(node.calls().iter().filter(|call| call.starts_with("Answer")).count(), 1);
}

#[tokio::test]
async fn who_is_unknown_must_join_anew() {
    let (_node, server) = start().await;
    let alice = server.join("alice").await;
    let cellar = token_for("cellar", "alice", |_| ());
    let strangers = [
        ("another participant", token("bob"), alice.sid.clone()),
        ("another room", cellar, alice.sid.clone()),
        ("nobody", token("alice"), "PA_nobody".to_owned()),
    ];
    for (what, token, sid) in strangers {
        let mut client = server.connect(&token, &format!("&reconnect=1&sid={sid}")).await;
        let Response::Leave(leave) = client.next().await else { panic!("{what}: no leave") };
        assert_eq!(leave.reason(), livekit::DisconnectReason::StateMismatch, "{what}");
        assert_eq!((leave.action(), leave.can_reconnect), (Action::Reconnect, true), "{what}");
    }
}

#[tokio::test]
async fn a_client_with_tracks_that_we_do_not_know_must_join_anew() {
    let (_node, server) = start().await;
    let alice = server.join("alice").await;
    let mut alice = come_back(&server, "alice", &alice.sid).await;
    let track = Some(livekit::TrackInfo { sid: "TR_unknown".into(), ..Default::default() });
    let publish_tracks = vec![livekit::TrackPublishedResponse { cid: "x".into(), track }];
    alice.send(Request::SyncState(livekit::SyncState { publish_tracks, ..Default::default() })).await;
    assert_eq!(alice.closed().await.unwrap().reason(), livekit::DisconnectReason::StateMismatch);
}

#[tokio::test]
async fn who_does_not_come_back_is_removed() {
    let (node, server) = start_with(|settings| settings.timings.resume = 1).await;
    let mut bob = server.join("bob").await;
    let alice = server.join("alice").await;
    let sid = alice.sid.clone();
    drop(alice);
    bob.update(|info| info.sid == sid && info.state() == livekit::participant_info::State::Disconnected)
        .await;
    node.wait_for_call(&format!("DeleteSession {sid}.sub")).await;
}

#[tokio::test]
async fn a_silent_client_is_cut_off() {
    let (_node, server) = start_with(|settings| settings.timings.ping_timeout = 1).await;
    let mut alice = server.join("alice").await;
    assert!(alice.closed().await.is_none(), "no leave: it may come back");
    let mut alice = come_back(&server, "alice", &alice.sid).await;
    assert!(matches!(alice.next().await, Response::Reconnect(_)));
}

#[tokio::test]
async fn broken_messages_end_the_connection_and_nothing_else() {
    let (_node, server) = start_with(|settings| settings.limits.message_bytes = 10_000).await;
    let frames = [
        ("malformed", Message::Binary(vec![0x0a, 0x7f].into())),
        ("too large", Message::Binary(vec![0; 20_000].into())),
        ("text", Message::Text("{}".into())),
    ];
    let mut bob = server.join("bob").await;
    for (what, frame) in frames {
        let mut alice = server.join("alice").await;
        alice.send_frame(frame).await;
        assert!(alice.closed().await.is_none(), "{what}");
        let mut alice = come_back(&server, "alice", &alice.sid).await;
        assert!(matches!(alice.next().await, Response::Reconnect(_)), "{what}");
    }
    bob.send(Request::Ping(1)).await;
    bob.expect(|message| matches!(message, Response::Pong(_)).then_some(())).await;
}

#[tokio::test]
async fn a_flood_of_messages_ends_the_connection() {
    let (_node, server) = start_with(|settings| settings.limits.messages_per_second = 5).await;
    let mut alice = server.join("alice").await;
    for _ in 0..26 {
        alice.send(Request::Ping(1)).await;
    }
    assert!(alice.closed().await.is_none());
}

async fn restart(server: Server, node: std::net::SocketAddr) -> Server {
    server.stop().await;
    let server = Server::start(settings(node)).await;
    server.wait_until_ready().await;
    server
}

#[tokio::test]
async fn a_restarted_server_goes_on_with_the_rooms_that_the_node_holds() {
    let (node, address) = FakeNode::start().await;
    let server = Server::start(settings(address)).await;
    server.wait_until_ready().await;
    let mut alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let offer = bob.offer().await;
    bob.accept(&offer).await;
    let track_id = alice.publish("cam").await;
    let before = bob.update(|info| info.tracks.len() == 1).await;
    let offer = bob.offer().await;
    bob.accept(&offer).await;
    let room_id = node.room().room_id;
    let epoch = node.room().owner_epoch;

    let server = restart(server, address).await;
    assert!(alice.closed().await.is_none(), "no leave: it may come back");
    let mut bob_again = come_back(&server, "bob", &bob.sid).await;
    assert!(matches!(bob_again.next().await, Response::Reconnect(_)));
    let after = bob_again.update(|info| info.sid == alice.sid).await;
    assert!(after.version > before.version, "else the client ignores it");
    assert_eq!((after.tracks[0].sid.as_str(), after.tracks[0].name.as_str()), (track_id.as_str(), "camera"));
    assert!(bob_again.offer().await.sdp.contains(&track_id));

    let mut alice_again = come_back(&server, "alice", &alice.sid).await;
    assert!(matches!(alice_again.next().await, Response::Reconnect(_)));
    // What was published goes on, and new things work.
    alice_again.send(Request::AddTrack(camera("two"))).await;
    alice_again.send(Request::Offer(description("offer", "v=0", 9))).await;
    alice_again.answer().await;
    bob_again.update(|info| info.tracks.len() == 2).await;

    assert_eq!(node.room().room_id, room_id);
    assert!(node.room().owner_epoch > epoch, "the room has a new owner");
    let calls = node.calls();
    assert!(!calls.iter().any(|call| call.starts_with("Delete")), "media never stopped");
    let newcomer = server.connect(&token("carol"), "").await.greeted().await;
    assert_eq!(newcomer.room.unwrap().sid, room_id, "the room keeps its name and its id");
    assert_eq!(newcomer.other_participants.len(), 2);
}

#[tokio::test]
async fn whose_media_was_up_is_known_after_a_restart_though_nobody_wrote_it_down() {
    let (node, address) = FakeNode::start().await;
    let server = Server::start(settings(address)).await;
    server.wait_until_ready().await;
    let mut alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let sid = alice.sid.clone();
    node.connect(&format!("{sid}.sub"));
    let active = livekit::participant_info::State::Active;
    let before = bob.update(|info| info.sid == sid && info.state() == active).await;
    // Her calls are made in order: whatever is written of her before the track is there when the track is.
    alice.publish("cam").await;
    let call = format!("PutSession {sid}.sub");
    let written = node.calls().into_iter().filter(|made| *made == call).count();
    assert_eq!(written, 1, "joining wrote her record, and nothing changed in it");

    let server = restart(server, address).await;
    let mut bob = come_back(&server, "bob", &bob.sid).await;
    let after = bob.update(|info| info.sid == sid).await;
    assert_eq!(after.state(), active);
    assert!(after.version > before.version, "else the client ignores it");
}

#[tokio::test]
async fn after_a_restart_choices_and_rules_still_hold() {
    let (node, address) = FakeNode::start().await;
    let server = Server::start(settings(address)).await;
    server.wait_until_ready().await;
    let mut alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let one = alice.publish("one").await;
    bob.update(|info| info.tracks.len() == 1).await;
    let track_sids = vec![one.clone()];
    bob.send(Request::Subscription(livekit::UpdateSubscription { track_sids, ..Default::default() })).await;
    node.wait_for("no subscription", |calls| {
        let last = calls.iter().rev().find(|call| call.starts_with(&format!("SetSubscriptions {}", bob.sid)));
        last.is_some_and(|call| *call == format!("SetSubscriptions {}.sub ", bob.sid))
    })
    .await;
    let before = node.calls().len();
    let server = restart(server, address).await;
    let mut bob = come_back(&server, "bob", &bob.sid).await;
    bob.offer().await;
    let wanted_again = format!("SetSubscriptions {}.sub {one}", bob.sid);
    assert!(!node.calls()[before..].contains(&wanted_again));
}

#[tokio::test]
async fn when_the_node_lost_the_room_everybody_joins_anew() {
    let (node, server) = start().await;
    let mut alice = server.join("alice").await;
    node.forget_everything();
    let leave = alice.closed().await.unwrap();
    assert_eq!(leave.action(), Action::Reconnect);
    let mut alice = server.join("alice").await;
    alice.offer().await;
}

#[tokio::test]
async fn when_events_were_lost_everybody_stays_and_hears_what_comes() {
    let (node, server) = start().await;
    let alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let snapshots = |calls: &[String]| calls.iter().filter(|call| *call == "GetRoom").count();
    let before = snapshots(&node.calls());
    node.lose_events();
    node.wait_for("a snapshot", |calls| snapshots(calls) > before).await;
    let connected = sfu::SessionChanged {
        session_id: format!("{}.sub", alice.sid),
        participant_id: alice.sid.clone(),
        state: sfu::SessionState::Connected.into(),
        ..Default::default()
    };
    node.emit(sfu::event::Kind::SessionChanged(connected));
    bob.update(|info| info.sid == alice.sid && info.state() == livekit::participant_info::State::Active)
        .await;
    server.join("carol").await;
}
