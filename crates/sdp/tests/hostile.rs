//! What strangers may send: nothing panics, everything has a bound, and no text changes what a number means.

// Helpers of tests report by panicking, as the tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use sluice_sdp::{
    Candidate, CandidateKind, CodecPolicy, Direction, Limits, Msid, Opus, PayloadTypes, Plan, ReceivePolicy,
    Role, SdpError, Section, SendPolicy, Transport, admit, correct, read,
};

const TEXTS: [&str; 6] = [
    include_str!("data/chromium-publish-offer.sdp"),
    include_str!("data/firefox-publish-offer.sdp"),
    include_str!("data/chromium-subscribe-answer-stack.sdp"),
    include_str!("data/firefox-server-offer-removed-stack.sdp"),
    include_str!("data/chromium-stopped-offer.sdp"),
    include_str!("data/firefox-refused-answer-h264.sdp"),
];

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n";

fn video(mid: &str, formats: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|l| format!("{l}\r\n")).collect();
    format!("m=video 9 UDP/TLS/RTP/SAVPF {formats}\r\na=mid:{mid}\r\na=recvonly\r\n{lines}")
}

fn refusal(text: &str) -> SdpError {
    read(text, &Limits::default()).unwrap_err()
}

#[test]
fn everything_has_a_bound() {
    let limits = Limits { bytes: 300, sections: 2, line_bytes: 100, attributes: 4 };
    let refused = |text: &str| match read(text, &limits) {
        Err(SdpError::TooLarge { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&"x".repeat(301)), "text in bytes");
    assert_eq!(refused(&format!("v=0\r\ns={}", "x".repeat(120))), "line in bytes");
    assert_eq!(refused(&format!("{HEAD}m=a\r\nm=a\r\nm=a\r\n")), "number of media sections");
    assert_eq!(refused(&format!("{HEAD}{}", video("0", "96", &["a=x"; 5]))), "attributes of a section");
}

#[test]
fn a_lone_carriage_return_cannot_smuggle_a_line() {
    let text = format!("{HEAD}{}", video("0", "96", &["a=x:y\ra=sendonly"]));
    assert!(matches!(refusal(&text), SdpError::Malformed(_)));
}

#[test]
fn a_section_needs_one_mid_that_fits_an_rtp_header() {
    let section = |mid: &str| format!("{HEAD}{}", video(mid, "0", &[]));
    assert_eq!(read(&section("sixteen-letters!"), &Limits::default()).unwrap().sections[0].mid.len(), 16);
    assert_eq!(refusal(&section("seventeen-letters")), SdpError::MissingMid { index: 0 });
    assert_eq!(refusal(&section("a b")), SdpError::MissingMid { index: 0 });
    assert_eq!(refusal(&format!("{}a=mid:1\r\n", section("0"))), SdpError::MissingMid { index: 0 });
    assert_eq!(
        refusal(&format!("{}{}", section("0"), video("0", "0", &[]))),
        SdpError::DuplicateMid("0".into())
    );
}

#[test]
fn one_payload_type_has_one_meaning_within_a_text() {
    let vp8 = video("0", "96 97", &["a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"]);
    let others: [&[&str]; 4] = [
        &["a=rtpmap:96 VP9/90000"],
        &["a=rtpmap:98 VP9/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=98"],
        &["a=rtpmap:98 VP9/90000", "a=rtpmap:98 H264/90000"],
        // Not in the m= line, and still read by stacks that look at rtpmap alone.
        &["a=rtpmap:97 AV1/90000"],
    ];
    for lines in others {
        let text = format!("{HEAD}{vp8}{}", video("1", "98", lines));
        assert!(matches!(refusal(&text), SdpError::PayloadTypeConflict { .. }), "{lines:?}");
    }
    let h264 = |profile: &str| {
        ["a=rtpmap:102 H264/90000".to_owned(), format!("a=fmtp:102 profile-level-id={profile}")]
    };
    let two = |first: &str, second: &str| {
        let section = |mid, lines: [String; 2]| video(mid, "102", &[&lines[0], &lines[1]]);
        format!("{HEAD}{}{}", section("0", h264(first)), section("1", h264(second)))
    };
    assert!(
        read(&two("42e01f", "42e034"), &Limits::default()).is_ok(),
        "the level is no part of the meaning"
    );
    assert!(matches!(
        refusal(&two("42e01f", "640c1f")),
        SdpError::PayloadTypeConflict { payload_type: 102, .. }
    ));
}

#[test]
fn one_payload_type_has_one_meaning_within_a_session() {
    let mut known = PayloadTypes::default();
    let offer = |map: &str| format!("{HEAD}{}", video("0", "96", &[map]));
    let keep = |s: &Section| s.direction;
    admit(&offer("a=rtpmap:96 VP8/90000"), &Limits::default(), &mut known, keep).unwrap();
    let before = known.clone();
    let changed = admit(&offer("a=rtpmap:96 VP9/90000"), &Limits::default(), &mut known, keep);
    assert!(matches!(changed, Err(SdpError::PayloadTypeConflict { payload_type: 96, .. })));
    assert_eq!(known, before);
    admit(&offer("a=rtpmap:96 VP8/90000"), &Limits::default(), &mut known, keep).unwrap();
}

#[test]
fn a_section_whose_formats_nobody_explains_is_left_with_them() {
    let text = format!("{HEAD}{}", video("0", "109 9", &[]));
    let others =
        Role::Receive(ReceivePolicy { codecs: CodecPolicy::Prefer(Vec::new()), ..Default::default() });
    let text = text.replace("a=recvonly", "a=sendrecv");
    let kept = correct(&text, &Plan { sections: &[], others }, &Limits::default()).unwrap();
    assert!(kept.contains("SAVPF 109 9\r\n"));
}

#[test]
fn labels_cannot_break_out_of_their_line() {
    for bad in ["", "a b", "a\r\na=sendrecv", "ä", &"x".repeat(65)] {
        assert!(matches!(Msid::new(bad, "t"), Err(SdpError::BadLabel(_))), "{bad:?}");
        assert!(matches!(Msid::new("s", bad), Err(SdpError::BadLabel(_))), "{bad:?}");
    }
    assert_eq!(Msid::new("PA_x|TR_y", "TR_y").unwrap().to_string(), "PA_x|TR_y TR_y");
}

#[test]
fn candidates_are_told_apart() {
    let read = |line: &str| line.parse::<Candidate>();
    let host = read("candidate:796328194 1 udp 2122194687 192.0.2.7 54151 typ host generation 0 ufrag T6kw")
        .unwrap();
    assert_eq!((host.kind, host.transport, host.port), (CandidateKind::Host, Transport::Udp, 54151));
    assert_eq!(host.address, Some("192.0.2.7".parse().unwrap()));
    let hidden = read("a=candidate:1 1 UDP 2122187007 3d1f-ab.local 60371 typ host").unwrap();
    assert_eq!(hidden.address, None);
    let relayed = read("candidate:1 1 UDP 1 2001:db8::1 3478 typ relay raddr 0.0.0.0 rport 0").unwrap();
    assert_eq!((relayed.kind, relayed.address.unwrap().is_ipv6()), (CandidateKind::Relayed, true));
    assert_eq!(
        read("candidate:2 1 TCP 2105458943 192.0.2.2 9 typ host tcptype active").unwrap().transport,
        Transport::Tcp
    );
    for bad in [
        "",
        "candidate:",
        "candidate:1 1 udp x 1.2.3.4 5 typ host",
        "candidate:1 1 sctp 1 1.2.3.4 5 typ host",
    ] {
        assert!(matches!(read(bad), Err(SdpError::BadCandidate(_))), "{bad:?}");
    }
}

fn role() -> impl Strategy<Value = Role> {
    let policy = || {
        let names = proptest::collection::vec(prop_oneof!["vp8", "vp9", "opus", "h264"], 0..3);
        prop_oneof![
            Just(CodecPolicy::Any),
            names.clone().prop_map(CodecPolicy::Prefer),
            names.prop_map(CodecPolicy::Only)
        ]
    };
    let receive =
        (policy(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(codecs, dtx, stereo, red)| {
            Role::Receive(ReceivePolicy { codecs, opus: Opus { dtx, stereo }, red })
        });
    let send = policy()
        .prop_map(|codecs| Role::Send(SendPolicy { msid: Msid::new("PA_x", "TR_y").unwrap(), codecs }));
    prop_oneof![Just(Role::Keep), Just(Role::Inactive), receive, send]
}

/// A browser's text with some lines changed, moved, doubled or cut.
fn damaged() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5_u8, "[ -~]{0,12}");
    (0..TEXTS.len(), proptest::collection::vec(edit, 0..6)).prop_map(|(text, edits)| {
        let mut lines: Vec<String> = TEXTS[text].lines().map(str::to_owned).collect();
        for (one, two, kind, noise) in edits {
            let (one, two) = (one.index(lines.len()), two.index(lines.len()));
            match kind {
                0 => lines.swap(one, two),
                1 => lines[one] = lines[two].clone(),
                2 => lines[one].push_str(&noise),
                3 => lines[one] = format!("a={noise}"),
                _ => lines.truncate(one.max(1)),
            }
        }
        lines.join("\r\n") + "\r\n"
    })
}

/// The properties that hold for any text at all.
fn check(text: &str, role: &Role) -> Result<(), TestCaseError> {
    let limits = Limits::default();
    let plan = Plan { sections: &[], others: role.clone() };
    if let Ok(again) = correct(text, &plan, &limits) {
        let after = read(&again, &limits);
        prop_assert!(after.is_ok(), "corrected text is unreadable: {after:?}");
        let twice = correct(&again, &plan, &limits);
        prop_assert_eq!(twice.as_deref(), Ok(again.as_str()), "correcting twice changes nothing");
    }
    let mut known = PayloadTypes::default();
    let quiet = |s: &Section| if s.direction.sends() { Direction::SendOnly } else { Direction::Inactive };
    if let Ok(admitted) = admit(text, &limits, &mut known, quiet) {
        let seen = read(&admitted.text, &limits);
        prop_assert!(seen.is_ok(), "admitted text is unreadable: {seen:?}");
        for section in seen.unwrap().sections.iter().filter(|s| s.kind != sluice_sdp::Kind::Application) {
            prop_assert!(!section.direction.receives(), "{} still receives", section.mid);
        }
    }
    Ok(())
}

proptest! {
    // What fails here becomes a test with a name, not a seed in a file.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,400}", role in role()) {
        check(&text, &role)?;
    }

    #[test]
    fn any_bytes_after_a_true_beginning(tail in "[amc]=[ -~\r\n]{0,200}", role in role()) {
        check(&format!("{HEAD}{tail}"), &role)?;
    }

    #[test]
    fn truncated_texts_are_read_or_refused(text in 0..TEXTS.len(), cut in any::<prop::sample::Index>(), role in role()) {
        let cut = cut.index(TEXTS[text].len());
        check(&TEXTS[text][..cut], &role)?;
    }

    #[test]
    fn damaged_texts_are_read_or_refused(text in damaged(), role in role()) {
        check(&text, &role)?;
    }

    #[test]
    fn any_candidate_is_read_or_refused(line in "\\PC{0,80}") {
        let _ = line.parse::<Candidate>();
        let _ = format!("candidate:1 1 udp 1 {line} 9 typ host").parse::<Candidate>();
    }
}
