//! A text of which the gate left out what the stack does not read means the same to the stack as the whole text.

// Helpers of tests report by panicking, as the tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Instant;

use sluice_sdp::{Direction, Kind, Limits, Parsed, PayloadTypes, Places, Section, admit};
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
