//! A call: publishing, subscribing, muting, leaving, over both ways of negotiating.

use crate::support::client::{Client, camera, description};
use crate::support::server::{Server, start, start_with, token, token_for};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use livekit::signal_request::Message as Request;
use livekit::signal_response::Message as Response;
use prost::Message as _;
use sluice_api::sfu::v1 as sfu;
use sluice_api::sfu::v1::event::Kind;
use sluice_livekit_proto as livekit;
use std::io::Write;

#[tokio::test]
async fn a_track_reaches_the_others_as_news_first_and_as_media_then() {
    let (node, server) = start().await;
    let mut alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let first = bob.offer().await;
    bob.accept(&first).await;
    node.wait_for_call(&format!("Answer {}.sub", bob.sid)).await;

    alice.send(Request::AddTrack(camera("cam"))).await;
    let published = alice
        .expect(|message| match message {
            Response::TrackPublished(published) => Some(published),
            _ => None,
        })
        .await;
    assert_eq!(published.cid, "cam");
    let track_id = published.track.unwrap().sid;
    assert!(track_id.starts_with("TR_"));
    alice.send(Request::Offer(description("offer", "v=0", 3))).await;
    assert_eq!(alice.answer().await.id, 3, "an answer repeats the number of its offer");

    let seen_before = bob.seen.len();
    let offer = bob.offer().await;
    assert!(offer.id > first.id && offer.sdp.contains(&track_id));
    let told = bob.seen[seen_before..].iter().any(|message| match message {
        Response::Update(update) => {
            let mut tracks = update.participants.iter().flat_map(|participant| &participant.tracks);
            tracks.any(|track| track.sid == track_id && track.mid == "p0")
        }
        _ => false,
    });
    assert!(told, "the track must be known before the offer that carries it");
    bob.accept(&offer).await;

    let publication = node.session(".pub").publications.remove(0);
    assert_eq!(publication.stream_label, format!("{}|{track_id}", alice.sid));
    assert_eq!((publication.track_label, publication.client_track_id), (track_id, "cam".into()));
}

#[tokio::test]
async fn who_comes_later_is_offered_what_is_there() {
    let (_node, server) = start().await;
    let mut alice = server.join("alice").await;
    let track_id = alice.publish("cam").await;
    alice.update(|info| !info.tracks.is_empty()).await;
    let mut bob = server.connect(&token("bob"), "").await;
    let join = bob.greeted().await;
    assert_eq!(join.other_participants[0].tracks[0].sid, track_id);
    assert!(bob.offer().await.sdp.contains(&track_id));
}

#[tokio::test]
async fn there_is_one_offer_at_a_time() {
    let (node, server) = start().await;
    let mut bob = server.join("bob").await;
    let first = bob.offer().await;
    let mut alice = server.join("alice").await;
    let one = alice.publish("one").await;
    node.wait_for_call(&format!("SetSubscriptions {}.sub {one}", bob.sid)).await;
    bob.update(|info| info.tracks.len() == 1).await;
    let offers =
        node.calls().iter().filter(|call| call.starts_with(&format!("CreateOffer {}", bob.sid))).count();
    assert_eq!(offers, 1, "the first one is not answered yet");
    bob.send(Request::Answer(description("answer", "v=0", first.id + 9))).await;
    bob.accept(&first).await;
    let second = bob.offer().await;
    assert!(second.id == first.id + 1 && second.sdp.contains(&one));
}

#[tokio::test]
async fn sources_that_the_token_does_not_permit_are_refused() {
    let (node, server) = start().await;
    let token = token_for("lobby", "alice", |grants| grants.can_publish_sources = vec!["microphone".into()]);
    let mut alice = server.connect(&token, "").await;
    alice.greeted().await;
    alice.send(Request::AddTrack(camera("cam"))).await;
    let answer = alice
        .expect(|message| match message {
            Response::RequestResponse(answer) => Some(answer),
            _ => None,
        })
        .await;
    assert_eq!(answer.reason(), livekit::request_response::Reason::NotAllowed);
    alice.send(Request::Offer(description("offer", "v=0", 1))).await;
    alice.answer().await;
    assert!(node.session(".pub").publications.is_empty());
}

#[tokio::test]
async fn a_track_that_the_next_round_lacks_is_unpublished() {
    let (_node, server) = start().await;
    let mut alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let track_id = alice.publish("cam").await;
    bob.update(|info| info.tracks.len() == 1).await;
    alice.send(Request::Offer(description("offer", "stopped", 8))).await;
    let gone = alice
        .expect(|message| match message {
            Response::TrackUnpublished(unpublished) => Some(unpublished.track_sid),
            _ => None,
        })
        .await;
    assert_eq!(gone, track_id);
    bob.update(|info| info.sid == alice.sid && info.tracks.is_empty()).await;
}

#[tokio::test]
async fn muting_reaches_the_node_and_the_others() {
    let (node, server) = start().await;
    let mut alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let sid = alice.publish("cam").await;
    alice.send(Request::Mute(livekit::MuteTrackRequest { sid: sid.clone(), muted: true })).await;
    bob.update(|info| info.tracks.first().is_some_and(|track| track.muted)).await;
    node.wait_for_call(&format!("SetMuted {sid} true")).await;
}

#[tokio::test]
async fn a_subscriber_chooses_tracks_and_sizes() {
    let (node, server) = start().await;
    let mut alice = server.join("alice").await;
    let mut bob = server.connect(&token("bob"), "&adaptive_stream=1").await;
    bob.greeted().await;
    let sid = alice.publish("cam").await;
    let subscribed = format!("SetSubscriptions {}.sub {sid}", bob.sid);
    node.wait_for_call(&subscribed).await;
    let bob_sub = format!("{}.sub", bob.sid);
    let wish = || node.session(&bob_sub).subscriptions.remove(0).wish.unwrap();
    assert_eq!(wish().max_layer, Some(0), "low until the client says how large it shows the video");

    let settings = livekit::UpdateTrackSettings {
        track_sids: vec![sid.clone()],
        width: 640,
        height: 360,
        ..Default::default()
    };
    let before = node.calls().len();
    bob.send(Request::TrackSetting(settings)).await;
    node.wait_for("a new wish", |calls| calls[before..].contains(&subscribed)).await;
    assert_eq!(wish(), sfu::Wish { width: 640, height: 360, ..Default::default() });

    let none =
        livekit::UpdateSubscription { track_sids: vec![sid], subscribe: false, participant_tracks: vec![] };
    bob.send(Request::Subscription(none)).await;
    node.wait_for("no subscriptions", |calls| {
        calls.iter().rev().any(|call| *call == format!("SetSubscriptions {}.sub ", bob.sid))
    })
    .await;
}

#[tokio::test]
async fn a_publisher_may_keep_its_tracks_from_others() {
    let (_node, server) = start().await;
    let mut alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let sid = alice.publish("cam").await;
    bob.update(|info| info.tracks.len() == 1).await;
    alice.send(Request::SubscriptionPermission(livekit::SubscriptionPermission::default())).await;
    let update = bob
        .expect(|message| match message {
            Response::SubscriptionPermissionUpdate(update) => Some(update),
            _ => None,
        })
        .await;
    assert_eq!((update.track_sid, update.allowed), (sid, false));
}

#[tokio::test]
async fn metadata_changes_need_the_permission() {
    let (_node, server) = start().await;
    let permitted = token_for("lobby", "alice", |grants| grants.can_update_own_metadata = Some(true));
    let mut alice = server.connect(&permitted, "").await;
    alice.greeted().await;
    let mut bob = server.join("bob").await;
    let update = |request_id| livekit::UpdateParticipantMetadata {
        metadata: "hello".into(),
        request_id,
        ..Default::default()
    };
    let answered = |message| match message {
        Response::RequestResponse(answer) => Some((answer.request_id, answer.reason())),
        _ => None,
    };
    use livekit::request_response::Reason;
    bob.send(Request::UpdateMetadata(update(1))).await;
    assert_eq!(bob.expect(answered).await, (1, Reason::NotAllowed));
    alice.send(Request::UpdateMetadata(update(2))).await;
    assert_eq!(alice.expect(answered).await, (2, Reason::Ok));
    bob.update(|info| info.identity == "alice" && info.metadata == "hello").await;
    alice
        .send(Request::UpdateMetadata(livekit::UpdateParticipantMetadata {
            metadata: "x".repeat(100_000),
            request_id: 3,
            ..Default::default()
        }))
        .await;
    assert_eq!(alice.expect(answered).await, (3, Reason::LimitExceeded));
}

#[tokio::test]
async fn pings_of_both_kinds_are_answered() {
    let (_node, server) = start().await;
    let mut alice = server.join("alice").await;
    alice.send(Request::Ping(5)).await;
    alice.expect(|message| matches!(message, Response::Pong(_)).then_some(())).await;
    alice.send(Request::PingReq(livekit::Ping { timestamp: 5, rtt: 1 })).await;
    let echoed = alice
        .expect(|message| match message {
            Response::PongResp(pong) => Some(pong.last_ping_timestamp),
            _ => None,
        })
        .await;
    assert_eq!(echoed, 5);
}

#[tokio::test]
async fn candidates_reach_the_session_that_they_are_for() {
    let (node, server) = start().await;
    let mut alice = server.join("alice").await;
    let candidate = |text: &str, target: livekit::SignalTarget| {
        let candidate_init = format!(r#"{{"candidate":"{text}","sdpMid":"0"}}"#);
        Request::Trickle(livekit::TrickleRequest { candidate_init, target: target.into(), r#final: false })
    };
    alice.send(candidate("candidate:sub", livekit::SignalTarget::Subscriber)).await;
    alice.send(candidate("candidate:pub", livekit::SignalTarget::Publisher)).await;
    alice
        .send(Request::Trickle(livekit::TrickleRequest { candidate_init: "{".into(), ..Default::default() }))
        .await;
    node.wait_for_call(&format!("AddCandidates {}.sub candidate:sub", alice.sid)).await;
    alice.send(Request::Offer(description("offer", "v=0", 1))).await;
    alice.answer().await;
    node.wait_for_call(&format!("AddCandidates {}.pub candidate:pub", alice.sid)).await;
}

#[tokio::test]
async fn events_of_the_node_reach_those_whom_they_concern() {
    let (node, server) = start().await;
    let mut alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    let track_id = alice.publish("cam").await;
    bob.update(|info| info.tracks.len() == 1).await;
    let (alice_sub, bob_sub) = (format!("{}.sub", alice.sid), format!("{}.sub", bob.sid));
    node.wait_for_call(&format!("SetSubscriptions {bob_sub} {track_id}")).await;

    node.emit(Kind::SessionChanged(sfu::SessionChanged {
        session_id: alice_sub,
        participant_id: alice.sid.clone(),
        state: sfu::SessionState::Connected.into(),
        ..Default::default()
    }));
    bob.update(|info| info.sid == alice.sid && info.state() == livekit::participant_info::State::Active)
        .await;

    let speaker =
        sfu::Speaker { participant_id: alice.sid.clone(), publication_id: track_id.clone(), level: 0.5 };
    node.emit(Kind::SpeakersChanged(sfu::SpeakersChanged { speakers: vec![speaker], ..Default::default() }));
    let speakers = bob
        .expect(|message| match message {
            Response::SpeakersChanged(changed) => Some(changed.speakers),
            _ => None,
        })
        .await;
    assert!(speakers[0].active && speakers[0].sid == alice.sid);

    let paused = sfu::Subscription {
        publication_id: track_id.clone(),
        pause_reason: sfu::PauseReason::Bandwidth.into(),
        ..Default::default()
    };
    node.emit(Kind::SubscriptionChanged(sfu::SubscriptionChanged {
        session_id: bob_sub,
        participant_id: bob.sid.clone(),
        subscription: Some(paused),
        started: true,
    }));
    let state = bob
        .expect(|message| match message {
            Response::StreamStateUpdate(update) => Some(update.stream_states[0].state()),
            _ => None,
        })
        .await;
    assert_eq!(state, livekit::StreamState::Paused);
    alice.expect(|message| matches!(message, Response::TrackSubscribed(_)).then_some(())).await;

    let session_id = format!("{}.pub", alice.sid);
    node.emit(Kind::WantedLayers(sfu::WantedLayers {
        session_id,
        publication_id: track_id,
        layers: vec![0, 1],
    }));
    let qualities = alice
        .expect(|message| match message {
            Response::SubscribedQualityUpdate(update) => Some(update.subscribed_qualities),
            _ => None,
        })
        .await;
    assert_eq!(qualities.iter().map(|quality| quality.enabled).collect::<Vec<_>>(), [true, true, false]);
}

#[tokio::test]
async fn who_leaves_is_gone_at_once_and_an_empty_room_ends() {
    let (node, server) = start_with(|settings| settings.timings.departure = 0).await;
    let mut alice = server.join("alice").await;
    let mut bob = server.join("bob").await;
    bob.send(Request::Leave(livekit::LeaveRequest::default())).await;
    let gone = alice.update(|info| info.sid == bob.sid).await;
    let gone = if gone.state() == livekit::participant_info::State::Disconnected {
        gone
    } else {
        alice.update(|info| info.state() == livekit::participant_info::State::Disconnected).await
    };
    assert_eq!(gone.disconnect_reason(), livekit::DisconnectReason::ClientInitiated);
    node.wait_for_call(&format!("DeleteSession {}.sub", bob.sid)).await;
    assert!(!node.calls().contains(&"DeleteRoom".to_owned()));
    alice.send(Request::Leave(livekit::LeaveRequest::default())).await;
    node.wait_for_call("DeleteRoom").await;
}

#[tokio::test]
async fn an_offer_that_the_node_cannot_read_sends_the_client_away() {
    let (_node, server) = start().await;
    let mut alice = server.join("alice").await;
    alice.send(Request::Offer(description("offer", "nonsense", 1))).await;
    let leave = alice.closed().await.unwrap();
    assert_eq!(leave.action(), livekit::leave_request::Action::Reconnect);
}

#[tokio::test]
async fn who_does_not_answer_an_offer_must_join_anew() {
    let (_node, server) = start_with(|settings| settings.timings.answer = 1).await;
    let mut alice = server.join("alice").await;
    let leave = alice.closed().await.unwrap();
    assert_eq!(leave.action(), livekit::leave_request::Action::Reconnect);
}

fn join_request(request: &livekit::JoinRequest) -> String {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&request.encode_to_vec()).unwrap();
    let join_request = encoder.finish().unwrap().into();
    let compression = livekit::wrapped_join_request::Compression::Gzip.into();
    URL_SAFE_NO_PAD.encode(livekit::WrappedJoinRequest { compression, join_request }.encode_to_vec())
}

async fn join_single(server: &Server, identity: &str, sdp: &str) -> (Client, livekit::JoinResponse) {
    let request = livekit::JoinRequest {
        connection_settings: Some(livekit::ConnectionSettings { auto_subscribe: true, ..Default::default() }),
        publisher_offer: Some(description("offer", sdp, 1)),
        ..Default::default()
    };
    let url = format!(
        "ws://{}/rtc/v1?access_token={}&join_request={}",
        server.address,
        token(identity),
        join_request(&request)
    );
    let mut client = Client::connect(&url).await.unwrap();
    let join = client.greeted().await;
    (client, join)
}

#[tokio::test]
async fn with_one_connection_the_client_is_asked_for_sections_and_told_what_they_carry() {
    let (node, server) = start().await;
    let mut alice = server.join("alice").await;
    let one = alice.publish("one").await;
    alice.update(|info| info.tracks.len() == 1).await;

    let (mut bob, join) = join_single(&server, "bob", "audio=1 video=1").await;
    assert!(!join.subscriber_primary, "everything comes over the client's own connection");
    let answer = bob.answer().await;
    assert_eq!(answer.id, 1);
    assert_eq!(answer.mid_to_track_id.values().collect::<Vec<_>>(), [&one]);

    alice.send(Request::AddTrack(camera("two"))).await;
    alice.send(Request::Offer(description("offer", "v=0", 8))).await;
    bob.update(|info| info.tracks.len() == 2).await;
    let missing = bob
        .expect(|message| match message {
            Response::MediaSectionsRequirement(missing) => Some((missing.num_audios, missing.num_videos)),
            _ => None,
        })
        .await;
    assert_eq!(missing, (0, 1));
    bob.send(Request::Offer(description("offer", "audio=1 video=2", 2))).await;
    let answer = bob.answer().await;
    assert_eq!((answer.id, answer.mid_to_track_id.len()), (2, 2));

    assert!(!bob.seen.iter().any(|message| matches!(message, Response::Offer(_))), "the server never offers");
    let session = node.session(&bob.sid);
    assert_eq!(session.settings.unwrap().offerer(), sfu::Offerer::Peer);
}

#[tokio::test]
async fn with_one_connection_a_client_publishes_and_others_see_it() {
    let (_node, server) = start().await;
    let mut alice = server.join("alice").await;
    let (mut bob, _) = join_single(&server, "bob", "audio=3 video=3").await;
    bob.answer().await;
    let track_id = bob.publish("cam").await;
    assert!(alice.update(|info| !info.tracks.is_empty()).await.tracks[0].sid == track_id);
}
