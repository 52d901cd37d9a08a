//! Stories of a call, told to one shard or two by str0m peers in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is a test's report

mod world;

use std::time::Duration;

use sluice_engine::model::*;
use sluice_engine::*;
use str0m::media::MediaKind as Kind;
use world::*;

const SECOND: Duration = Duration::from_secs(1);

/// Each of these stories is told of a room on one shard, and of a room that is spread over two: nobody may notice.
macro_rules! stories {
    ($($story:ident)*) => {
        mod on_one_shard { $( #[test] fn $story() { super::$story(1); } )* }
        mod on_two_shards { $( #[test] fn $story() { super::$story(2); } )* }
    };
}

stories! {
    bob_hears_alice_when_he_offers_sections
    bob_gets_the_layer_that_he_asks_for_as_one_gapless_stream
    a_lost_picture_is_asked_of_the_publisher_once_for_all
    a_camera_that_changes_its_size_with_every_frame_does_not_keep_the_room_busy
    a_muted_camera_is_silent_until_it_is_unmuted
    a_section_rests_for_a_round_before_its_next_owner_and_its_stream_goes_on
    messages_reach_those_who_are_meant_and_carry_the_senders_name
    whoever_leaves_is_gone_for_everybody
    a_layer_that_the_publisher_gives_up_is_left_at_once
}

/// Alice publishes a microphone, Bob offers sections to receive it.
fn bob_hears_alice_when_he_offers_sections(shards: usize) {
    let mut world = World::new(shards);
    let alice = world.join("alice", Offerer::Peer);
    let bob = world.join("bob", Offerer::Peer);
    world.publish(alice, vec![audio("mic")]);
    let mut mid = None;
    let round = world
        .peer_offers(alice, |api| {
            mid = Some(api.add_media(Kind::Audio, SEND, Some("s".into()), Some("mic".into()), None));
        })
        .unwrap();
    assert_eq!(round.bindings.len(), 1, "{round:?}");

    world.subscribe(bob, &[("mic", Wish::default())]);
    let needed = world.events.iter().any(|event| {
        matches!(event, EventKind::NegotiationNeeded { session, missing }
            if session.as_str() == "bob" && missing.audio == 1)
    });
    assert!(needed, "{:?}", world.events);
    let mut receiving = None;
    let round = world
        .peer_offers(bob, |api| {
            receiving = Some(api.add_media(Kind::Audio, RECEIVE, None, None, None));
        })
        .unwrap();
    assert!(round.sdp.contains("a=msid:stream-mic track-mic"), "{}", round.sdp);
    world.until("both connected", |w| w.peers.iter().all(|p| p.connected));

    let mid = mid.unwrap();
    let mut sequence = 0;
    world.run(SECOND, |world, _| {
        sequence += 1;
        let now = world.now;
        world.peers[alice].send(
            now,
            mid,
            None,
            Sent {
                codec: str0m::format::Codec::Opus,
                sequence,
                timestamp: sequence as u32 * 240,
                marker: false,
                level: Some(-20),
                payload: &[sequence as u8; 80],
            },
        );
    });
    let heard: Vec<_> = world.peers[bob].packets.iter().map(|p| p.payload[0]).collect();
    assert!(heard.len() >= 195, "only {} of 200 packets", heard.len());
    assert!(heard.windows(2).all(|w| w[1] == w[0].wrapping_add(1)), "in order, none lost");
    assert_eq!(world.peers[bob].packets[9].header.ext_vals.audio_level, Some(-20));
    let spoke = world
        .events
        .iter()
        .any(|event| matches!(event, EventKind::Speakers { dominant: Some(p), .. } if p.as_str() == "alice"));
    assert!(spoke, "alice has the floor");
}

/// A room with Alice's three-layer camera and Bob who watches it.
fn simulcast(shards: usize) -> (World, Vec<Camera>, usize, usize) {
    let mut world = World::new(shards);
    let alice = world.join("alice", Offerer::Peer);
    let bob = world.join("bob", Offerer::Node);
    let layers = [("q", 320, 180), ("h", 640, 360), ("f", 1280, 720)];
    world.publish(alice, vec![video("cam", &layers)]);
    let mut mid = None;
    world
        .peer_offers(alice, |api| {
            mid = Some(api.add_media(
                Kind::Video,
                SEND,
                Some("s".into()),
                Some("cam".into()),
                Some(three_layers()),
            ));
        })
        .unwrap();
    let mid = mid.unwrap();
    let cameras = vec![
        Camera::new(mid, Some("q"), (320, 180), 300),
        Camera::new(mid, Some("h"), (640, 360), 600),
        Camera::new(mid, Some("f"), (1280, 720), 1_100),
    ];
    world.subscribe(bob, &[("cam", Wish { width: 320, height: 180, ..Wish::default() })]);
    let offer = world.node_offers(bob);
    assert!(offer.contains("a=msid:stream-cam track-cam"), "{offer}");
    world.until("both connected", |w| w.peers.iter().all(|p| p.connected));
    (world, cameras, alice, bob)
}

/// Sends all layers for a while; key frames when asked for.
fn film(world: &mut World, cameras: &mut [Camera], alice: usize, time: Duration) {
    let mut last = None;
    world.run(time, |world, elapsed| {
        let tick = elapsed.as_millis() / 33;
        if last == Some(tick) {
            return;
        }
        last = Some(tick);
        let asked = std::mem::take(&mut world.peers[alice].key_frame_requests) > 0;
        for camera in cameras.iter_mut() {
            camera.key |= asked;
            let now = world.now;
            camera.frame(&mut world.peers[alice], now);
        }
    });
}

/// Which layer the last packet that a peer got belongs to, by its size.
fn shown(world: &World, peer: usize) -> usize {
    world.peers[peer].packets.last().map_or(0, |p| p.payload.len())
}

fn bob_gets_the_layer_that_he_asks_for_as_one_gapless_stream(shards: usize) {
    let (mut world, mut cameras, alice, bob) = simulcast(shards);
    film(&mut world, &mut cameras, alice, 3 * SECOND);
    assert_eq!(shown(&world, bob), 300, "the small layer");

    for round in 0..25 {
        let wish = if round % 2 == 0 { (1280, 720) } else { (320, 180) };
        world.subscribe(bob, &[("cam", Wish { width: wish.0, height: wish.1, ..Wish::default() })]);
        film(&mut world, &mut cameras, alice, 2 * SECOND);
        let bytes = if round % 2 == 0 { 1_100 } else { 300 };
        assert_eq!(shown(&world, bob), bytes, "round {round}");
    }
    let mut oracle = sluice_forward::conformance::Conformance::new(sluice_rtp::Codec::Vp8);
    for packet in &world.peers[bob].packets {
        let header = &packet.header;
        let timestamp = sluice_rtp::Timestamp(header.timestamp);
        oracle.observe(header.sequence_number, timestamp, header.marker, &packet.payload);
    }
    let report = oracle.finish();
    assert_eq!(report.fault_count, 0, "{report:?}");
    assert_eq!(report.missing, 0, "{report:?}");
    assert!(report.packets > 1_400, "{report:?}");
    let (out, arrived) = (world.total(|c| c.link_packets_out), world.total(|c| c.link_packets_in));
    assert_eq!((out, arrived > 1_400), (arrived, shards > 1), "each packet over the link once, or no link");
}

#[test]
fn a_link_carries_only_the_layers_that_somebody_behind_it_wants() {
    let (mut world, mut cameras, alice, bob) = simulcast(2);
    film(&mut world, &mut cameras, alice, 3 * SECOND);
    let carried = |world: &mut World, cameras: &mut [Camera]| {
        let before = world.total(|c| c.link_packets_out);
        film(world, cameras, alice, SECOND);
        world.total(|c| c.link_packets_out) - before
    };
    let one = carried(&mut world, &mut cameras);
    assert!((25..=35).contains(&one), "thirty frames of the small layer: {one}");
    // Carol is on the first shard, beside Alice: what she watches needs no link.
    let carol = world.join("carol", Offerer::Node);
    world.subscribe(carol, &[("cam", Wish::default())]);
    world.node_offers(carol);
    world.until("carol connects", |w| w.peers[carol].connected);
    film(&mut world, &mut cameras, alice, 2 * SECOND);
    assert_eq!(shown(&world, carol), 1_100, "carol sees the large one");
    let still_one = carried(&mut world, &mut cameras);
    assert!((25..=35).contains(&still_one), "{still_one}");
    world.subscribe(bob, &[]);
    film(&mut world, &mut cameras, alice, 2 * SECOND);
    assert_eq!(carried(&mut world, &mut cameras), 0, "nobody there watches");
}

fn a_lost_picture_is_asked_of_the_publisher_once_for_all(shards: usize) {
    let (mut world, mut cameras, alice, bob) = simulcast(shards);
    film(&mut world, &mut cameras, alice, 2 * SECOND);
    let mid = world.peers[bob].packets[0].header.ext_vals.mid.unwrap();
    let counted = |world: &World| {
        (world.total(|c| c.key_frame_requests_received), world.total(|c| c.key_frame_requests))
    };
    let before = counted(&world);
    for _ in 0..5 {
        world.peers[bob].request_key_frame(mid);
        film(&mut world, &mut cameras, alice, Duration::from_millis(10));
    }
    film(&mut world, &mut cameras, alice, SECOND);
    let after = counted(&world);
    let (received, asked) = (after.0 - before.0, after.1 - before.1);
    assert!(received >= 1, "bob's requests arrive");
    assert!((1..=2).contains(&asked), "{asked} requests to alice for {received} of bob");
}

fn a_camera_that_changes_its_size_with_every_frame_does_not_keep_the_room_busy(shards: usize) {
    let (mut world, mut cameras, alice, _bob) = simulcast(shards);
    film(&mut world, &mut cameras, alice, 2 * SECOND);
    let before = world.events.len();
    for frame in 1..=60 {
        cameras[0].size = (320 + frame, 180);
        cameras[0].key = true;
        film(&mut world, &mut cameras, alice, Duration::from_millis(33));
    }
    let widths = |world: &World| -> Vec<u32> {
        let changed = world.events[before..].iter().filter_map(|event| match event {
            EventKind::PublicationChanged { publication, .. } => Some(publication.spec.layers[0].width),
            _ => None,
        });
        changed.collect()
    };
    // Eight at once, then two a second.
    let told = widths(&world).len();
    assert!((2..=13).contains(&told), "{told} changes told of 60");
    film(&mut world, &mut cameras, alice, SECOND);
    assert_eq!(widths(&world).last(), Some(&380), "the last one is told, though later");
}

fn a_muted_camera_is_silent_until_it_is_unmuted(shards: usize) {
    let (mut world, mut cameras, alice, bob) = simulcast(shards);
    film(&mut world, &mut cameras, alice, 2 * SECOND);
    let publication = id::PublicationId::new("cam").unwrap();
    world.act(RoomAction::SetMuted { publication: publication.clone(), muted: true }).unwrap();
    let before = world.peers[bob].packets.len();
    film(&mut world, &mut cameras, alice, SECOND);
    assert_eq!(world.peers[bob].packets.len(), before);
    world.act(RoomAction::SetMuted { publication, muted: false }).unwrap();
    film(&mut world, &mut cameras, alice, SECOND);
    assert!(world.peers[bob].packets.len() > before + 15);
}

fn a_section_rests_for_a_round_before_its_next_owner_and_its_stream_goes_on(shards: usize) {
    let (mut world, mut cameras, alice, bob) = simulcast(shards);
    film(&mut world, &mut cameras, alice, 2 * SECOND);
    let first = world.peers[bob].packets[0].header.ext_vals.mid.unwrap();
    let last = world.peers[bob].packets.last().unwrap().seq_no;

    let carol = world.join("carol", Offerer::Peer);
    world.publish(carol, vec![video("screen", &[])]);
    let mut mid = None;
    world
        .peer_offers(carol, |api| {
            mid = Some(api.add_media(Kind::Video, SEND, Some("s".into()), Some("screen".into()), None));
        })
        .unwrap();
    world.subscribe(bob, &[]);
    let offer = world.node_offers(bob);
    assert!(offer.contains("a=inactive"), "{offer}");
    world.subscribe(bob, &[("screen", Wish::default())]);
    let offer = world.node_offers(bob);
    assert!(offer.contains("a=msid:stream-screen track-screen"), "{offer}");
    assert_eq!(offer.matches("m=video").count(), 1, "the section is used again: {offer}");

    world.until("carol connects", |w| w.peers[carol].connected);
    let mut screen = [Camera::new(mid.unwrap(), None, (1920, 1080), 900)];
    film(&mut world, &mut screen, carol, 2 * SECOND);
    let new: Vec<_> = world.peers[bob].on(&first).filter(|p| p.payload.len() == 900).collect();
    assert!(new.len() > 40, "{} packets of the new owner", new.len());
    assert!(new[0].seq_no > last && *new[0].seq_no < *last + 3, "{} after {last}", new[0].seq_no);
}

fn chat(address: &str) -> DataPolicy {
    DataPolicy {
        may_send: true,
        receives: true,
        address: address.into(),
        labels: vec!["chat".into()],
        append: bytes::Bytes::from(format!("\u{22}{}{address}", address.len() as u8 as char)),
        destinations_field: Some(5),
        sequence_field: Some(16),
        ..DataPolicy::default()
    }
}

fn messages_reach_those_who_are_meant_and_carry_the_senders_name(shards: usize) {
    let mut world = World::new(shards);
    for name in ["alice", "bob", "carol"] {
        let peer = world.join_with(name, name, Offerer::Peer, chat(name));
        world
            .peer_offers(peer, |api| {
                api.add_channel("chat".into());
            })
            .unwrap();
    }
    world.until("all channels open", |w| w.peers.iter().all(|p| !p.channels.is_empty()));

    // Field 2 "hi", field 5 "bob", field 16 = 1; then the same again, as a reconnecting client would.
    let message = b"\x12\x02hi\x2a\x03bob\x80\x01\x01";
    world.peers[0].say("chat", message);
    world.peers[0].say("chat", message);
    world.run(SECOND, |_, _| {});
    let got = &world.peers[1].messages;
    assert_eq!(got.len(), 1, "once, although sent twice");
    assert_eq!(got[0].0, "chat");
    assert!(got[0].1.ends_with(b"\x22\x05alice"), "{:?}", got[0].1);
    assert!(world.peers[0].messages.is_empty() && world.peers[2].messages.is_empty());

    world.peers[2].say("chat", b"not protobuf \xff\xff");
    world.peers[2].say("chat", b"\x12\x02yo");
    world.run(SECOND, |_, _| {});
    assert_eq!(world.peers[0].messages.len(), 1);
    assert_eq!(world.peers[1].messages.len(), 2);
    assert_eq!(world.total(|c| c.messages_refused), 2);
}

fn whoever_leaves_is_gone_for_everybody(shards: usize) {
    let (mut world, mut cameras, alice, bob) = simulcast(shards);
    film(&mut world, &mut cameras, alice, SECOND);
    world.act(RoomAction::DeleteSession { session: session("alice") }).unwrap();
    world.until("alice hears of it", |w| w.peers[alice].closed);
    let ended = world.events.iter().any(|event| {
        matches!(event, EventKind::PublicationEnded { publication, .. } if publication.as_str() == "cam")
    });
    assert!(ended);
    assert!(world.node_offers(bob).contains("a=inactive"));
    world.act(RoomAction::Delete).unwrap();
    assert_eq!(world.total(|c| c.sessions), 0);
    assert!(matches!(world.act(RoomAction::Get), Err(CommandError::NotFound(_))));
}

#[test]
fn a_peer_that_never_connects_is_given_up() {
    let mut world = World::new(1);
    world.join("ghost", Offerer::Peer);
    world.run(62 * SECOND, |_, _| {});
    let closed = world
        .events
        .iter()
        .any(|event| matches!(event, EventKind::Session { reason: Some(CloseReason::Timeout), .. }));
    assert!(closed, "{:?}", world.events);
}

#[test]
fn a_room_without_an_owner_ends_and_an_old_owner_is_refused() {
    let mut world = World::new(1);
    let room = id::RoomId::new(ROOM).unwrap();
    let put = |epoch| Command::Room {
        room: room.clone(),
        owner_epoch: epoch,
        action: RoomAction::Put { app_state: None, settings: None },
    };
    world.command(0, put(7)).unwrap();
    assert_eq!(world.command(0, put(6)).unwrap_err(), CommandError::StaleOwner { given: 6, current: 7 },);
    for _ in 0..3 {
        world.run(100 * SECOND, |_, _| {});
        let Reply::Count(renewed) = world.command(0, Command::KeepAlive { owner_epoch: 7 }).unwrap() else {
            panic!("a count")
        };
        assert_eq!(renewed, 1);
    }
    world.run(122 * SECOND, |_, _| {});
    let orphaned = world
        .events
        .iter()
        .any(|event| matches!(event, EventKind::RoomEnded { reason: RoomEndReason::Orphaned }));
    assert!(orphaned);
}

#[test]
fn garbage_from_the_network_and_from_callers_changes_nothing() {
    let (mut world, mut cameras, alice, bob) = simulcast(1);
    let source = world.peers[alice].address;
    let mut noise = 1u64;
    for length in (0..1_500).step_by(7) {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (noise >> 33) as u8
            })
            .collect();
        for first in [0u8, 1, 20, 22, 23, 63, 128, 144, 191, 255] {
            let mut bytes = bytes.clone();
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            for source in [source, ([203, 0, 113, 9], 9).into()] {
                let destination = ([192, 0, 2, 1], 7882).into();
                let datagram = Datagram { protocol: Protocol::Udp, source, destination, contents: &bytes };
                world.shards[0].handle(world.now, Input::Datagram(datagram));
                world.settle();
            }
        }
    }
    for sdp in [
        "",
        "v=0",
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 x y\r\n",
        &"a".repeat(2 << 20),
    ] {
        let step = command::NegotiationStep::RemoteOffer(sdp.to_owned());
        let error = world.act(RoomAction::Negotiate { session: session("alice"), step }).unwrap_err();
        assert!(
            matches!(&error, CommandError::Invalid(text) if text.starts_with("remote_offer")),
            "{error:?}"
        );
    }
    film(&mut world, &mut cameras, alice, 2 * SECOND);
    assert_eq!(shown(&world, bob), 300, "the call goes on");
    assert_eq!(world.total(|c| c.faults), 0);
}

fn a_layer_that_the_publisher_gives_up_is_left_at_once(shards: usize) {
    let (mut world, mut cameras, alice, bob) = simulcast(shards);
    film(&mut world, &mut cameras, alice, 3 * SECOND);
    world.subscribe(bob, &[("cam", Wish { width: 1280, height: 720, ..Wish::default() })]);
    film(&mut world, &mut cameras, alice, 2 * SECOND);
    assert_eq!(shown(&world, bob), 1_100);
    // Only the two lower layers go on.
    let before = world.peers[bob].packets.len();
    film(&mut world, &mut cameras[..2], alice, Duration::from_millis(800));
    assert_eq!(shown(&world, bob), 600, "the next lower layer, well within a second");
    assert!(world.peers[bob].packets.len() > before + 5);
}
