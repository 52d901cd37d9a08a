//! Sections that rest are kept from the stack until something shall flow in them.
//!
//! A client offers sections in advance, three of audio and three of video in LiveKit's SDKs, and most of them rest for a session's
//! life. What a stack makes of a section costs the same whether it is used or not, and descriptions cost more than anything else in a
//! join. So the stack hears of a section when it wakes. Its own order of sections is then another than the client's: [`Places`] keeps it, and
//! [`Order`] puts the answer in order again.

use sdp::SessionDescription;
use sdp::description::common::Attribute;
use sdp::description::media::MediaDescription;

use crate::needed::{has_known_codec, is_of_transport};
use crate::{Direction, Kind, SdpError, Section, codec, description, text};

/// Ids of header extensions that fit a header of one byte (RFC 8285 section 4.2).
const EXTENSION_IDS: std::ops::RangeInclusive<u8> = 1..=14;

/// The sections that the stack knows, in its order. A session whose client offers keeps one, and takes over the next when the stack
/// has taken the text that came with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Vec<Place>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    mid: String,
    kind: Kind,
}

impl Places {
    fn know(&self, mid: &str) -> bool {
        self.0.iter().any(|place| place.mid == mid)
    }
}

/// An offer's sections in the client's order, and what is answered to those of which the stack did not hear.
#[derive(Debug, Clone)]
pub struct Order(Vec<Seen>);

impl Order {
    /// Whether the client offered the section, and the stack heard of it.
    pub(crate) fn is_awake(&self, mid: &str) -> bool {
        self.0.iter().any(|seen| matches!(seen, Seen::Awake { mid: awake, .. } if awake == mid))
    }
}

#[derive(Debug, Clone)]
enum Seen {
    /// By the stack, which answers it.
    Awake { mid: String, rejected: bool },
    /// By us: what is answered, but for what it says of the transport.
    Asleep(Box<MediaDescription>),
}

/// Takes the sections that rest out of a text for the stack, and puts the others where the stack expects them.
pub(crate) fn put_to_sleep(
    grammar: &mut SessionDescription,
    sections: &[Section],
    places: &Places,
) -> Result<(Places, Order), SdpError> {
    check_bundle(grammar, sections)?;
    check_channels(sections, places)?;
    let first = sections.iter().position(|s| !s.rejected);
    let (mut order, mut awake, mut unsaid) = (Vec::new(), Vec::new(), Vec::new());
    let all = std::mem::take(&mut grammar.media_descriptions);
    for (index, (mut media, section)) in all.into_iter().zip(sections).enumerate() {
        // The first carries the transport (RFC 9143 section 7.2), so that the stack always has one.
        let wakes = !section.rejected && (Some(index) == first || !can_rest(&media, section));
        if wakes || places.know(&section.mid) {
            order.push(Seen::Awake { mid: section.mid.clone(), rejected: section.rejected });
            awake.push((Place { mid: section.mid.clone(), kind: section.kind }, media));
            continue;
        }
        if !section.rejected {
            unsaid.extend(media.attributes.extract_if(.., |a| is_of_transport(a)));
        }
        order.push(Seen::Asleep(Box::new(answer(media, section))));
    }
    if let Some((_, media)) = awake.first_mut() {
        media.attributes.extend(unsaid);
    }
    let next = arrange(grammar, awake, places);
    let stopped = |mid: &str| sections.iter().any(|s| s.mid == mid && s.rejected);
    bundle(grammar, next.0.iter().map(|place| place.mid.as_str()).filter(|mid| !stopped(mid)));
    Ok((next, Order(order)))
}

/// The stack has one transport: all sections that live must share it.
fn check_bundle(grammar: &SessionDescription, sections: &[Section]) -> Result<(), SdpError> {
    let groups = grammar.attributes.iter().filter(|a| text::is_bundle(a)).count();
    let mut bundled = description::bundle(grammar);
    let mut live: Vec<&str> = sections.iter().filter(|s| !s.rejected).map(|s| s.mid.as_str()).collect();
    bundled.sort_unstable();
    live.sort_unstable();
    if groups != 1 || bundled != live {
        return Err(SdpError::Malformed("a=group:BUNDLE does not name all sections, or others".to_owned()));
    }
    Ok(())
}

/// Data channels have one section, which stays the same. A stack that finds another has already taken what stood before it. The known
/// one comes first here, and no mid stands twice in an offer: equals are neighbours.
fn check_channels(sections: &[Section], places: &Places) -> Result<(), SdpError> {
    let known = places.0.iter().filter(|p| p.kind == Kind::Application).map(|p| p.mid.as_str());
    let offered = sections.iter().filter(|s| s.kind == Kind::Application).map(|s| s.mid.as_str());
    let mut channels: Vec<&str> = known.chain(offered).collect();
    channels.dedup();
    if channels.len() > 1 {
        return Err(SdpError::Malformed("more than one section of data channels".to_owned()));
    }
    Ok(())
}

/// Whether a section can be answered without the stack: nothing flows, and the stack would not refuse it when it wakes.
fn can_rest(media: &MediaDescription, section: &Section) -> bool {
    section.kind != Kind::Application
        && text::direction(media) == Direction::Inactive
        && media.media_name.protos == ["UDP", "TLS", "RTP", "SAVPF"]
        && has_known_codec(media)
}

/// Puts each section at the index at which the stack has it. New ones take the places of those that are gone, which a client may
/// do with sections that it stopped (RFC 8829 section 5.2.2), or come last.
fn arrange(
    grammar: &mut SessionDescription,
    awake: Vec<(Place, MediaDescription)>,
    places: &Places,
) -> Places {
    let (mut known, mut new): (Vec<_>, Vec<_>) = awake.into_iter().partition(|(p, _)| places.know(&p.mid));
    let mut next = Vec::new();
    for place in &places.0 {
        let still = known.iter().position(|(p, _)| p.mid == place.mid);
        let heir = || new.iter().position(|(p, _)| p.kind != Kind::Application);
        let (place, media) = if let Some(index) = still {
            known.swap_remove(index)
        } else if let Some(index) = heir().filter(|_| place.kind != Kind::Application) {
            new.remove(index)
        } else {
            (place.clone(), held(place))
        };
        next.push(place);
        grammar.media_descriptions.push(media);
    }
    for (place, media) in new {
        next.push(place);
        grammar.media_descriptions.push(media);
    }
    Places(next)
}

/// Holds the place of a section that the client says no more of.
fn held(place: &Place) -> MediaDescription {
    let (name, protocol, format) = match place.kind {
        Kind::Audio => ("audio", "UDP/TLS/RTP/SAVPF", "0"),
        Kind::Video => ("video", "UDP/TLS/RTP/SAVPF", "0"),
        Kind::Application => ("application", "UDP/DTLS/SCTP", "webrtc-datachannel"),
    };
    let mut media = MediaDescription::default();
    media.media_name.media = name.to_owned();
    media.media_name.port.value = 9;
    media.media_name.protos = protocol.split('/').map(str::to_owned).collect();
    media.media_name.formats = vec![format.to_owned()];
    media.attributes = vec![attribute("mid", Some(&place.mid)), attribute(Direction::Inactive.name(), None)];
    media
}

/// What is answered to a section that rests, or that was stopped before the stack heard of it. Of a section that rests browsers learn
/// which header extensions they may offer for others: Chromium refuses its own simulcast if it never heard that layers have names.
fn answer(mut media: MediaDescription, section: &Section) -> MediaDescription {
    codec::keep_first(&mut media);
    media.media_name.port.value = if section.rejected { 0 } else { 9 };
    media.media_name.port.range = None;
    let mut said = std::mem::take(&mut media.attributes);
    let mut seen = Vec::new();
    said.retain(|a| !section.rejected && is_answered(a) && is_first(a, &mut seen));
    let (extensions, codecs): (Vec<_>, Vec<_>) = said.into_iter().partition(|a| a.key == "extmap");
    media.attributes.push(attribute("mid", Some(&section.mid)));
    media.attributes.extend(extensions);
    media.attributes.push(attribute(Direction::Inactive.name(), None));
    media.attributes.push(attribute("rtcp-mux", None));
    media.attributes.extend(codecs);
    media
}

fn is_answered(attribute: &Attribute) -> bool {
    match attribute.key.as_str() {
        "rtpmap" | "fmtp" => true,
        // The id alone: one with a direction would have to be answered with another.
        "extmap" => word(attribute, 0).parse().is_ok_and(|id| EXTENSION_IDS.contains(&id)),
        _ => false,
    }
}

/// Whether nothing was said yet of this payload type or header extension.
fn is_first(attribute: &Attribute, seen: &mut Vec<(String, String)>) -> bool {
    let of = word(attribute, usize::from(attribute.key == "extmap"));
    let said = (attribute.key.clone(), of.to_owned());
    let is_first = !seen.contains(&said);
    if is_first {
        seen.push(said);
    }
    is_first
}

fn word(attribute: &Attribute, index: usize) -> &str {
    attribute.value.as_deref().and_then(|v| v.split(' ').nth(index)).unwrap_or("")
}

fn attribute(key: &str, value: Option<&str>) -> Attribute {
    Attribute::new(key.to_owned(), value.map(str::to_owned))
}

/// Writes which sections share the transport.
fn bundle<'a>(grammar: &mut SessionDescription, mids: impl Iterator<Item = &'a str>) {
    let value = std::iter::once("BUNDLE").chain(mids).collect::<Vec<_>>().join(" ");
    if let Some(group) = grammar.attributes.iter_mut().find(|a| text::is_bundle(a)) {
        group.value = Some(value);
    }
}

/// Puts the sections of the stack's answer where the client has them, and those that rest between them.
pub(crate) fn in_order(grammar: &mut SessionDescription, order: Order) -> Result<(), SdpError> {
    let mut answered = std::mem::take(&mut grammar.media_descriptions);
    // What all sections share, the stack writes into each, those that it rejects too.
    let is_shared = |a: &&Attribute| {
        matches!(a.key.as_str(), "ice-ufrag" | "ice-pwd" | "ice-options" | "fingerprint" | "setup")
    };
    let first = answered.first().cloned().unwrap_or_default();
    let shared: Vec<Attribute> = first.attributes.iter().filter(is_shared).cloned().collect();
    for seen in order.0 {
        let media = match seen {
            Seen::Awake { mid, rejected } => {
                let index = answered.iter().position(|media| text::mid(media) == Some(mid.as_str()));
                let mut media = answered.swap_remove(index.ok_or(SdpError::UnknownMid(mid))?);
                if rejected {
                    media.media_name.port.value = 0;
                }
                media
            }
            Seen::Asleep(mut media) => {
                media.connection_information.clone_from(&first.connection_information);
                if media.media_name.port.value != 0 {
                    media.attributes.splice(0..0, shared.iter().cloned());
                }
                *media
            }
        };
        grammar.media_descriptions.push(media);
    }
    let is_live = |media: &&MediaDescription| media.media_name.port.value != 0;
    let live = grammar.media_descriptions.iter().filter(is_live).filter_map(text::mid);
    let mids: Vec<String> = live.map(str::to_owned).collect();
    bundle(grammar, mids.iter().map(String::as_str));
    Ok(())
}
