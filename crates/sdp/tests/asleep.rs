//! Sections that rest are answered without the stack.

// Helpers of tests report by panicking, as the tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

use sluice_sdp::{
    AdmittedOffer, Direction, Limits, Parsed, PayloadTypes, Places, Plan, ReceivePolicy, Role, SdpError,
    Section,
};

const CHROMIUM: &str = include_str!("data/chromium-subscribe-offer.sdp");
const FIREFOX: &str = include_str!("data/firefox-subscribe-offer.sdp");

fn admitted(text: &str, places: &Places, awake: &[&str]) -> AdmittedOffer {
    let wanted =
        |s: &Section| if awake.contains(&s.mid.as_str()) { s.direction } else { Direction::Inactive };
    Parsed::read(text, &Limits::default())
        .unwrap()
        .admit_offer(&mut PayloadTypes::default(), places, wanted)
        .unwrap()
}

fn mids(text: &str) -> Vec<&str> {
    text.lines().filter_map(|l| l.strip_prefix("a=mid:")).collect()
}

fn bundle(text: &str) -> &str {
    text.lines().find_map(|l| l.strip_prefix("a=group:BUNDLE ")).unwrap()
}

/// The lines of one section, without its `m=`.
fn section<'a>(text: &'a str, mid: &str) -> Vec<&'a str> {
    let is_it = |s: &&str| s.contains(&format!("\na=mid:{mid}\r\n"));
    text.split("\nm=")
        .find(is_it)
        .unwrap_or_else(|| panic!("{mid} in {text}"))
        .lines()
        .map(str::trim_end)
        .collect()
}

/// An answer as a stack writes it to what it was given: the same sections, with the transport's lines in each.
fn stack(text: &str) -> String {
    let mut answer = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=msid-semantic: WMS\r\n",
        bundle(text)
    );
    for (index, mid) in mids(text).into_iter().enumerate() {
        let lines = section(text, mid);
        let is_live = bundle(text).split(' ').any(|m| m == mid);
        let m = lines[0].trim_start_matches("m=").split(' ').collect::<Vec<_>>();
        answer += &format!(
            "m={} {} {}\r\nc=IN IP4 0.0.0.0\r\n",
            m[0],
            if is_live { 9 } else { 0 },
            m[2..].join(" ")
        );
        if index == 0 {
            answer += "a=candidate:1 1 udp 1 192.0.2.1 7882 typ host\r\n";
        }
        answer += &format!(
            "a=ice-ufrag:ours\r\na=ice-pwd:secret\r\na=fingerprint:sha-256 AB\r\na=setup:passive\r\na=mid:{mid}\r\n"
        );
        for line in lines {
            if ["a=rtpmap", "a=fmtp", "a=extmap"].iter().any(|key| line.starts_with(key)) {
                answer += &format!("{line}\r\n");
            }
        }
        answer += if lines_contain(text, mid, "a=recvonly") { "a=sendonly\r\n" } else { "a=inactive\r\n" };
    }
    answer
}

fn lines_contain(text: &str, mid: &str, line: &str) -> bool {
    section(text, mid).contains(&line)
}

fn answered(offer: &AdmittedOffer, stack: &str) -> Result<String, SdpError> {
    let plan = Plan { sections: &[], others: Role::Keep };
    Parsed::read(stack, &Limits::default()).unwrap().correct_answer(&plan, offer.order.clone())
}

#[test]
fn the_stack_hears_of_what_wakes_and_of_the_first_that_carries_the_transport() {
    for (text, first) in [(CHROMIUM, "0"), (FIREFOX, "0")] {
        let all = mids(text);
        let data = *all.last().unwrap();
        let offer = admitted(text, &Places::default(), &["4"]);
        assert_eq!(mids(&offer.text), [first, "4", data]);
        assert_eq!(bundle(&offer.text), format!("{first} 4 {data}"));
        let credentials = offer.text.lines().filter(|l| l.starts_with("a=ice-ufrag:")).count();
        assert_eq!(credentials, 1);
        assert!(lines_contain(&offer.text, first, "a=inactive"));
        assert!(lines_contain(&offer.text, "4", "a=recvonly"));
    }
}

#[test]
fn who_wakes_later_comes_after_those_that_the_stack_knows() {
    let first = admitted(CHROMIUM, &Places::default(), &["4"]);
    let second = admitted(CHROMIUM, &first.places, &["1"]);
    assert_eq!(mids(&second.text), ["0", "4", "6", "1"]);
    assert_eq!(bundle(&second.text), "0 4 6 1");
    assert!(lines_contain(&second.text, "4", "a=inactive"), "who was awake is known, and rests");
    let third = admitted(CHROMIUM, &second.places, &["1", "4"]);
    assert_eq!((mids(&third.text), &third.places), (vec!["0", "4", "6", "1"], &second.places));
}

#[test]
fn a_client_gets_all_sections_in_its_own_order() {
    let first = admitted(CHROMIUM, &Places::default(), &["4"]);
    let offer = admitted(CHROMIUM, &first.places, &["1", "4"]);
    let answer = answered(&offer, &stack(&offer.text)).unwrap();
    assert_eq!(mids(&answer), mids(CHROMIUM));
    assert_eq!(bundle(&answer), "0 1 2 3 4 5 6");
    for mid in ["2", "3", "5"] {
        let lines = section(&answer, mid);
        for line in [
            "a=ice-ufrag:ours",
            "a=ice-pwd:secret",
            "a=fingerprint:sha-256 AB",
            "a=setup:passive",
            "a=inactive",
            "a=rtcp-mux",
            "c=IN IP4 0.0.0.0",
        ] {
            assert!(lines.contains(&line), "{line} in {lines:?}");
        }
    }
    assert_eq!(section(&answer, "2")[0], "audio 9 UDP/TLS/RTP/SAVPF 111");
    assert_eq!(section(&answer, "3")[0], "video 9 UDP/TLS/RTP/SAVPF 96 97");
    assert!(lines_contain(&answer, "3", "a=rtpmap:96 VP8/90000"));
    for mid in ["3", "5"] {
        let names = "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
        assert!(lines_contain(&answer, mid, names), "layers may be named in other sections");
        assert!(section(&answer, mid).iter().all(|l| !l.contains("playout-delay")), "which we do not know");
    }
    for mid in ["1", "4"] {
        assert!(lines_contain(&answer, mid, "a=sendonly"));
    }
    // What is read back says the same.
    let read = sluice_sdp::read(&answer, &Limits::default()).unwrap();
    let flows = read.sections.iter().filter(|s| s.direction == Direction::SendOnly).map(|s| s.mid.as_str());
    assert_eq!(flows.collect::<Vec<_>>(), ["1", "4"]);
    assert!(read.sections.iter().all(|s| !s.rejected));
}

#[test]
fn candidates_stand_in_the_first_section_that_lives() {
    let first = admitted(CHROMIUM, &Places::default(), &["1"]);
    let stopped = CHROMIUM.replacen("m=audio 9", "m=audio 0", 1).replace("BUNDLE 0 1", "BUNDLE 1");
    let offer = admitted(&stopped, &first.places, &["1"]);
    assert_eq!(mids(&offer.text), ["0", "1", "6"]);
    let answer = answered(&offer, &stack(&offer.text)).unwrap();
    let of = |mid| section(&answer, mid).iter().filter(|l| l.starts_with("a=candidate:")).count();
    assert_eq!((of("0"), of("1"), of("6")), (0, 1, 0));
}

#[test]
fn a_stopped_section_is_answered_as_stopped_whether_the_stack_knew_it_or_not() {
    let stopped = CHROMIUM
        .replace("a=group:BUNDLE 0 1 2 3 4 5 6", "a=group:BUNDLE 0 1 3 5 6")
        .replace("m=video 9", "m=video 0")
        .replace("m=audio 9", "m=audio 0");
    let first = admitted(CHROMIUM, &Places::default(), &["4"]);
    let offer = admitted(&stopped, &first.places, &["1"]);
    assert_eq!((mids(&offer.text), bundle(&offer.text)), (vec!["0", "4", "6", "1"], "0 6 1"));
    assert!(section(&offer.text, "4")[0].starts_with("video 0 "));
    let answer = answered(&offer, &stack(&offer.text)).unwrap();
    assert_eq!(mids(&answer), mids(CHROMIUM));
    assert_eq!(bundle(&answer), "0 1 3 5 6");
    for mid in ["2", "4"] {
        assert!(section(&answer, mid)[0].contains(" 0 UDP"), "{mid} is stopped");
    }
    assert_eq!(section(&answer, "2").iter().filter(|l| l.starts_with("a=ice")).count(), 0);
}

#[test]
fn a_section_in_the_place_of_a_stopped_one_takes_it_at_the_stack_too() {
    let first = admitted(CHROMIUM, &Places::default(), &["1", "4"]);
    assert_eq!(mids(&first.text), ["0", "1", "4", "6"]);
    let recycled =
        CHROMIUM.replace("a=mid:4\r", "a=mid:7\r").replace("BUNDLE 0 1 2 3 4 5 6", "BUNDLE 0 1 2 3 7 5 6");
    let asleep = admitted(&recycled, &first.places, &["1"]);
    assert_eq!((mids(&asleep.text), bundle(&asleep.text)), (vec!["0", "1", "4", "6"], "0 1 4 6"));
    assert!(lines_contain(&asleep.text, "4", "a=inactive"), "its place is held");
    let awake = admitted(&recycled, &asleep.places, &["7"]);
    assert_eq!((mids(&awake.text), bundle(&awake.text)), (vec!["0", "1", "7", "6"], "0 1 7 6"));
    let answer = answered(&awake, &stack(&awake.text)).unwrap();
    assert_eq!(mids(&answer), mids(&recycled));
}

#[test]
fn what_only_a_resting_section_says_of_the_transport_is_said() {
    let text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=recvonly\r\na=ice-ufrag:x\r\na=ice-pwd:y\r\n\
        a=candidate:2 1 udp 2113937151 192.0.2.1 54400 typ host\r\na=rtpmap:111 opus/48000/2\r\n";
    let offer = admitted(text, &Places::default(), &[]);
    assert_eq!(mids(&offer.text), ["0"]);
    for line in ["a=ice-ufrag:x", "a=ice-pwd:y", "a=candidate:2 1 udp 2113937151 192.0.2.1 54400 typ host"] {
        assert!(lines_contain(&offer.text, "0", line), "{line} in {}", offer.text);
    }
}

#[test]
fn a_stack_that_leaves_out_a_section_is_found_out() {
    let offer = admitted(CHROMIUM, &Places::default(), &["4"]);
    let less = admitted(CHROMIUM, &Places::default(), &[]);
    assert_eq!(answered(&offer, &stack(&less.text)), Err(SdpError::UnknownMid("4".into())));
}

fn refused(text: &str, places: &Places) -> String {
    let read = Parsed::read(text, &Limits::default()).unwrap();
    let refused = read.admit_offer(&mut PayloadTypes::default(), places, |_| Direction::Inactive);
    refused.unwrap_err().to_string()
}

#[test]
fn all_sections_that_live_must_share_the_one_transport() {
    let none = Places::default();
    for group in [
        "BUNDLE 0 1 2 3 4 5",
        "BUNDLE 0 1 2 3 4 5 6 7",
        "BUNDLE 0 1 2\r\na=group:BUNDLE 3 4 5 6",
        "LS 0 1 2 3 4 5 6",
    ] {
        let text = CHROMIUM.replace("BUNDLE 0 1 2 3 4 5 6", group);
        assert!(refused(&text, &none).contains("BUNDLE"), "{group}");
    }
    let reordered = CHROMIUM.replace("BUNDLE 0 1 2 3 4 5 6", "BUNDLE 6 5 4 3 2 1 0");
    let offer = admitted(&reordered, &none, &["4"]);
    assert_eq!(bundle(&offer.text), "0 4 6", "the stack wants them in its order");
}

#[test]
fn groups_for_other_ends_are_none_of_the_stack_s_business() {
    let synchronised = CHROMIUM.replace("a=group:BUNDLE", "a=group:LS 0 3\r\na=group:BUNDLE");
    let offer = admitted(&synchronised, &Places::default(), &["4"]);
    assert_eq!(
        offer.text.lines().filter(|l| l.starts_with("a=group:")).collect::<Vec<_>>(),
        ["a=group:BUNDLE 0 4 6"]
    );
}

#[test]
fn a_refused_offer_teaches_no_payload_types() {
    let mut known = PayloadTypes::default();
    let text = CHROMIUM.replace("BUNDLE 0 1 2 3 4 5 6", "BUNDLE 0 1");
    let read = Parsed::read(&text, &Limits::default()).unwrap();
    read.admit_offer(&mut known, &Places::default(), |_| Direction::Inactive).unwrap_err();
    assert_eq!(known, PayloadTypes::default());
}

#[test]
fn what_the_stack_says_of_a_section_that_the_client_left_out_does_not_matter() {
    let first = admitted(CHROMIUM, &Places::default(), &["4", "5"]);
    let (_, after) = CHROMIUM.split_at(CHROMIUM.find("m=application").unwrap());
    let before = &CHROMIUM[..CHROMIUM.match_indices("m=video").nth(2).unwrap().0];
    let less = format!("{before}{after}").replace("3 4 5 6", "3 4 6");
    let offer = admitted(&less, &first.places, &["4"]);
    let owned = [("5".to_owned(), Role::Receive(ReceivePolicy::default()))];
    let plan = Plan { sections: &owned, others: Role::Keep };
    let stack = Parsed::read(&stack(&offer.text), &Limits::default()).unwrap();
    assert_eq!(mids(&stack.correct_answer(&plan, offer.order).unwrap()), ["0", "1", "2", "3", "4", "6"]);
}

#[test]
fn data_channels_have_one_section() {
    let second = format!("{CHROMIUM}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:7\r\n")
        .replace("4 5 6\r", "4 5 6 7\r");
    assert!(refused(&second, &Places::default()).contains("data channels"));
    let first = admitted(CHROMIUM, &Places::default(), &[]);
    let another = CHROMIUM.replace("a=mid:6\r", "a=mid:7\r").replace("4 5 6\r", "4 5 7\r");
    assert!(refused(&another, &first.places).contains("data channels"));
}

#[test]
fn who_says_nothing_that_the_stack_knows_is_judged_by_the_stack() {
    let unknown = CHROMIUM
        .replace("VP8/90000", "VP7/90000")
        .replace("VP9/", "VP7/")
        .replace("H264/", "H263/")
        .replace("AV1/", "AV0/");
    assert_eq!(mids(&admitted(&unknown, &Places::default(), &[]).text), ["0", "3", "4", "5", "6"]);
    let plain = CHROMIUM.replacen("m=video 9 UDP/TLS/RTP/SAVPF", "m=video 9 RTP/AVP", 1);
    assert_eq!(mids(&admitted(&plain, &Places::default(), &[]).text), ["0", "3", "6"]);
    let other = CHROMIUM.replacen("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 RTP/SAVPF", 3);
    assert_eq!(mids(&admitted(&other, &Places::default(), &[]).text), ["0", "1", "2", "6"]);
    let mono = CHROMIUM.replace("opus/48000/2", "opus/48000");
    assert_eq!(mids(&admitted(&mono, &Places::default(), &[]).text), ["0", "1", "2", "6"]);
}

#[test]
fn a_stopped_section_says_nothing_of_the_transport() {
    let stopped = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 1\r\n\
        m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\na=ice-ufrag:stale\r\na=ice-pwd:stale\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=recvonly\r\na=ice-ufrag:x\r\na=ice-pwd:y\r\na=rtpmap:111 opus/48000/2\r\n";
    let offer = admitted(stopped, &Places::default(), &["1"]);
    let said: Vec<_> = offer.text.lines().filter(|l| l.starts_with("a=ice")).collect();
    assert_eq!(said, ["a=ice-ufrag:x", "a=ice-pwd:y"]);
}

#[test]
fn an_answer_repeats_nothing_that_is_said_twice_or_one_way() {
    let extra = "a=extmap:9/sendonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\na=extmap:15 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
    let many = "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n".repeat(100);
    let codecs = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n".repeat(100);
    let text = CHROMIUM.replace("a=mid:2\r\n", &format!("a=mid:2\r\n{extra}{many}{codecs}"));
    let offer = admitted(&text, &Places::default(), &[]);
    let answer = answered(&offer, &stack(&offer.text)).unwrap();
    let said = |mid: &str| {
        let mut lines: Vec<_> =
            section(&answer, mid)[2..].iter().filter(|l| !l.starts_with("a=mid:")).copied().collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(said("2"), said("1"));
}
