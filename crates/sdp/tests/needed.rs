//! What of a client's text comes to the stack.

// Helpers of tests report by panicking, as the tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

use sluice_sdp::{Direction, Limits, PayloadTypes, Section, admit};

fn admitted(text: &str, wanted: impl FnMut(&Section) -> Direction) -> String {
    admit(text, &Limits::default(), &mut PayloadTypes::default(), wanted).unwrap().text
}

fn lines<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    text.lines().filter(|l| l.starts_with(prefix)).collect()
}

const BROWSERS: [&str; 4] = [
    include_str!("data/chromium-publish-offer.sdp"),
    include_str!("data/chromium-subscribe-offer.sdp"),
    include_str!("data/firefox-publish-offer.sdp"),
    include_str!("data/firefox-subscribe-offer.sdp"),
];

#[test]
fn what_all_sections_share_is_said_once() {
    for text in BROWSERS {
        let seen = admitted(text, |s| s.direction);
        for key in ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:"] {
            assert!(lines(text, key).len() > 1 || key == "a=fingerprint:", "browsers repeat {key}");
            assert_eq!(lines(&seen, key), lines(text, key)[..1]);
        }
    }
}

const KNOWN: [&str; 7] = [
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    "urn:3gpp:video-orientation",
];

/// Lines of a whole text that speak of codecs which the stack knows, and of what repairs them.
fn of_known_codecs<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut left = Vec::new();
    for section in text.split_inclusive("\nm=") {
        let name = |pt: &str| {
            let map = lines(section, "a=rtpmap:")
                .into_iter()
                .find_map(|l| l.strip_prefix(&format!("a=rtpmap:{pt} ")));
            map.unwrap_or("").split('/').next().unwrap_or("").to_ascii_lowercase()
        };
        let is_known = |pt: &str| ["opus", "vp8", "vp9", "h264", "av1"].contains(&name(pt).as_str());
        left.extend(lines(section, prefix).into_iter().filter(|line| {
            let pt = line[prefix.len()..].split(' ').next().unwrap();
            let repaired =
                lines(section, &format!("a=fmtp:{pt} apt=")).first().map(|l| l.rsplit('=').next().unwrap());
            match name(pt).as_str() {
                "rtx" => repaired.is_some_and(is_known),
                _ => is_known(pt),
            }
        }));
    }
    left
}

#[test]
fn less_than_two_thirds_are_left_and_they_name_codecs_layers_and_extensions() {
    for text in BROWSERS {
        let seen = admitted(text, |s| s.direction);
        assert!(seen.lines().count() * 3 < text.lines().count() * 2, "{seen}");
        let extensions =
            lines(text, "a=extmap:").into_iter().filter(|l| KNOWN.contains(&l.split(' ').nth(1).unwrap()));
        assert_eq!(lines(&seen, "a=extmap:"), extensions.collect::<Vec<_>>());
        for key in ["a=mid:", "a=rid:", "a=simulcast:"] {
            assert_eq!(lines(&seen, key), lines(text, key));
        }
        for key in ["a=rtpmap:", "a=fmtp:"] {
            assert!(!lines(&seen, key).is_empty());
            assert_eq!(lines(&seen, key), of_known_codecs(text, key));
        }
        let feedback = of_known_codecs(text, "a=rtcp-fb:").into_iter();
        let transport: Vec<_> = feedback.filter(|l| l.ends_with(" transport-cc")).collect();
        assert_eq!(lines(&seen, "a=rtcp-fb:"), transport);
        for key in ["c=", "a=msid", "a=rtcp:", "a=rtcp-mux", "a=rtcp-rsize", "a=ice-options"] {
            assert!(lines(&seen, key).is_empty(), "{key}");
        }
    }
}

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n";

fn sections(first: &[&str], second: &[&str]) -> String {
    let section = |mid: &str, lines: &[&str]| {
        let lines: String = lines.iter().map(|l| format!("{l}\r\n")).collect();
        format!("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{mid}\r\na=sendonly\r\n{lines}")
    };
    format!("{HEAD}{}{}", section("0", first), section("1", second))
}

#[test]
fn a_place_that_says_half_of_the_credentials_does_not_speak_for_the_others() {
    let text = sections(&["a=ice-ufrag:half"], &["a=ice-ufrag:whole", "a=ice-pwd:secret"]);
    let seen = admitted(&text, |s| s.direction);
    assert_eq!(lines(&seen, "a=ice"), ["a=ice-ufrag:half", "a=ice-ufrag:whole", "a=ice-pwd:secret"]);
}

#[test]
fn ssrcs_are_announced_once_and_only_where_the_client_sends() {
    let announced = [
        "a=ssrc-group:FID 1 2",
        "a=ssrc-group:SIM 1 3",
        "a=ssrc:1 cname:x",
        "a=ssrc:1 msid:a b",
        "a=ssrc:2 cname:x",
        "a=ssrc:3",
        "a=ssrc:4 nothing",
    ];
    let text = sections(&announced, &announced);
    let silent_second = |s: &Section| if s.mid == "0" { Direction::SendOnly } else { Direction::Inactive };
    assert_eq!(
        lines(&admitted(&text, silent_second), "a=ssrc"),
        ["a=ssrc-group:FID 1 2", "a=ssrc:1 cname:x", "a=ssrc:2 cname:x"]
    );
}

#[test]
fn candidates_come_with_addresses() {
    let named = "a=candidate:1 1 udp 2113937151 3f9e.local 54400 typ host";
    let known = "a=candidate:2 1 udp 2113937151 192.0.2.1 54400 typ host";
    let seen = admitted(&sections(&[named, known], &[known]), |s| s.direction);
    assert_eq!(lines(&seen, "a=candidate"), [known, known]);
}
