//! What a WebRTC stack needs of a client's text. The rest is left out of the text that it gets: a stack tries one
//! attribute after the other on each line, so that a line nobody reads is the dearest of all.
//!
//! This is what str0m 0.25.0 reads. `engine/tests/admitted.rs` holds it against what it makes of whole texts; look
//! here again when a stack is to learn a new attribute.

use sdp::SessionDescription;
use sdp::description::common::Attribute;
use sdp::description::media::MediaDescription;

use crate::{Candidate, Codec, codec, text};

/// Codecs that the engine has the stack know; it passes over all others. RTX is known with what it repairs.
const CODECS: [&str; 5] = ["opus", "vp8", "vp9", "h264", "av1"];

/// Header extensions that the stack knows.
const EXTENSIONS: [&str; 7] = [
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    "urn:3gpp:video-orientation",
];

/// What was said of the transport that all sections share. A stack believes the first place that says it.
#[derive(Default)]
struct Said {
    /// Both of `a=ice-ufrag` and `a=ice-pwd`, in one place.
    credentials: bool,
    fingerprint: bool,
    setup: bool,
}

impl Said {
    /// What a place says besides, once all of its lines were seen.
    fn note(&mut self, attributes: &[Attribute]) {
        let has = |key: &str| attributes.iter().any(|a| a.key == key);
        self.credentials |= has("ice-ufrag") && has("ice-pwd");
        self.fingerprint |= has("fingerprint");
        self.setup |= has("setup");
    }

    /// Whether this line need not be said again.
    fn repeats(&self, attribute: &Attribute) -> bool {
        match attribute.key.as_str() {
            "ice-ufrag" | "ice-pwd" => self.credentials,
            "fingerprint" => self.fingerprint,
            "setup" => self.setup,
            _ => false,
        }
    }
}

/// Leaves what a stack needs.
pub(crate) fn keep(parsed: &mut SessionDescription) {
    let mut said = Said::default();
    parsed.attributes.retain(|a| match a.key.as_str() {
        // The stack compares the first group of any kind with the sections.
        "group" => text::is_bundle(a),
        "ice-lite" => true,
        _ => is_of_transport(a),
    });
    said.note(&parsed.attributes);
    for media in &mut parsed.media_descriptions {
        (media.media_title, media.connection_information, media.encryption_key) = (None, None, None);
        media.bandwidth.clear();
        let sends = text::direction(media).sends();
        let mut ssrcs = Vec::new();
        media.attributes.retain(|a| match a.key.as_str() {
            "ssrc" => sends && is_first_of_ssrc(a, &mut ssrcs),
            "ssrc-group" => sends && a.value.as_deref().is_some_and(|v| v.starts_with("FID ")),
            _ if is_of_transport(a) => !said.repeats(a),
            _ => is_of_section(a),
        });
        said.note(&media.attributes);
        keep_codecs(media);
    }
}

/// Whether the stack knows one of a section's codecs.
pub(crate) fn has_known_codec(media: &MediaDescription) -> bool {
    codec::codecs(media).iter().any(is_known)
}

fn is_known(codec: &Codec) -> bool {
    let shape = if codec.name == "opus" { (48_000, 2) } else { (90_000, 1) };
    CODECS.contains(&codec.name.as_str()) && (codec.clock_rate, codec.channels) == shape
}

/// Leaves the codecs that the stack knows, if there are any.
fn keep_codecs(media: &mut MediaDescription) {
    let present = codec::codecs(media);
    let is_known = |pt: u8| present.iter().any(|c| c.payload_type == pt && is_known(c));
    let kept = present.iter().filter(|c| match c.name.as_str() {
        "rtx" => c.carries().is_some_and(is_known),
        _ => is_known(c.payload_type),
    });
    let kept: Vec<u8> = kept.map(|c| c.payload_type).collect();
    codec::keep(media, &kept);
}

pub(crate) fn is_of_transport(attribute: &Attribute) -> bool {
    match attribute.key.as_str() {
        "ice-ufrag" | "ice-pwd" | "fingerprint" | "setup" => true,
        // A name instead of an address is of use to nobody here.
        "candidate" => attribute
            .value
            .as_deref()
            .and_then(|v| v.parse::<Candidate>().ok())
            .is_some_and(|c| c.address.is_some()),
        _ => false,
    }
}

fn is_of_section(attribute: &Attribute) -> bool {
    match attribute.key.as_str() {
        "mid" | "sendrecv" | "sendonly" | "recvonly" | "inactive" => true,
        "rtpmap" | "fmtp" | "rid" | "simulcast" => true,
        "extmap" => {
            let uri = attribute.value.as_deref().and_then(|v| v.split_whitespace().nth(1));
            uri.is_some_and(|uri| EXTENSIONS.contains(&uri))
        }
        "max-message-size" | "sctp-init" => true,
        // All other feedback goes by what the stack itself can do.
        "rtcp-fb" => attribute.value.as_deref().is_some_and(|v| v.ends_with(" transport-cc")),
        _ => false,
    }
}

/// One line for each SSRC announces it. What it says of the SSRC does not matter, but it must say something.
fn is_first_of_ssrc(attribute: &Attribute, seen: &mut Vec<u32>) -> bool {
    let words = attribute.value.as_deref().and_then(|v| v.split_once(' '));
    let Some((ssrc, _)) = words.filter(|(_, rest)| rest.contains(':')) else { return false };
    let Ok(ssrc) = ssrc.parse() else { return false };
    let first = !seen.contains(&ssrc);
    if first {
        seen.push(ssrc);
    }
    first
}
