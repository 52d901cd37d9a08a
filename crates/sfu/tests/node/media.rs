//! Media through a node's real sockets.

use std::net::{Ipv4Addr, Ipv6Addr};

use sluice_api::sfu::v1 as api;
use sluice_engine::Protocol;
use str0m::media::{Direction, Mid};

use crate::harness::{Running, put_room, put_session, settings, start};
use crate::peer::{Peer, until};

async fn subscribe(node: &Running, session_id: &str, publication_id: &str) {
    let subscription = api::Subscription { publication_id: publication_id.to_owned(), ..Default::default() };
    let request = api::SetSubscriptionsRequest {
        room_id: "r".into(),
        session_id: session_id.to_owned(),
        subscriptions: vec![subscription],
        ..Default::default()
    };
    node.client().await.set_subscriptions(request).await.unwrap();
}

/// Alice publishes, Bob subscribes, both connect; answers the section of Alice's microphone.
async fn connect(node: &Running, alice: &mut Peer, bob: &mut Peer) -> Mid {
    let mut client = node.client().await;
    client.put_room(put_room("r", 1)).await.unwrap();
    let mic = alice.join(&mut client, "r", Direction::SendOnly).await;
    client.put_session(put_session("r", "bob")).await.unwrap();
    subscribe(node, "bob", "alice-mic").await;
    bob.join(&mut client, "r", Direction::RecvOnly).await;
    until("both are connected", [alice, bob], |peers| peers.iter().all(|peer| peer.connected)).await;
    mic
}

/// Alice speaks, Bob hears it: 50 packets that tell their number.
async fn conversation(node: &Running, mut alice: Peer, mut bob: Peer) {
    let mic = connect(node, &mut alice, &mut bob).await;
    let mut number = 0;
    until("Bob hears fifty packets", [&mut alice, &mut bob], |[alice, bob]| {
        number += 1;
        alice.speak(mic, number, &number.to_be_bytes());
        bob.packets.len() >= 50
    })
    .await;
    let heard: Vec<_> =
        bob.packets.iter().map(|packet| u16::from_be_bytes([packet.payload[0], packet.payload[1]])).collect();
    let expected: Vec<_> = (heard[0]..).take(heard.len()).collect();
    assert_eq!(heard, expected, "in order and without a gap");
}

#[tokio::test]
async fn a_voice_goes_from_peer_to_peer_over_udp() {
    let node = start(settings()).await;
    conversation(&node, Peer::over_udp("alice", "127.0.0.1"), Peer::over_udp("bob", "127.0.0.1")).await;
    let mut client = node.client().await;
    let stats = client.get_stats(api::GetStatsRequest { room_id: "r".into(), ..Default::default() });
    let sessions = stats.await.unwrap().into_inner().sessions;
    assert!(sessions.iter().all(|session| session.transport == "udp"), "{sessions:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_voice_reaches_a_peer_that_has_tcp_alone_on_whatever_shard_the_room_is() {
    let mut settings = settings();
    settings.shards = 2;
    let node = start(settings).await;
    // The first room takes the first shard, so that this one is on the second.
    node.client().await.put_room(put_room("elsewhere", 1)).await.unwrap();
    let tcp = node.address(Protocol::Tcp);
    conversation(&node, Peer::over_udp("alice", "127.0.0.1"), Peer::over_tcp("bob", tcp)).await;
    node.stop().await;
}

#[tokio::test]
async fn a_voice_goes_from_shard_to_shard_in_a_room_that_spreads() {
    let mut settings = settings();
    (settings.shards, settings.limits.room_sessions_per_shard) = (2, 1);
    let node = start(settings).await;
    conversation(&node, Peer::over_udp("alice", "127.0.0.1"), Peer::over_udp("bob", "127.0.0.1")).await;

    let mut client = node.client().await;
    let rooms = client.list_rooms(api::ListRoomsRequest::default()).await.unwrap().into_inner().rooms;
    assert_eq!(rooms.iter().map(|room| (room.sessions, room.publications)).collect::<Vec<_>>(), [(2, 1)]);
    let get = api::GetRoomRequest { room_id: "r".into() };
    let room = client.get_room(get).await.unwrap().into_inner().room.unwrap();
    let names: Vec<_> = room.sessions.iter().map(|session| session.session_id.as_str()).collect();
    assert_eq!(names, ["alice", "bob"], "one room, whoever asks");
    let stats = client.get_stats(api::GetStatsRequest { room_id: "r".into(), ..Default::default() });
    let sessions = stats.await.unwrap().into_inner().sessions;
    assert!(sessions.iter().any(|s| s.subscriptions.iter().any(|s| s.packets >= 50)), "{sessions:?}");

    // The publication is on one of them, whichever.
    for muted in [true, false] {
        let publication_id = "alice-mic".to_owned();
        let request =
            api::SetMutedRequest { room_id: "r".into(), publication_id, muted, ..Default::default() };
        client.set_muted(request).await.unwrap();
    }
    let publication_id = "nobody".to_owned();
    let request =
        api::SetMutedRequest { room_id: "r".into(), publication_id, muted: true, ..Default::default() };
    assert_eq!(client.set_muted(request).await.unwrap_err().code(), tonic::Code::NotFound);
    node.stop().await;
}

#[tokio::test]
async fn a_room_that_spreads_ends_everywhere_and_says_so_once() {
    let mut settings = settings();
    (settings.shards, settings.limits.room_sessions_per_shard) = (3, 1);
    let node = start(settings).await;
    let mut client = node.client().await;
    let mut events = client.watch_events(api::WatchEventsRequest::default()).await.unwrap().into_inner();
    crate::harness::hello(&mut events).await;
    let limit = api::RoomSettings { max_sessions: 4, ..Default::default() };
    client.put_room(api::PutRoomRequest { settings: Some(limit), ..put_room("r", 1) }).await.unwrap();
    for name in ["a", "b", "c", "d"] {
        client.put_session(put_session("r", name)).await.unwrap();
    }
    let refused = client.put_session(put_session("r", "e")).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "the limit is the whole room's");
    // The new owner is the owner everywhere.
    client.put_room(put_room("r", 2)).await.unwrap();
    for name in ["a", "b", "c", "d"] {
        let old = api::PutSessionRequest { owner_epoch: 1, ..put_session("r", name) };
        assert_eq!(
            client.put_session(old).await.unwrap_err().code(),
            tonic::Code::FailedPrecondition,
            "{name}"
        );
    }
    let kept = client.keep_alive(api::KeepAliveRequest { owner_epoch: 2 }).await.unwrap().into_inner();
    assert_eq!(kept.rooms, 1, "one room, whatever number of shards");

    client.delete_room(api::DeleteRoomRequest { room_id: "r".into(), owner_epoch: 2 }).await.unwrap();
    let (mut closed, mut ended) = (Vec::new(), 0);
    while closed.len() < 4 || ended == 0 {
        match crate::harness::event(&mut events).await.kind {
            Some(api::event::Kind::SessionChanged(changed)) => closed.push(changed.session_id),
            Some(api::event::Kind::RoomEnded(_)) => ended += 1,
            _ => {}
        }
    }
    closed.sort();
    assert_eq!((closed.join(" "), ended), ("a b c d".to_owned(), 1));
    // Nothing is left: the same name is a new room, on one shard again.
    client.put_room(put_room("r", 3)).await.unwrap();
    let get = api::GetRoomRequest { room_id: "r".into() };
    assert!(client.get_room(get).await.unwrap().into_inner().room.unwrap().sessions.is_empty());
    node.stop().await;
}

#[tokio::test]
async fn a_voice_comes_from_a_peer_that_has_tcp_alone() {
    let node = start(settings()).await;
    let tcp = node.address(Protocol::Tcp);
    conversation(&node, Peer::over_tcp("alice", tcp), Peer::over_tcp("bob", tcp)).await;
    node.stop().await;
}

#[tokio::test]
async fn a_burst_arrives_whole_and_in_order() {
    let node = start(settings()).await;
    let (mut alice, mut bob) = (Peer::over_udp("alice", "127.0.0.1"), Peer::over_udp("bob", "127.0.0.1"));
    let mic = connect(&node, &mut alice, &mut bob).await;
    for burst in 0..20_u16 {
        for index in 0..8 {
            let number = burst * 8 + index + 1;
            let mut payload = vec![number as u8; 1_000];
            payload[..2].copy_from_slice(&number.to_be_bytes());
            alice.speak(mic, number, &payload);
        }
        until("the burst is there", [&mut alice, &mut bob], |[_, bob]| {
            bob.packets.len() == usize::from(burst + 1) * 8
        })
        .await;
    }
    for (index, packet) in bob.packets.iter().enumerate() {
        let number = index as u16 + 1;
        assert_eq!(packet.payload[..2], number.to_be_bytes());
        assert!(packet.payload[2..].iter().all(|&byte| byte == number as u8));
        assert_eq!(packet.payload.len(), 1_000);
    }
    node.stop().await;
}

#[tokio::test]
async fn a_voice_goes_over_ipv6() {
    if std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let mut settings = settings();
    settings.media.bind_ips = vec![Ipv6Addr::LOCALHOST.into()];
    let node = start(settings).await;
    conversation(&node, Peer::over_udp("alice", "::1"), Peer::over_udp("bob", "::1")).await;
    node.stop().await;
}

#[tokio::test]
async fn a_node_on_all_addresses_answers_from_the_one_that_was_asked() {
    let mut settings = settings();
    settings.media.bind_ips = vec![Ipv4Addr::UNSPECIFIED.into()];
    let node = start(settings).await;
    let ip = node.address(Protocol::Udp).ip();
    assert!(!ip.is_unspecified());
    let (ip, tcp) = (ip.to_string(), node.address(Protocol::Tcp));
    conversation(&node, Peer::over_udp("alice", &ip), Peer::over_tcp("bob", tcp)).await;
    node.stop().await;
}

#[tokio::test]
async fn a_node_behind_a_nat_offers_the_address_in_front() {
    let mut settings = settings();
    settings.media.advertise_ips = vec!["203.0.113.7".parse().unwrap()];
    let node = start(settings).await;
    assert!(node.media.iter().all(|address| address.advertised.ip().to_string() == "203.0.113.7"));
    node.stop().await;
}
