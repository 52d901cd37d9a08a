//! A text of which the gate left out what the stack does not read means the same to the stack as the whole text.

// Helpers of tests report by panicking, as the tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Instant;

use sluice_sdp::{Limits, PayloadTypes, admit};
use str0m::change::SdpOffer;
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
