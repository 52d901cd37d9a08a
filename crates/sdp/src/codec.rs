//! Codecs of a section: reading them, and cutting or ordering the list.

use std::collections::HashMap;

use sdp::description::common::Attribute;
use sdp::description::media::MediaDescription;

use crate::SdpError;
use crate::text::values;

/// One payload type of a media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// The RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// The encoding name in lower case: `vp8`, `opus`, `rtx`, `red`.
    pub name: String,
    /// The RTP clock in Hz.
    pub clock_rate: u32,
    /// Channels of an audio codec; 1 where the text is silent.
    pub channels: u8,
    /// The `a=fmtp` parameters as written, several lines joined by `;`, empty without any.
    pub parameters: String,
}

impl Codec {
    /// The payload type that this one carries or repairs: `apt` of RTX (RFC 4588, 8.1), the first of RED's list
    /// (RFC 2198, 5). `None` for a codec that stands for itself.
    pub fn carries(&self) -> Option<u8> {
        match self.name.as_str() {
            "rtx" => self.parameter("apt")?.parse().ok(),
            "red" => self.parameters.split('/').next()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// Whether this is a way to send media, rather than to repair or protect it.
    pub fn is_media(&self) -> bool {
        !matches!(self.name.as_str(), "rtx" | "red" | "ulpfec" | "flexfec-03" | "cn" | "telephone-event")
    }

    /// What may never differ between two uses of one payload type. Levels, bit rates and the like may.
    pub(crate) fn meaning(&self) -> String {
        let distinct = match self.name.as_str() {
            "rtx" => self.parameter("apt").unwrap_or_default().to_owned(),
            "vp9" => self.parameter("profile-id").unwrap_or("0").to_owned(),
            "av1" => self.parameter("profile").unwrap_or("0").to_owned(),
            "h264" => {
                let profile = self.parameter("profile-level-id").and_then(|p| p.get(..4)).unwrap_or("");
                let mode = self.parameter("packetization-mode").unwrap_or("0");
                format!("{} mode {mode}", profile.to_ascii_lowercase())
            }
            _ => String::new(),
        };
        format!("{}/{}/{} {distinct}", self.name, self.clock_rate, self.channels).trim_end().to_owned()
    }

    /// One parameter of `a=fmtp`, as in `profile-level-id=42e01f`; names compare without case, the last one counts.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.rsplit(';').find_map(|p| {
            let (key, value) = p.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Which codecs a section may name, by encoding name in lower case; RTX and RED follow the codec they serve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CodecPolicy {
    /// All, in the order found.
    #[default]
    Any,
    /// All; these first, in this order. The first codec of an answer is what a browser sends.
    Prefer(Vec<String>),
    /// These alone, in this order; an error when the section has none of them.
    Only(Vec<String>),
}

/// The codecs of a section in its order of preference: those that the `m=` line lists and `a=rtpmap` explains.
pub(crate) fn codecs(media: &MediaDescription) -> Vec<Codec> {
    listed(media, mapped(media))
}

/// Those of `mapped` that the `m=` line lists, in its order.
pub(crate) fn listed(media: &MediaDescription, mapped: Vec<Codec>) -> Vec<Codec> {
    let mut all: HashMap<u8, Codec> = mapped.into_iter().map(|c| (c.payload_type, c)).collect();
    let listed = media.media_name.formats.iter().filter_map(|f| f.parse::<u8>().ok());
    listed.filter_map(|pt| all.remove(&pt)).collect()
}

/// Every `a=rtpmap`, listed in the `m=` line or not: a stack may act on the unlisted ones too.
pub(crate) fn mapped(media: &MediaDescription) -> Vec<Codec> {
    let mut parameters: HashMap<u8, Vec<&str>> = HashMap::new();
    for (pt, text) in values(media, "fmtp").filter_map(split_payload_type) {
        parameters.entry(pt).or_default().push(text);
    }
    let explained = values(media, "rtpmap").filter_map(split_payload_type).filter_map(|(pt, encoding)| {
        let parameters = parameters.get(&pt).map_or(String::new(), |p| p.join(";"));
        parse_encoding(pt, encoding, parameters)
    });
    explained.collect()
}

fn parse_encoding(payload_type: u8, encoding: &str, parameters: String) -> Option<Codec> {
    let mut parts = encoding.split('/');
    let name = parts.next().filter(|n| !n.is_empty())?.to_ascii_lowercase();
    let clock_rate = parts.next()?.parse().ok()?;
    let channels = parts.next().map_or(Some(1), |c| c.parse().ok())?;
    Some(Codec { payload_type, name, clock_rate, channels, parameters })
}

/// Splits `96 VP8/90000` into the payload type and what is said of it.
fn split_payload_type(value: &str) -> Option<(u8, &str)> {
    let (pt, rest) = value.split_once(' ')?;
    Some((pt.trim().parse().ok().filter(|pt| *pt < 128)?, rest.trim()))
}

/// Orders and cuts the section's codecs by `policy`. Codecs that serve none of the kept ones are dropped too.
pub(crate) fn apply(media: &mut MediaDescription, mid: &str, policy: &CodecPolicy) -> Result<(), SdpError> {
    let (wanted, only) = match policy {
        CodecPolicy::Any => return Ok(()),
        CodecPolicy::Prefer(names) => (names, false),
        CodecPolicy::Only(names) => (names, true),
    };
    let present = codecs(media);
    let mut primary: Vec<&Codec> = present.iter().filter(|c| c.carries().is_none()).collect();
    if only {
        primary.retain(|c| wanted.contains(&c.name));
        if primary.is_empty() {
            return Err(SdpError::NoCodec { mid: mid.to_owned(), wanted: wanted.join(", ") });
        }
    }
    primary.sort_by_key(|c| wanted.iter().position(|w| *w == c.name).unwrap_or(wanted.len()));
    let mut kept = Vec::with_capacity(present.len());
    for codec in primary {
        let served = |name: &'static str| {
            let pt = Some(codec.payload_type);
            present.iter().filter(move |c| c.name == name && c.carries() == pt).map(|c| c.payload_type)
        };
        // RED before its codec: libwebrtc sends it only then. RTX after it, as everybody writes it.
        kept.extend(served("red"));
        kept.push(codec.payload_type);
        kept.extend(served("rtx"));
    }
    keep(media, &kept);
    Ok(())
}

/// Leaves one codec and what repairs it: a section where nothing flows needs no list, and a client offers all its
/// codecs again whenever it offers.
pub(crate) fn keep_first(media: &mut MediaDescription) {
    let present = codecs(media);
    let Some(first) = present.iter().find(|c| c.is_media()).map(|c| c.payload_type) else { return };
    let serves = |c: &&Codec| c.payload_type == first || (c.name == "rtx" && c.carries() == Some(first));
    let kept: Vec<u8> = present.iter().filter(serves).map(|c| c.payload_type).collect();
    keep(media, &kept);
}

/// Drops all payload types but `kept`, in that order, with everything said about the others. Without any to keep it
/// does nothing, because an `m=` line must list one.
pub(crate) fn keep(media: &mut MediaDescription, kept: &[u8]) {
    if kept.is_empty() {
        return;
    }
    media.media_name.formats = kept.iter().map(u8::to_string).collect();
    media.attributes.retain(|a| about(a).is_none_or(|pt| kept.contains(&pt)));
}

/// The payload type that an attribute speaks of, if it speaks of one.
fn about(attribute: &Attribute) -> Option<u8> {
    if !matches!(attribute.key.as_str(), "rtpmap" | "fmtp" | "rtcp-fb") {
        return None;
    }
    attribute.value.as_deref()?.split(' ').next()?.parse().ok()
}
