//! Stories with texts of Chromium 156 and Firefox 153, and with the answers and offers that the WebRTC stack of
//! the node wrote for them (`*-stack.sdp`, before correction).

// Helpers of tests report by panicking, as the tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

use sluice_sdp::{
    CodecPolicy, Description, Direction, Kind, Limits, Msid, Opus, PayloadTypes, Plan, ReceivePolicy, Role,
    SdpError, Section, SendPolicy, admit, correct, read,
};

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!("data/", $name, ".sdp"))
    };
}

const DIRECTIONS: [&str; 4] = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];

fn parsed(text: &str) -> Description {
    read(text, &Limits::default()).unwrap()
}

fn corrected(text: &str, sections: &[(&str, Role)], others: Role) -> String {
    let sections: Vec<(String, Role)> = sections.iter().map(|(m, r)| ((*m).to_owned(), r.clone())).collect();
    correct(text, &Plan { sections: &sections, others }, &Limits::default()).unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn send(stream: &str, track: &str, codecs: &[&str]) -> Role {
    let codecs = CodecPolicy::Only(names(codecs));
    Role::Send(SendPolicy { msid: Msid::new(stream, track).unwrap(), codecs })
}

fn receive(codecs: CodecPolicy) -> Role {
    Role::Receive(ReceivePolicy { codecs, ..ReceivePolicy::default() })
}

fn directions(description: &Description) -> Vec<Direction> {
    let media = description.sections.iter().filter(|s| s.kind != Kind::Application);
    media.map(|s| s.direction).collect()
}

fn lines_of<'a>(text: &'a str, mid: &str) -> Vec<&'a str> {
    let sections = text.split("m=").skip(1);
    let mut found = sections.filter(|s| s.lines().any(|l| l == format!("a=mid:{mid}")));
    found.next().unwrap().lines().collect()
}

#[test]
fn a_publisher_s_offer_tells_tracks_layers_and_codecs() {
    for (text, codecs, braces) in [
        (data!("chromium-publish-offer"), "vp8 h264 av1 vp9", false),
        (data!("firefox-publish-offer"), "vp8 vp9 av1", true),
    ] {
        let offer = parsed(text);
        let [data, microphone, camera] = &offer.sections[..] else { panic!("three sections") };
        assert_eq!((data.kind, microphone.kind, camera.kind), (Kind::Application, Kind::Audio, Kind::Video));
        assert_eq!(directions(&offer), [Direction::SendOnly, Direction::SendOnly]);
        // Firefox gives the bundled sections port 0 (bundle-only), which does not reject them.
        assert!(offer.sections.iter().all(|s| !s.rejected));
        assert_eq!(camera.rids_send, ["q", "h", "f"]);
        assert!(microphone.rids_send.is_empty());
        assert_eq!(camera.codec_names().join(" "), codecs);
        assert_eq!(microphone.codec_names().first(), Some(&"opus"));
        assert_eq!(camera.msid.as_ref().unwrap().track().starts_with('{'), braces);
        assert!(!offer.ice_lite && offer.ice_ufrag.is_some());
    }
}

#[test]
fn the_answer_names_the_codec_that_the_publisher_shall_send() {
    for text in [data!("chromium-publish-answer-stack"), data!("firefox-publish-answer-stack")] {
        let prefer = receive(CodecPolicy::Prefer(names(&["vp9", "vp8"])));
        let opus = ReceivePolicy { opus: Opus { dtx: true, stereo: true }, ..ReceivePolicy::default() };
        let answer = corrected(text, &[("1", Role::Receive(opus)), ("2", prefer)], Role::Inactive);
        let answer = parsed(&answer);
        let camera = answer.section("2").unwrap();
        assert_eq!(camera.codec_names()[..2], ["vp9", "vp8"]);
        assert_eq!(camera.codec_names().len(), parsed(text).section("2").unwrap().codec_names().len());
        // Each payload type keeps the RTX that repairs it, right behind it.
        assert_eq!(
            (camera.codecs[1].name.as_str(), camera.codecs[1].carries()),
            ("rtx", Some(camera.codecs[0].payload_type))
        );

        let microphone = answer.section("1").unwrap();
        assert!(microphone.codecs.iter().all(|c| c.name != "red"), "RED was not asked for");
        let opus = &microphone.codecs[0];
        assert_eq!((opus.parameter("usedtx"), opus.parameter("stereo")), (Some("1"), Some("1")));
        assert_eq!(opus.parameter("useinbandfec"), Some("1"), "what the stack wrote stays");
        // The stack repeats the client's own labels in a section where it only receives.
        assert!(parsed(text).section("1").unwrap().msid.is_some());
        assert!(answer.sections.iter().all(|s| s.msid.is_none() && s.ssrcs.is_empty()));
    }
}

#[test]
fn red_goes_in_front_of_opus_when_wanted() {
    let with = ReceivePolicy { red: true, ..ReceivePolicy::default() };
    let text = corrected(data!("chromium-publish-answer-stack"), &[("1", Role::Receive(with))], Role::Keep);
    let order: Vec<_> = parsed(&text).section("1").unwrap().codecs.iter().map(|c| c.name.clone()).collect();
    assert_eq!(order, ["red", "opus"]);
}

#[test]
fn red_that_is_not_wanted_goes_with_what_repairs_it() {
    let text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97 118 119\r\n\
                c=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
                a=fmtp:97 apt=96\r\na=rtpmap:118 red/90000\r\na=rtpmap:119 rtx/90000\r\na=fmtp:119 apt=118\r\n";
    let once = corrected(text, &[("0", Role::Receive(ReceivePolicy::default()))], Role::Keep);
    let left: Vec<_> = parsed(&once).section("0").unwrap().codecs.iter().map(|c| c.payload_type).collect();
    assert_eq!(left, [96, 97]);
}

#[test]
fn only_one_codec_is_left_when_only_one_will_do() {
    let text = data!("chromium-publish-answer-stack");
    let only = corrected(text, &[("2", receive(CodecPolicy::Only(names(&["h264"]))))], Role::Keep);
    let camera = parsed(&only).section("2").cloned().unwrap();
    assert_eq!(camera.codec_names(), ["h264"]);
    assert!(camera.codecs.len() > 2, "all profiles stay");
    let kept: Vec<String> = camera.codecs.iter().map(|c| c.payload_type.to_string()).collect();
    let about = lines_of(&only, "2").into_iter().filter_map(|l| {
        l.strip_prefix("a=rtpmap:")
            .or(l.strip_prefix("a=fmtp:"))
            .or(l.strip_prefix("a=rtcp-fb:"))?
            .split(' ')
            .next()
    });
    assert!(
        about.into_iter().all(|pt| kept.iter().any(|k| k == pt)),
        "nothing is said of codecs that are gone"
    );

    let none = [("2".to_owned(), receive(CodecPolicy::Only(names(&["h266"]))))];
    let refused = correct(text, &Plan { sections: &none, others: Role::Keep }, &Limits::default());
    assert_eq!(refused, Err(SdpError::NoCodec { mid: "2".into(), wanted: "h266".into() }));
}

#[test]
fn sections_that_nobody_owns_are_inactive_before_the_stack_sees_them() {
    for text in [data!("chromium-subscribe-offer"), data!("firefox-subscribe-offer")] {
        let bound =
            |s: &Section| if s.mid == "0" || s.mid == "3" { s.direction } else { Direction::Inactive };
        let admitted = admit(text, &Limits::default(), &mut PayloadTypes::default(), bound).unwrap();
        use Direction::{Inactive, RecvOnly};
        assert_eq!(
            directions(&parsed(&admitted.text)),
            [RecvOnly, Inactive, Inactive, RecvOnly, Inactive, Inactive]
        );
        assert_eq!(directions(&admitted.description), [RecvOnly; 6], "the description is the client's own");
        // Nothing else is changed, and what is left out is what nobody reads.
        let lists = |l: &str| l.starts_with("m=");
        let left: Vec<_> = admitted.text.lines().filter(|l| !DIRECTIONS.contains(l) && !lists(l)).collect();
        let mut written = text.lines();
        assert!(left.iter().all(|line| written.any(|l| l == *line)), "the same lines in the same order");
        let seen = parsed(&admitted.text);
        for (seen, section) in seen.sections.iter().zip(&admitted.description.sections) {
            assert_eq!(seen.mid, section.mid);
            let mut offered = section.codecs.iter();
            assert!(
                seen.codecs.iter().all(|codec| offered.any(|o| o == codec)),
                "the same codecs in the same order"
            );
        }
        assert_eq!(seen.ice_ufrag, admitted.description.ice_ufrag);
    }
}

#[test]
fn a_bound_section_carries_our_labels_and_only_its_codec() {
    for text in [data!("chromium-subscribe-answer-stack"), data!("firefox-subscribe-answer-stack")] {
        let plan = [("0", send("PA_x|TR_a", "TR_a", &["opus"])), ("3", send("PA_x|TR_v", "TR_v", &["vp8"]))];
        let answer = corrected(text, &plan, Role::Inactive);
        assert!(answer.len() < text.len() * 3 / 4, "{} of {}", answer.len(), text.len());
        let video = parsed(&answer).section("3").cloned().unwrap();
        assert_eq!(video.direction, Direction::SendOnly);
        assert_eq!(video.msid.unwrap().to_string(), "PA_x|TR_v TR_v");
        assert_eq!(video.codecs.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["vp8", "rtx"]);
        assert_eq!(video.ssrcs, parsed(text).section("3").unwrap().ssrcs, "SSRCs are the stack's");
        let ssrc_labels = lines_of(&answer, "3").into_iter().filter(|l| l.contains(" msid:"));
        assert!(
            ssrc_labels.clone().count() == 2
                && ssrc_labels.into_iter().all(|l| l.ends_with("PA_x|TR_v TR_v"))
        );
        let semantic: Vec<_> = answer.lines().filter(|l| l.starts_with("a=msid-semantic")).collect();
        assert_eq!(semantic, ["a=msid-semantic: WMS PA_x|TR_a PA_x|TR_v"]);
    }
}

#[test]
fn a_section_that_the_stack_does_not_send_in_cannot_be_made_to_send() {
    let plan = [("4".to_owned(), send("PA_x|TR_v", "TR_v", &["vp8"]))];
    let refused = correct(
        data!("chromium-subscribe-answer-stack"),
        &Plan { sections: &plan, others: Role::Inactive },
        &Limits::default(),
    );
    let (have, want) = (Direction::Inactive, Direction::SendOnly);
    assert_eq!(refused, Err(SdpError::OutOfStep { mid: "4".into(), have, want }));

    let offer = data!("chromium-publish-offer");
    let more = admit(offer, &Limits::default(), &mut PayloadTypes::default(), |_| Direction::SendRecv);
    assert!(matches!(more, Err(SdpError::OutOfStep { .. })));
}

#[test]
fn between_two_owners_a_section_loses_its_labels_and_keeps_its_ssrcs() {
    for text in [data!("chromium-server-offer-removed-stack"), data!("firefox-server-offer-removed-stack")] {
        let before = parsed(text);
        let removed = before.sections.iter().find(|s| s.direction == Direction::Inactive).unwrap();
        assert!(removed.msid.is_some(), "the stack still names the former owner");
        let offer = corrected(text, &[(&removed.mid, Role::Inactive)], Role::Keep);
        let after = parsed(&offer).section(&removed.mid).cloned().unwrap();
        assert_eq!((after.direction, after.msid), (Direction::Inactive, None));
        assert_eq!(after.ssrcs, removed.ssrcs, "else Chromium never shows what comes next");
        assert!(lines_of(&offer, &removed.mid).iter().any(|l| l.starts_with("a=ssrc-group:FID")));
        assert!(!offer.contains("msid:PA_x|TR_red"), "no trace of the former owner's labels");
        assert!(!offer.lines().any(|l| l.starts_with("a=msid-semantic") && l.contains("TR_red")));
    }
}

#[test]
fn a_stopped_section_stays_rejected_and_says_nothing() {
    for text in [data!("chromium-stopped-offer"), data!("firefox-stopped-offer")] {
        let mut known = PayloadTypes::default();
        let admitted = admit(text, &Limits::default(), &mut known, |s| s.direction).unwrap();
        assert!(admitted.description.sections[0].rejected);
        assert!(admitted.description.sections[1..].iter().all(|s| !s.rejected));
        let silent = lines_of(&admitted.text, "0");
        assert!(silent[0].ends_with(" 0") && silent.contains(&"a=inactive") && silent.contains(&"a=mid:0"));
        assert!(silent.iter().all(|l| !l.starts_with("a=ice") && !l.starts_with("a=rtpmap")));
    }
    // Chromium leaves the credentials of before the restart in the stopped section, which stands first.
    let restart = data!("chromium-stopped-restart-offer");
    let first = restart.lines().find_map(|l| l.strip_prefix("a=ice-ufrag:")).unwrap();
    assert_ne!(parsed(restart).ice_ufrag.unwrap(), first);
}

#[test]
fn candidates_never_stay_in_a_rejected_section() {
    for text in [data!("chromium-stopped-answer-stack"), data!("firefox-stopped-answer-stack")] {
        assert!(
            lines_of(text, "0").iter().any(|l| l.starts_with("a=candidate")),
            "where the stack writes them"
        );
        let answer = corrected(text, &[], Role::Keep);
        assert!(!lines_of(&answer, "0").iter().any(|l| l.starts_with("a=candidate")));
        assert!(lines_of(&answer, "1").iter().any(|l| l.starts_with("a=candidate")));
        assert_eq!(parsed(&answer).candidates.len(), 1);
    }
}

#[test]
fn a_refused_codec_leaves_no_promise_behind() {
    // Firefox has no H.264 here, rejects the section, and writes its own VP8 number into it.
    let text = data!("firefox-refused-answer-h264");
    let admitted = admit(text, &Limits::default(), &mut PayloadTypes::default(), |s| s.direction).unwrap();
    assert!(admitted.description.sections[0].rejected);
    assert!(text.contains("VP8/90000") && !admitted.text.contains("VP8/90000"));
}

#[test]
fn our_first_offer_shrinks_to_what_it_carries() {
    for (offer, answer) in [
        (data!("chromium-server-offer-stack"), data!("chromium-server-answer")),
        (data!("firefox-server-offer-stack"), data!("firefox-server-answer")),
    ] {
        let sections = parsed(offer).sections;
        let [_, audio, video] = &sections[..] else { panic!("data, audio, video") };
        let plan = [
            (audio.mid.as_str(), send("PA_x|TR_a", "TR_a", &["opus"])),
            (video.mid.as_str(), send("PA_x|TR_red", "TR_red", &["vp8"])),
        ];
        let ours = corrected(offer, &plan, Role::Keep);
        assert!(ours.len() * 3 < offer.len() * 2);
        // What the browser answered uses our payload types.
        let answered = parsed(answer);
        assert_eq!(answered.sections.len(), 3);
        for section in answered.sections.iter().filter(|s| s.kind != Kind::Application) {
            assert_eq!(section.direction, Direction::RecvOnly);
            let ours = parsed(&ours).section(&section.mid).unwrap().codecs.clone();
            assert!(
                section
                    .codecs
                    .iter()
                    .all(|c| ours.iter().any(|o| (o.payload_type, &o.name) == (c.payload_type, &c.name)))
            );
        }
    }
}

#[test]
fn an_untouched_text_comes_back_line_by_line() {
    for text in [
        data!("chromium-publish-offer"),
        data!("firefox-publish-offer"),
        data!("chromium-server-offer-stack"),
    ] {
        let kept = corrected(text, &[], Role::Keep);
        let lines = |t: &str| {
            t.lines().filter(|l| !l.starts_with("a=msid-semantic")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&kept), lines(text));
    }
}

#[test]
fn a_plan_for_a_section_that_is_not_there_is_an_error() {
    let plan = [("nine".to_owned(), Role::Inactive)];
    let refused = correct(
        data!("firefox-publish-offer"),
        &Plan { sections: &plan, others: Role::Keep },
        &Limits::default(),
    );
    assert_eq!(refused, Err(SdpError::UnknownMid("nine".into())));
}
