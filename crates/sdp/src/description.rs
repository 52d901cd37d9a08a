//! What an offer or an answer says, without its grammar.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use sdp::SessionDescription;
use sdp::description::media::MediaDescription;

use crate::error::excerpt;
use crate::text::{self, is_token, values};
use crate::{Candidate, Codec, Limits, SdpError, codec};

/// What a media section carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `m=audio`
    Audio,
    /// `m=video`
    Video,
    /// `m=application`: data channels.
    Application,
}

/// The way media flows, seen from the author of the text (RFC 8866, 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// The author sends.
    SendOnly,
    /// The author receives.
    RecvOnly,
    /// Nothing flows.
    Inactive,
}

impl Direction {
    /// Whether the text's author sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the text's author receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The attribute's name, as in `a=sendonly`.
    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|d| d.name() == name)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The two labels of `a=msid`: the stream that a track belongs to, and the track (RFC 8830, 2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Msid {
    stream: String,
    track: String,
}

impl Msid {
    /// Takes two labels of 1 to 64 token characters each.
    ///
    /// # Errors
    /// [`SdpError::BadLabel`] for anything else, so that a label can never break out of its line.
    pub fn new(stream: impl Into<String>, track: impl Into<String>) -> Result<Self, SdpError> {
        let (stream, track) = (stream.into(), track.into());
        for label in [&stream, &track] {
            if label.is_empty() || label.len() > 64 || !label.bytes().all(is_token) {
                return Err(SdpError::BadLabel(excerpt(label)));
            }
        }
        Ok(Msid { stream, track })
    }

    /// The stream's label; `-` means no stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The track's label.
    pub fn track(&self) -> &str {
        &self.track
    }

    /// Firefox writes braces around labels and nothing else that a token cannot hold.
    fn parse(value: &str) -> Option<Self> {
        let mut labels = value.split(' ').filter(|l| !l.is_empty());
        let stream = labels.next()?;
        Msid::new(stream, labels.next().unwrap_or(stream)).ok()
    }
}

impl fmt::Display for Msid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stream, self.track)
    }
}

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The section's identity, stable for the life of the session.
    pub mid: String,
    /// What it carries.
    pub kind: Kind,
    /// The way media flows, seen from the author of the text.
    pub direction: Direction,
    /// Port 0 outside the bundle: refused or stopped for good (RFC 9143, 7.3.3).
    pub rejected: bool,
    /// The labels of the track that its author sends, if it names one.
    pub msid: Option<Msid>,
    /// Simulcast layers that the author offers to send, in its order (RFC 8853); empty without simulcast.
    pub rids_send: Vec<String>,
    /// Codecs in the author's order of preference, with those that repair or protect (RTX, RED, FEC).
    pub codecs: Vec<Codec>,
    /// SSRCs that the author announces, in order and without repeats. Browsers announce none with simulcast.
    pub ssrcs: Vec<u32>,
}

impl Section {
    /// Names of the codecs that carry media, in order of preference and without repeats.
    pub fn codec_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for codec in self.codecs.iter().filter(|c| c.is_media()) {
            if !names.contains(&codec.name.as_str()) {
                names.push(&codec.name);
            }
        }
        names
    }
}

/// An offer or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The media sections in order; positions never change within a session.
    pub sections: Vec<Section>,
    /// The author only answers connectivity checks (RFC 8445, 2.5).
    pub ice_lite: bool,
    /// The author's ICE user name fragment. Another one than before is an ICE restart (RFC 8839, 4.4.3.1.1).
    pub ice_ufrag: Option<String>,
    /// The author's candidates; lines that are malformed or unknown are left out.
    pub candidates: Vec<Candidate>,
    /// What each payload type means.
    pub payload_types: PayloadTypes,
}

impl Description {
    /// The section with this identity.
    pub fn section(&self, mid: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.mid == mid)
    }
}

/// The meaning of each payload type within one transport: codec, clock, channels and the parameters that make it
/// another codec to a decoder (profile, packetization mode, what RTX repairs). It must not change while the transport
/// lives: keep one ledger per session and let [`admit`](crate::admit) compare each text with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PayloadTypes(BTreeMap<u8, String>);

impl PayloadTypes {
    /// Adds what `other` says, or nothing on a conflict.
    pub(crate) fn extend(&mut self, other: &PayloadTypes) -> Result<(), SdpError> {
        for (pt, meaning) in &other.0 {
            self.check(*pt, meaning)?;
        }
        for (pt, meaning) in &other.0 {
            self.0.entry(*pt).or_insert_with(|| meaning.clone());
        }
        Ok(())
    }

    fn insert(&mut self, codec: &Codec) -> Result<(), SdpError> {
        let meaning = codec.meaning();
        self.check(codec.payload_type, &meaning)?;
        self.0.entry(codec.payload_type).or_insert(meaning);
        Ok(())
    }

    fn check(&self, payload_type: u8, meaning: &str) -> Result<(), SdpError> {
        match self.0.get(&payload_type) {
            Some(first) if first != meaning => Err(SdpError::PayloadTypeConflict {
                payload_type,
                first: first.clone(),
                second: excerpt(meaning),
            }),
            _ => Ok(()),
        }
    }
}

/// A text that was read, and may be rewritten without being read again: [`Parsed::admit`] for the way to the stack,
/// [`Parsed::correct`] for the way out.
#[derive(Debug, Clone)]
pub struct Parsed {
    pub(crate) grammar: SessionDescription,
    pub(crate) description: Description,
}

impl Parsed {
    /// Reads an offer or an answer of a stranger.
    ///
    /// # Errors
    /// [`SdpError`] when the text is too large, is no session description, lacks what WebRTC requires, or gives one
    /// payload type two meanings.
    pub fn read(text: &str, limits: &Limits) -> Result<Self, SdpError> {
        let grammar = text::parse(text, limits)?;
        let description = describe(&grammar)?;
        Ok(Parsed { grammar, description })
    }

    /// What the text says.
    pub fn description(&self) -> &Description {
        &self.description
    }
}

/// Reads an offer or an answer of a stranger, of which only what it says matters.
///
/// # Errors
/// Those of [`Parsed::read`].
pub fn read(text: &str, limits: &Limits) -> Result<Description, SdpError> {
    Ok(Parsed::read(text, limits)?.description)
}

fn describe(parsed: &SessionDescription) -> Result<Description, SdpError> {
    let bundle = bundle(parsed);
    let mut payload_types = PayloadTypes::default();
    let mut mids = HashSet::new();
    let mut sections = Vec::with_capacity(parsed.media_descriptions.len());
    for (index, media) in parsed.media_descriptions.iter().enumerate() {
        let mapped = codec::mapped(media);
        let mut section = read_section(media, index, &bundle)?;
        if !mids.insert(section.mid.clone()) {
            return Err(SdpError::DuplicateMid(section.mid));
        }
        if !section.rejected {
            mapped.iter().try_for_each(|codec| payload_types.insert(codec))?;
        }
        section.codecs = codec::listed(media, mapped);
        sections.push(section);
    }
    // What a rejected section says of the transport may be stale.
    let live =
        || parsed.media_descriptions.iter().zip(&sections).filter(|(_, s)| !s.rejected).map(|(m, _)| m);
    let attributes = || parsed.attributes.iter().chain(live().flat_map(|m| &m.attributes));
    let value = |key: &str| attributes().find(|a| a.key == key).and_then(|a| a.value.clone());
    let candidates = attributes().filter(|a| a.key == "candidate").filter_map(|a| a.value.as_deref());
    let (ice_ufrag, candidates) = (value("ice-ufrag"), candidates.filter_map(|c| c.parse().ok()).collect());
    let ice_lite = parsed.attributes.iter().any(|a| a.key == "ice-lite");
    Ok(Description { sections, ice_lite, ice_ufrag, candidates, payload_types })
}

/// A section, still without its codecs.
fn read_section(media: &MediaDescription, index: usize, bundle: &[&str]) -> Result<Section, SdpError> {
    let mid = text::mid(media).ok_or(SdpError::MissingMid { index })?;
    let kind = match media.media_name.media.as_str() {
        "audio" => Kind::Audio,
        "video" => Kind::Video,
        "application" => Kind::Application,
        other => return Err(SdpError::Malformed(format!("media of kind {:?}", excerpt(other)))),
    };
    let mut ssrcs = Vec::new();
    for ssrc in values(media, "ssrc").filter_map(|v| v.split(' ').next()?.parse().ok()) {
        if !ssrcs.contains(&ssrc) {
            ssrcs.push(ssrc);
        }
    }
    Ok(Section {
        mid: mid.to_owned(),
        kind,
        direction: text::direction(media),
        rejected: media.media_name.port.value == 0 && !bundle.contains(&mid),
        msid: values(media, "msid").find_map(Msid::parse),
        rids_send: rids_send(media),
        codecs: Vec::new(),
        ssrcs,
    })
}

/// The sections that share the transport.
pub(crate) fn bundle(parsed: &SessionDescription) -> Vec<&str> {
    let groups = parsed.attributes.iter().filter(|a| text::is_bundle(a)).filter_map(|a| a.value.as_deref());
    groups.flat_map(|group| group.split_whitespace().skip(1)).collect()
}

/// `a=rid:q send`, in the order of the lines.
fn rids_send(media: &MediaDescription) -> Vec<String> {
    let rids = values(media, "rid").filter_map(|v| {
        let mut words = v.split(' ');
        let rid = words.next()?;
        let sends = words.next()? == "send";
        // RFC 8851, 10: letters, digits, - and _; the RTP extension bounds the length.
        let valid = rid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (sends && valid && (1..=16).contains(&rid.len())).then(|| rid.to_owned())
    });
    rids.take(16).collect()
}
