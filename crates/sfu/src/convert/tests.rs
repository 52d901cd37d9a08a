use bytes::Bytes;
use sluice_api::sfu::v1 as api;
use sluice_engine::model::{Offerer, PublicationStatus, SubscriptionStatus, WhenFull};
use sluice_rtp::{Codec, MediaKind};

use super::declare::{publication_back, subscription_back};
use super::*;

fn camera() -> api::Publication {
    api::Publication {
        publication_id: "cam".into(),
        client_track_id: "{6f1c}".into(),
        kind: api::Kind::Video.into(),
        stream_label: "alice|s1".into(),
        track_label: "TR_1".into(),
        muted: true,
        codecs: Some(api::CodecPolicy { allowed: vec!["vp8".into(), "h264".into()], ..Default::default() }),
        layers: vec![
            api::Layer { rid: "q".into(), width: 320, height: 180, bitrate: 120_000, active: false },
            api::Layer { rid: "f".into(), width: 1_280, height: 720, bitrate: 1_700_000, active: false },
        ],
        screen_share: true,
        app_state: Bytes::from_static(b"state"),
        ..Default::default()
    }
}

type Change<T> = fn(&mut T);

#[test]
fn a_publication_comes_back_as_it_was_declared() {
    let spec = publications(vec![camera()]).unwrap().remove(0);
    assert_eq!((spec.kind, spec.codecs.as_slice()), (MediaKind::Video, [Codec::Vp8, Codec::H264].as_slice()));
    let status =
        PublicationStatus { spec, active: vec![false, true], mid: Some("3".into()), codec: Some(Codec::Vp8) };
    let mut expected = camera();
    expected.layers[1].active = true;
    expected.mid = "3".into();
    expected.codec = "vp8".into();
    assert_eq!(publication_back(&status), expected);
}

#[test]
fn labels_that_are_not_given_have_defaults() {
    let publication =
        api::Publication { stream_label: String::new(), track_label: String::new(), ..camera() };
    let spec = publications(vec![publication]).unwrap().remove(0);
    assert_eq!((spec.stream_label.as_str(), spec.track_label.as_str()), ("-", "cam"));
}

#[test]
fn every_wrong_field_of_a_publication_is_named() {
    let wrong: [(&str, Change<api::Publication>); 10] = [
        ("publications[1].publication_id", |p| p.publication_id.clear()),
        ("publications[1].kind", |p| p.kind = 0),
        ("publications[1].kind", |p| p.kind = 99),
        ("publications[1].stream_label", |p| p.stream_label = "a\r\na=candidate:1".into()),
        ("publications[1].stream_label", |p| p.stream_label = "x".repeat(65)),
        ("publications[1].track_label", |p| p.track_label = "two words".into()),
        ("publications[1].codecs.allowed", |p| p.codecs.as_mut().unwrap().allowed.push("opus".into())),
        ("publications[1].codecs.allowed", |p| p.codecs.as_mut().unwrap().allowed.push("h262".into())),
        ("publications[1].layers[1].rid", |p| p.layers[1].rid = "f;max-width=1".into()),
        ("publications[1].layers", |p| p.layers = vec![api::Layer::default(); 17]),
    ];
    for (field, change) in wrong {
        let mut publication = camera();
        change(&mut publication);
        let status = publications(vec![camera(), publication]).unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert!(status.message().starts_with(&format!("{field}: ")), "{status}");
    }
}

#[test]
fn a_subscription_comes_back_as_it_was_declared() {
    let wish =
        api::Wish { width: 640, height: 360, frame_rate: 15, priority: 7, paused: true, max_layer: Some(1) };
    let declared = api::Subscription { publication_id: "cam".into(), wish: Some(wish), ..Default::default() };
    let spec = subscriptions(vec![declared.clone()]).unwrap().remove(0);
    let status = SubscriptionStatus { spec, mid: Some("1".into()), layer: Some(2), paused: None };
    let expected = api::Subscription {
        mid: "1".into(),
        layer: Some(2),
        pause_reason: api::PauseReason::None.into(),
        ..declared
    };
    assert_eq!(subscription_back(&status), expected);
}

#[test]
fn a_wish_for_an_impossible_layer_is_refused_by_name() {
    let wish = api::Wish { max_layer: Some(256), ..Default::default() };
    let declared = api::Subscription { publication_id: "cam".into(), wish: Some(wish), ..Default::default() };
    let status = subscriptions(vec![declared]).unwrap_err();
    assert!(status.message().starts_with("subscriptions[0].wish.max_layer: "), "{status}");
}

fn settings() -> api::SessionSettings {
    api::SessionSettings {
        offerer: api::Offerer::Node.into(),
        data: Some(api::DataPolicy {
            may_send: true,
            receives: true,
            address: "alice".into(),
            open: vec![api::DataChannel { label: "_lossy".into(), ordered: true, max_retransmits: Some(0) }],
            labels: vec!["_lossy".into()],
            append: Bytes::from_static(&[10, 1, 65]),
            destinations_field: 4,
            destinations_path: vec![2, 6],
            sequence_field: 17,
            max_message_bytes: 15_000,
            max_messages_per_second: 100,
            queue_bytes: 200_000,
            when_full: api::WhenFull::Close.into(),
        }),
        ice_lite: Some(false),
        max_send_bitrate: 3_000_000,
        connect_timeout_ms: 15_000,
    }
}

#[test]
fn settings_of_a_session_come_back_as_they_were() {
    let converted = session_settings(Some(settings())).unwrap();
    assert_eq!(converted.offerer, Offerer::Node);
    assert_eq!(converted.data.when_full, Some(WhenFull::Close));
    assert_eq!(session::session_settings_back(&converted), settings());
}

#[test]
fn zeros_stand_for_defaults() {
    let bare = api::SessionSettings { offerer: api::Offerer::Peer.into(), ..Default::default() };
    let converted = session_settings(Some(bare)).unwrap();
    assert_eq!(
        (converted.ice_lite, converted.max_send_bitrate, converted.connect_timeout),
        (None, None, None)
    );
    assert_eq!((converted.data.max_message_bytes, converted.data.when_full), (None, None));
    assert_eq!(room_settings(api::RoomSettings::default()), sluice_engine::model::RoomSettings::default());
}

#[test]
fn every_wrong_field_of_a_session_is_named() {
    let wrong: [(&str, Change<api::SessionSettings>); 5] = [
        ("settings.offerer", |s| s.offerer = 0),
        ("settings.data.append", |s| s.data.as_mut().unwrap().append = vec![0; 1_025].into()),
        ("settings.data.destinations_field", |s| {
            s.data.as_mut().unwrap().destinations_field = 1 << 29;
        }),
        ("settings.data.sequence_field", |s| s.data.as_mut().unwrap().sequence_field = u32::MAX),
        ("settings.data.open[0].max_retransmits", |s| {
            s.data.as_mut().unwrap().open[0].max_retransmits = Some(65_536);
        }),
    ];
    for (field, change) in wrong {
        let mut settings = settings();
        change(&mut settings);
        let status = session_settings(Some(settings)).unwrap_err();
        assert!(status.message().starts_with(&format!("{field}: ")), "{status}");
    }
    assert!(session_settings(None).unwrap_err().message().starts_with("settings: "));
}

#[test]
fn refusals_keep_their_code_and_text() {
    use sluice_engine::CommandError::*;
    use tonic::Code;
    for (error, code, text) in [
        (NotFound("room r".into()), Code::NotFound, "room r not found"),
        (StaleOwner { given: 1, current: 2 }, Code::FailedPrecondition, "older than the room's 2"),
        (Invalid("sdp: no".into()), Code::InvalidArgument, "sdp: no"),
        (Precondition("no offer".into()), Code::FailedPrecondition, "no offer"),
        (Exhausted("too many rooms".into()), Code::ResourceExhausted, "too many rooms"),
        (Fault, Code::Internal, "fault"),
    ] {
        let status = status(CallError::Refused(error));
        assert_eq!(status.code(), code);
        assert!(status.message().contains(text), "{status}");
    }
    assert_eq!(status(CallError::Full).code(), Code::ResourceExhausted);
    assert_eq!(status(CallError::Timeout).code(), Code::DeadlineExceeded);
    assert_eq!(status(CallError::Gone).code(), Code::Unavailable);
}
