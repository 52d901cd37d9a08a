//! Coming in: what a client is told first, and why others are not let in.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::server::{Server, settings, start, start_with, token, token_for};
use livekit::leave_request::Action;
use livekit::signal_response::Message as Response;
use sluice_livekit_proto as livekit;

#[tokio::test]
async fn the_first_messages_hold_what_clients_need() {
    let (_node, server) = start().await;
    let mut client = server.connect(&token("alice"), "&protocol=17&sdk=js").await;
    let join = client.greeted().await;
    let participant = join.participant.unwrap();
    assert!(participant.sid.starts_with("PA_") && participant.identity == "alice");
    assert!(join.room.is_some_and(|room| room.sid.starts_with("RM_") && room.name == "lobby"));
    let info = join.server_info.unwrap();
    assert_eq!(
        info.version.split('.').filter(|part| part.parse::<u32>().is_ok()).count(),
        3,
        "{}",
        info.version
    );
    assert!(join.subscriber_primary && join.fast_publish);
    assert_eq!((join.ping_interval, join.ping_timeout), (5, 15));
    assert_eq!(join.enabled_publish_codecs[0].mime, "video/VP8");
    assert!(matches!(client.next().await, Response::RefreshToken(token) if token.split('.').count() == 3));
    assert!(client.offer().await.id > 0, "the subscriber connection is offered at once");
}

#[tokio::test]
async fn who_may_not_subscribe_gets_no_offer() {
    let (node, server) = start().await;
    let token = token_for("lobby", "alice", |grants| grants.can_subscribe = Some(false));
    let mut client = server.connect(&token, "").await;
    assert!(!client.greeted().await.subscriber_primary);
    assert!(node.calls().iter().any(|call| call == &format!("PutSession {}.pub", client.sid)));
    assert!(!node.calls().iter().any(|call| call.starts_with("CreateOffer")));
}

#[tokio::test]
async fn newcomers_and_those_present_learn_of_each_other() {
    let (_node, server) = start().await;
    let mut alice = server.join("alice").await;
    let mut bob = server.connect(&token("bob"), "").await;
    assert_eq!(bob.greeted().await.other_participants[0].identity, "alice");
    alice.update(|info| info.identity == "bob").await;
}

#[tokio::test]
async fn a_second_client_with_the_same_identity_takes_over() {
    let (node, server) = start().await;
    let mut old = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let new = server.join("alice").await;
    let leave = old.closed().await.expect("it is told");
    assert_eq!(leave.reason(), livekit::DisconnectReason::DuplicateIdentity);
    assert_eq!(leave.action(), Action::Disconnect);
    let gone = bob.update(|info| info.state() == livekit::participant_info::State::Disconnected).await;
    assert_eq!(gone.sid, old.sid);
    bob.update(|info| info.sid == new.sid).await;
    node.wait_for_call(&format!("DeleteSession {}.sub", old.sid)).await;
    assert!(node.room().sessions.iter().any(|session| session.participant_id == new.sid));
}

#[tokio::test]
async fn refusals_have_a_status_words_and_cors_headers() {
    let (_node, server) = start().await;
    let no_room = token_for("", "alice", |grants| grants.room_join = false);
    let (ok, long) = (token("alice"), "x".repeat(1000));
    let cases = [
        ("/rtc/validate".to_owned(), 401, "no access token"),
        ("/rtc/validate?access_token=nonsense".into(), 401, "malformed"),
        (format!("/rtc/validate?access_token={no_room}"), 403, "no room"),
        (format!("/rtc/validate?access_token={ok}&room=cellar"), 403, "another room"),
        (format!("/rtc/validate?access_token={}", token(&long)), 400, "too long"),
        (format!("/rtc/validate?access_token={ok}&reconnect=1"), 400, "sid"),
        (format!("/rtc/v1/validate?access_token={ok}"), 400, "join_request"),
        (format!("/rtc/validate?access_token={ok}"), 200, "success"),
        (format!("//rtc/validate?access_token={ok}"), 200, "success"),
        (format!("/rtc?access_token={ok}"), 404, "WebSocket"),
        (format!("/rtc/validate?access_token={ok}&x={}", "x".repeat(65_000)), 414, "too long"),
        ("/healthz".into(), 200, "ok"),
        ("/settings/regions".into(), 404, ""),
    ];
    for (path, status, words) in cases {
        let (seen, head, body) = server.get(&path).await;
        assert_eq!(seen, status, "{path}: {body}");
        assert!(body.contains(words), "{path}: {body}");
        assert!(head.contains("access-control-allow-origin: *"), "{path}: {head}");
    }
}

#[tokio::test]
async fn a_refused_websocket_is_an_http_answer() {
    let (_node, server) = start().await;
    let refused = Client::connect(&format!("ws://{}/rtc?access_token=nonsense", server.address)).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(response)) = refused else { panic!("it got in") };
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn without_the_single_connection_path_clients_fall_back() {
    let (_node, server) = start_with(|settings| settings.single_connection = false).await;
    let (status, head, body) = server.get(&format!("/rtc/v1/validate?access_token={}", token("alice"))).await;
    assert_eq!(status, 404);
    assert!(head.contains("access-control-allow-origin: *"), "else the client never sees the status");
    assert!(!body.contains("requested room does not exist"), "those words stop the fallback");
}

#[tokio::test]
async fn a_room_that_may_not_be_created_does_not_exist() {
    let (_node, server) = {
        let (node, address) = crate::support::node::FakeNode::start().await;
        let mut settings = settings(address);
        settings.auto_create = false;
        (node, Server::start(settings).await)
    };
    let path = format!("/rtc/validate?access_token={}", token("alice"));
    let waiting = async {
        while server.get(&path).await.0 == 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("ready");
    let (status, _, body) = server.get(&path).await;
    assert_eq!((status, body.as_str()), (404, "requested room does not exist"));
}

#[tokio::test]
async fn limits_on_rooms_and_participants_hold() {
    let (_node, server) = start_with(|settings| {
        settings.limits.rooms = 1;
        settings.limits.participants = 1;
    })
    .await;
    let _alice = server.join("alice").await;
    let status = async |token: String| {
        let url = format!("ws://{}/rtc?access_token={token}", server.address);
        match Client::connect(&url).await {
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
            Ok(_) => 101,
        }
    };
    assert_eq!(status(token("bob")).await, 403, "the room is full");
    assert_eq!(status(token_for("cellar", "bob", |_| ())).await, 503, "too many rooms");
    assert_eq!(status(token("alice")).await, 101, "who is in may come again");
}

#[tokio::test]
async fn without_its_node_the_server_says_so() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = Server::start(settings(unused)).await;
    assert_eq!(server.get("/healthz").await.0, 503);
    let (status, head, _) = server.get(&format!("/rtc/validate?access_token={}", token("alice"))).await;
    assert_eq!(status, 503);
    assert!(head.contains("access-control-allow-origin: *"));
    let url = format!("ws://{}/rtc?access_token={}", server.address, token("alice"));
    let Err(tokio_tungstenite::tungstenite::Error::Http(response)) = Client::connect(&url).await else {
        panic!("it got in");
    };
    assert_eq!(response.status(), 503);
}

#[tokio::test]
async fn a_node_that_fails_in_the_middle_of_a_join_leaves_nothing_behind() {
    let (node, server) = start().await;
    let mut alice = server.join("alice").await;
    node.fail(Some("PutSession"));
    let url = format!("ws://{}/rtc?access_token={}", server.address, token("bob"));
    let Err(tokio_tungstenite::tungstenite::Error::Http(response)) = Client::connect(&url).await else {
        panic!("it got in");
    };
    assert_eq!(response.status(), 503);
    alice
        .update(|info| {
            info.identity == "bob" && info.state() == livekit::participant_info::State::Disconnected
        })
        .await;
    node.fail(None);
    server.join("bob").await;
}
