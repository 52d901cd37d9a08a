//! A text of which the gate left out what the stack does not read means the same to the stack as the whole text.

// Helpers of tests report by panicking, as the tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Instant;

use sluice_sdp::{Direction, Kind, Limits, Parsed, PayloadTypes, Places, Plan, Role, Section, admit};
use str0m::change::SdpOffer;
use str0m::format::PayloadParams;
use str0m::{Rtc, RtcConfig};

const OFFERS: [&str; 4] = [
    include_str!("../../sdp/tests/data/chromium-publish-offer.sdp"),
    include_str!("../../sdp/tests/data/chromium-subscribe-offer.sdp"),
    include_str!("../../sdp/tests/data/firefox-publish-offer.sdp"),
    include_str!("../../sdp/tests/data/firefox-subscribe-offer.sdp"),
];

fn stack() -> Rtc {
    RtcConfig::new()
        .set_ice_lite(true)
        .set_rtp_mode(true)
        .clear_codecs()
        .enable_opus(true, false)
        .enable_vp8(true)
        .enable_h264(true)
        .enable_vp9(true)
        .enable_av1(true)
        .build(Instant::now())
}

/// The answer, without what is drawn at random.
fn answer(rtc: &mut Rtc, offer: &str) -> Vec<String> {
    let offer = SdpOffer::from_sdp_string(offer).unwrap();
    let answer = rtc.sdp_api().accept_offer(offer).unwrap().to_sdp_string();
    let random = ["o=", "a=ice-", "a=fingerprint", "a=msid", "a=ssrc:", "a=ssrc-group:"];
    let lines = answer.lines().map(|line| match random.iter().find(|r| line.starts_with(**r)) {
        Some(random) => (*random).to_owned(),
        None => line.to_owned(),
    });
    lines.collect()
}

#[test]
fn the_stack_answers_as_it_would_answer_the_whole_text() {
    for offer in OFFERS {
        let admitted =
            admit(offer, &Limits::default(), &mut PayloadTypes::default(), |s| s.direction).unwrap();
        let (mut whole, mut needed) = (stack(), stack());
        assert_eq!(answer(&mut whole, offer), answer(&mut needed, &admitted.text));
        assert_eq!(whole.codec_config().params(), needed.codec_config().params());
        for section in &admitted.description.sections {
            let mid = str0m::media::Mid::from(section.mid.as_str());
            let extensions = |rtc: &Rtc| {
                rtc.media(mid).map(|media| {
                    let map = media.remote_extmap().iter();
                    (media.direction(), map.map(|(id, e)| (id, e.as_uri().to_owned())).collect::<Vec<_>>())
                })
            };
            assert_eq!(extensions(&whole), extensions(&needed));
        }
        let expected = |rtc: &mut Rtc| {
            let ssrcs = admitted.description.sections.iter().flat_map(|section| section.ssrcs.clone());
            let known = ssrcs.map(|ssrc| {
                let mut api = rtc.direct_api();
                api.stream_rx(&ssrc.into()).map(|rx| (rx.mid(), rx.rtx()))
            });
            known.collect::<Vec<_>>()
        };
        assert_eq!(expected(&mut whole), expected(&mut needed), "announced streams");
        // A second round finds the session in the same state.
        assert_eq!(answer(&mut whole, offer), answer(&mut needed, &admitted.text));
    }
}

/// A section of which the stack first hears when it wakes is to the stack as if it had been there from the beginning.
#[test]
fn who_slept_wakes_as_if_the_stack_had_known_it() {
    for offer in OFFERS {
        let sections = sluice_sdp::read(offer, &Limits::default()).unwrap().sections;
        for first in sections.iter().filter(|s| s.kind != Kind::Application).map(|s| s.mid.as_str()) {
            let (mut whole, mut slept) = (stack(), stack());
            let mut places = Places::default();
            for all in [false, true, false, true] {
                let wanted =
                    |s: &Section| if all || s.mid == first { s.direction } else { Direction::Inactive };
                let read = Parsed::read(offer, &Limits::default()).unwrap();
                let awake = read.admit_offer(&mut PayloadTypes::default(), &places, wanted).unwrap();
                let narrowed =
                    admit(offer, &Limits::default(), &mut PayloadTypes::default(), wanted).unwrap();
                let (long, short) = (answer(&mut whole, &narrowed.text), answer(&mut slept, &awake.text));
                places = awake.places;
                for section in
                    sections.iter().filter(|s| s.kind != Kind::Application && (all || s.mid == first))
                {
                    let mid = str0m::media::Mid::from(section.mid.as_str());
                    let known = |rtc: &Rtc| {
                        let media = rtc.media(mid).unwrap();
                        let map = media.remote_extmap().iter().map(|(id, e)| (id, e.as_uri().to_owned()));
                        // Of codecs that only the stack has, the numbers go by what else it heard of.
                        let agreed = |params: &&PayloadParams| media.remote_pts().contains(&params.pt());
                        let codecs: Vec<PayloadParams> =
                            rtc.codec_config().params().iter().filter(agreed).copied().collect();
                        (media.direction(), media.remote_pts().to_vec(), codecs, map.collect::<Vec<_>>())
                    };
                    assert_eq!(known(&whole), known(&slept), "{} after {first}", section.mid);
                    assert_eq!(lines_of(&long, &section.mid), lines_of(&short, &section.mid));
                }
            }
        }
    }
}

/// What an answer says of a section, without candidates, which stand in the stack's first.
fn lines_of(answer: &[String], mid: &str) -> Vec<String> {
    let sections: Vec<&[String]> = answer.split(|line| line.starts_with("m=")).collect();
    let name = format!("a=mid:{mid}");
    let section = sections.into_iter().find(|lines| lines.contains(&name)).unwrap();
    section.iter().filter(|line| !line.starts_with("a=candidate")).cloned().collect()
}

/// Rounds of one session whose peer offers: what it answers goes back to the client through the gate.
struct Rounds {
    stack: Rtc,
    places: Places,
}

impl Rounds {
    fn new() -> Self {
        Rounds { stack: stack(), places: Places::default() }
    }

    /// `None` if the stack refuses the offer.
    fn answer(&mut self, offer: &str, awake: &[&str]) -> Option<String> {
        let wanted =
            |s: &Section| if awake.contains(&s.mid.as_str()) { s.direction } else { Direction::Inactive };
        let offer = Parsed::read(offer, &Limits::default()).unwrap();
        let admitted = offer.admit_offer(&mut PayloadTypes::default(), &self.places, wanted).unwrap();
        let offer = SdpOffer::from_sdp_string(&admitted.text).unwrap();
        let raw = self.stack.sdp_api().accept_offer(offer).ok()?.to_sdp_string();
        self.places = admitted.places;
        let plan = Plan { sections: &[], others: Role::Keep };
        let answer = Parsed::read(&raw, &Limits::default()).unwrap();
        Some(answer.correct_answer(&plan, admitted.order).unwrap())
    }
}

fn section<'a>(answer: &'a str, mid: &str) -> &'a str {
    let name = format!("\na=mid:{mid}\r\n");
    answer.split("\nm=").find(|section| section.contains(&name)).unwrap()
}

#[test]
fn a_client_s_answer_says_in_every_section_where_we_are() {
    // The first section is refused for want of a codec, and the only other one rests.
    let offer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        a=ice-ufrag:user\r\na=ice-pwd:0123456789abcdefghijkl\r\na=setup:actpass\r\n\
        a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 8\r\na=mid:0\r\na=recvonly\r\na=rtpmap:8 PCMA/8000\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\n";
    let answer = Rounds::new().answer(offer, &[]).unwrap();
    for line in ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:sha-256 ", "a=setup:passive"] {
        assert!(section(&answer, "1").contains(line), "{line} in {answer}");
    }
}

#[test]
fn a_stopped_section_s_place_goes_to_another_and_a_forgotten_one_comes_back() {
    let offer = OFFERS[1];
    let mut rounds = Rounds::new();
    rounds.answer(offer, &["1", "4"]).unwrap();
    let stopped = offer
        .replacen("a=group:BUNDLE 0 1 2 3 4 5 6", "a=group:BUNDLE 0 1 2 3 5 6", 1)
        .replace("a=mid:4\r", "a=mid:X\r");
    let (before, after) = stopped.split_at(stopped.find("a=mid:X").unwrap());
    let start = before.rfind("m=video 9").unwrap();
    let stopped = format!(
        "{}m=video 0{}{}",
        &before[..start],
        &before[start + 9..],
        after.replace("a=mid:X", "a=mid:4")
    );
    let answer = rounds.answer(&stopped, &["1"]).unwrap();
    assert!(section(&answer, "4").starts_with("video 0 "), "{answer}");
    let recycled =
        offer.replace("a=mid:4\r", "a=mid:7\r").replace("BUNDLE 0 1 2 3 4 5 6", "BUNDLE 0 1 2 3 7 5 6");
    let resting = rounds.answer(&recycled, &["1"]).unwrap();
    assert!(section(&resting, "7").contains("a=inactive"));
    let awake = rounds.answer(&recycled, &["1", "7"]).unwrap();
    assert!(
        section(&awake, "7").starts_with("video 9 ") && section(&awake, "7").contains("a=sendonly"),
        "{awake}"
    );

    // A client that leaves out a section finds it again.
    let tail = recycled.find("m=application").unwrap();
    let less = recycled[..tail].replace("7 5 6", "7 5");
    rounds.answer(&less, &["1", "7"]).unwrap();
    let again = rounds.answer(&recycled, &["1", "7"]).unwrap();
    assert!(
        section(&again, "6").starts_with("application 9 ") && section(&again, "7").contains("a=sendonly")
    );
}
