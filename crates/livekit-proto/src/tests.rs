//! Encodings written down byte by byte: if a number in `proto/livekit` moves, published SDKs stop understanding us.
use prost::Message;

use crate::{self as livekit, signal_request, signal_response};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_client_offer_has_its_known_bytes() {
    let offer = livekit::SessionDescription {
        r#type: "offer".into(),
        sdp: "v=0".into(),
        id: 7,
        mid_to_track_id: Default::default(),
    };
    let request = livekit::SignalRequest { message: Some(signal_request::Message::Offer(offer)) };
    // Field 1, length 14: field 1 "offer", field 2 "v=0", field 3 varint 7.
    assert_eq!(hex(&request.encode_to_vec()), "0a0e0a056f66666572 1203763d30 1807".replace(' ', ""));
}

#[test]
fn pings_of_both_kinds_are_read() {
    let old = livekit::SignalRequest::decode(&[0x70, 0x05][..]).unwrap();
    assert_eq!(old.message, Some(signal_request::Message::Ping(5)));
    let new = livekit::SignalRequest::decode(&[0x82, 0x01, 0x04, 0x08, 0x05, 0x10, 0x02][..]).unwrap();
    let ping = livekit::Ping { timestamp: 5, rtt: 2 };
    assert_eq!(new.message, Some(signal_request::Message::PingReq(ping)));
}

#[test]
fn the_join_response_keeps_the_numbers_that_clients_need() {
    let join = livekit::JoinResponse {
        room: Some(livekit::Room { sid: "RM_1".into(), ..Default::default() }),
        participant: Some(livekit::ParticipantInfo { sid: "PA_1".into(), ..Default::default() }),
        subscriber_primary: true,
        ping_interval: 5,
        server_info: Some(livekit::ServerInfo { version: "1.13.0".into(), ..Default::default() }),
        fast_publish: true,
        ..Default::default()
    };
    let response = livekit::SignalResponse { message: Some(signal_response::Message::Join(join)) };
    let expected = concat!(
        "0a24",             // SignalResponse.join
        "0a060a04524d5f31", // 1 room { 1 sid }
        "12060a0450415f31", // 2 participant { 1 sid }
        "3001",             // 6 subscriber_primary
        "5805",             // 11 ping_interval
        "6208",             // 12 server_info
        "1206312e31332e30", // { 2 version }
        "7801",             // 15 fast_publish
    );
    let bytes = hex(&response.encode_to_vec());
    assert_eq!(bytes[4..], expected[4..]);
    assert_eq!(usize::from(response.encode_to_vec()[1]), (expected.len() - 4) / 2);
}

#[test]
fn requests_that_we_do_not_know_decode_to_nothing_instead_of_failing() {
    // Field 22 (a data blob), length 0.
    let request = livekit::SignalRequest::decode(&[0xb2, 0x01, 0x00][..]).unwrap();
    assert_eq!(request.message, None);
}

#[test]
fn truncated_messages_are_errors() {
    assert!(livekit::SignalRequest::decode(&[0x0a, 0x20, 0x01][..]).is_err());
}

#[test]
fn a_data_packet_takes_the_last_value_of_a_repeated_scalar() {
    // What the server appends must win over what the sender wrote.
    let mut bytes =
        livekit::DataPacket { participant_identity: "mallory".into(), ..Default::default() }.encode_to_vec();
    bytes.extend(
        livekit::DataPacket { participant_identity: "alice".into(), ..Default::default() }.encode_to_vec(),
    );
    assert_eq!(livekit::DataPacket::decode(&bytes[..]).unwrap().participant_identity, "alice");
}
