//! Calls of the API.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use sluice_api::sfu::v1 as api;
use sluice_api::sfu::v1::sfu_client::SfuClient;
use sluice_sfu::{Node, StartError};
use tonic::Code;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1 as reflection;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

use crate::harness::{Bearer, PATIENCE, put_room, put_session, settings, start};

#[tokio::test]
async fn a_room_lives_from_its_first_put_to_its_deletion() {
    let node = start(settings()).await;
    let mut client = node.client().await;
    assert!(client.put_room(put_room("r", 5)).await.unwrap().into_inner().created);
    assert!(!client.put_room(put_room("r", 5)).await.unwrap().into_inner().created);
    assert!(client.put_session(put_session("r", "s")).await.unwrap().into_inner().created);

    let get = api::GetRoomRequest { room_id: "r".into() };
    let room = client.get_room(get.clone()).await.unwrap().into_inner().room.unwrap();
    assert_eq!((room.room_id.as_str(), room.owner_epoch), ("r", 5));

    let delete = api::DeleteRoomRequest { room_id: "r".into(), owner_epoch: 5 };
    client.delete_room(delete.clone()).await.unwrap();
    client.delete_room(delete).await.expect("deleting again is harmless");
    assert_eq!(client.get_room(get).await.unwrap_err().code(), Code::NotFound);
    node.stop().await;
}

#[tokio::test]
async fn the_token_guards_every_call_but_health_and_reflection() {
    let node = start(settings()).await;
    let mut stranger = SfuClient::with_interceptor(node.channel().await, Bearer("guess"));
    for code in [
        stranger.get_node(api::GetNodeRequest {}).await.unwrap_err().code(),
        stranger.put_room(put_room("r", 1)).await.unwrap_err().code(),
        stranger.watch_events(api::WatchEventsRequest::default()).await.unwrap_err().code(),
        SfuClient::new(node.channel().await).get_node(api::GetNodeRequest {}).await.unwrap_err().code(),
    ] {
        assert_eq!(code, Code::Unauthenticated);
    }

    let mut health = HealthClient::new(node.channel().await);
    for service in ["", "sluice.sfu.v1.Sfu"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let response = health.check(request).await.unwrap().into_inner();
        assert_eq!(response.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    }
    node.stop().await;
}

#[tokio::test]
async fn reflection_lists_the_api() {
    use reflection::server_reflection_request::MessageRequest;
    use reflection::server_reflection_response::MessageResponse;
    let node = start(settings()).await;
    let mut client = ServerReflectionClient::new(node.channel().await);
    let ask =
        |message| reflection::ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let requests = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("sluice.sfu.v1.Sfu.PutRoom".into())),
    ];
    let answers = client.server_reflection_info(tokio_stream::iter(requests)).await.unwrap();
    let mut answers = answers.into_inner();
    match answers.message().await.unwrap().unwrap().message_response.unwrap() {
        MessageResponse::ListServicesResponse(list) => {
            let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
            names.sort();
            let expected =
                ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "sluice.sfu.v1.Sfu"];
            assert_eq!(names, expected);
        }
        other => panic!("{other:?}"),
    }
    match answers.message().await.unwrap().unwrap().message_response.unwrap() {
        MessageResponse::FileDescriptorResponse(file) => assert_eq!(file.file_descriptor_proto.len(), 1),
        other => panic!("{other:?}"),
    }
    node.stop().await;
}

#[tokio::test]
async fn a_wrong_field_is_named() {
    let node = start(settings()).await;
    let mut client = node.client().await;
    client.put_room(put_room("r", 1)).await.unwrap();
    let publications = |publication| api::SetPublicationsRequest {
        room_id: "r".into(),
        session_id: "s".into(),
        publications: vec![publication],
        ..Default::default()
    };
    let bad_session = api::PutSessionRequest { settings: None, ..put_session("r", "s") };
    let bad_page = api::ListRoomsRequest { page_size: 1_001, ..Default::default() };
    let no_step = api::NegotiateRequest { room_id: "r".into(), session_id: "s".into(), ..Default::default() };
    let refused = [
        ("room_id", client.put_room(put_room("two words", 1)).await.map(drop)),
        ("session_id", client.put_session(put_session("r", "")).await.map(drop)),
        ("settings", client.put_session(bad_session).await.map(drop)),
        (
            "publications[0].kind",
            client
                .set_publications(publications(api::Publication {
                    publication_id: "p".into(),
                    ..Default::default()
                }))
                .await
                .map(drop),
        ),
        ("step", client.negotiate(no_step).await.map(drop)),
        ("page_size", client.list_rooms(bad_page).await.map(drop)),
    ];
    for (field, result) in refused {
        let status = result.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert!(status.message().starts_with(&format!("{field}: ")), "{status}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_request_that_is_too_large_harms_nobody() {
    let node = start(settings()).await;
    let mut client = node.client().await;
    client.put_room(put_room("r", 1)).await.unwrap();
    let huge = api::PutRoomRequest { app_state: Some(vec![0; 5 << 20].into()), ..put_room("r", 1) };
    assert_eq!(client.put_room(huge).await.unwrap_err().code(), Code::OutOfRange);
    // Within what a request may have, but not within what a room may.
    let large = api::PutRoomRequest { app_state: Some(vec![0; 65_537].into()), ..put_room("r", 1) };
    let refused = client.put_room(large).await.unwrap_err().code();
    assert!(matches!(refused, Code::InvalidArgument | Code::ResourceExhausted), "{refused:?}");
    assert!(!client.put_room(put_room("r", 1)).await.unwrap().into_inner().created);
    node.stop().await;
}

#[tokio::test]
async fn an_owner_of_the_past_is_refused() {
    let node = start(settings()).await;
    let mut client = node.client().await;
    client.put_room(put_room("r", 5)).await.unwrap();
    client.put_room(put_room("r", 6)).await.unwrap();
    let status = client.put_room(put_room("r", 5)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("older than the room's 6"), "{status}");
    node.stop().await;
}

#[tokio::test]
async fn a_call_to_a_room_that_is_not_there_says_so() {
    let node = start(settings()).await;
    let mut client = node.client().await;
    let status = client.put_session(put_session("nowhere", "s")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "room nowhere not found"));
    node.stop().await;
}

#[tokio::test]
async fn rooms_of_all_shards_are_listed_in_pages() {
    let mut settings = settings();
    settings.shards = 3;
    let node = start(settings).await;
    let mut client = node.client().await;
    for number in 0..7 {
        client.put_room(put_room(&format!("room-{number}"), 9)).await.unwrap();
    }
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let request = api::ListRoomsRequest { page_size: 3, page_token: token };
        let answer = client.list_rooms(request).await.unwrap().into_inner();
        pages.push(answer.rooms.into_iter().map(|room| room.room_id).collect::<Vec<_>>());
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(
        pages,
        [vec!["room-0", "room-1", "room-2"], vec!["room-3", "room-4", "room-5"], vec!["room-6"]]
    );
    let alive = client.keep_alive(api::KeepAliveRequest { owner_epoch: 9 }).await.unwrap().into_inner();
    assert_eq!(alive.rooms, 7);
    node.stop().await;
}

#[tokio::test]
async fn the_node_says_what_it_is() {
    let mut settings = settings();
    settings.shards = 2;
    let node = start(settings).await;
    let mut client = node.client().await;
    client.put_room(put_room("r", 1)).await.unwrap();
    let info = client.get_node(api::GetNodeRequest {}).await.unwrap().into_inner().node.unwrap();
    assert_eq!((info.node_id.as_str(), info.draining), ("test", false));
    assert_eq!(info.boot_id.len(), 32);
    assert!(info.started_at_ms > 1_700_000_000_000);
    let load = info.load.unwrap();
    assert_eq!((load.rooms, load.shard_busy.len()), (1, 2));
    let udp = info.media_addresses.iter().filter(|address| address.starts_with("udp://127.0.0.1:"));
    assert_eq!(udp.count(), 2, "{:?}", info.media_addresses);
    assert!(info.media_addresses.iter().any(|address| address.starts_with("tcp://127.0.0.1:")));
    assert!(info.media_addresses.iter().all(|address| !address.ends_with(":0")));
    node.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let node = start(settings()).await;
    let mut second = settings();
    second.media.first_udp_port = node.address(sluice_engine::Protocol::Udp).port();
    match Node::start(second).await {
        Err(StartError::Bind { address, .. }) => {
            assert_eq!(address, node.address(sluice_engine::Protocol::Udp));
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two nodes share a port"),
    }
    node.stop().await;
}

#[tokio::test]
async fn a_node_that_ended_has_closed_its_sockets() {
    let node = start(settings()).await;
    let mut again = settings();
    again.media.first_udp_port = node.address(sluice_engine::Protocol::Udp).port();
    again.media.tcp_port = Some(node.address(sluice_engine::Protocol::Tcp).port());
    again.grpc.bind = node.grpc;
    node.stop().await;
    start(again).await.stop().await;
}

#[tokio::test]
async fn a_node_that_is_dropped_ends_too() {
    let node = Node::start(settings()).await.unwrap();
    let mut again = settings();
    again.media.first_udp_port = node.media_addresses()[0].advertised.port();
    drop(node);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Node::start(again.clone()).await {
            Ok(_) => break,
            Err(StartError::Bind { error, .. }) if error.kind() == ErrorKind::AddrInUse => {
                assert!(Instant::now() < deadline, "the port is still taken");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}
