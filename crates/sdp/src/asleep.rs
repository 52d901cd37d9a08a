//! Sections that rest are kept from the stack until something shall flow in them.
//!
//! A client offers sections in advance, three of audio and three of video in LiveKit's SDKs, and most of them rest for a session's
//! life. What a stack makes of a section costs the same whether it is used or not, and more than anything else in a join. So the
//! stack hears of a section when it wakes. Its own order of sections is then another than the client's: [`Places`] keeps it, and
//! [`Asleep`] puts the answer in order again.

use sdp::SessionDescription;
use sdp::description::common::Attribute;
use sdp::description::media::{MediaDescription, RangedPort};

use crate::needed::is_of_transport;
use crate::{Direction, Kind, SdpError, Section, codec, text};

/// The sections that the stack knows, in its order. A session whose client offers keeps one, and takes over the next when the stack
/// has taken the text that came with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Vec<Place>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    mid: String,
    kind: Kind,
}

/// What the client gets to read of an offer's sections: all of them, in its order.
#[derive(Debug, Clone)]
pub struct Asleep(Vec<Seen>);

#[derive(Debug, Clone)]
enum Seen {
    /// By the stack, which answers it.
    Awake(String),
    /// By us: what is answered, but for what it says of the transport.
    Asleep(Box<MediaDescription>),
}

/// Takes the sections that rest out of a text for the stack, and puts the others where the stack expects them.
pub(crate) fn put_to_sleep(
    grammar: &mut SessionDescription,
    sections: &[Section],
    places: &Places,
) -> (Places, Asleep) {
    let first = sections.iter().position(|s| !s.rejected);
    let (mut seen, mut awake, mut unsaid) = (Vec::new(), Vec::new(), Vec::new());
    for (index, mut media) in std::mem::take(&mut grammar.media_descriptions).into_iter().enumerate() {
        let Some(section) = sections.get(index) else { break };
        let is_known = places.0.iter().any(|place| place.mid == section.mid);
        // The first carries the transport (RFC 9143 section 7.2), so that the stack always has one.
        let wakes = section.kind == Kind::Application
            || Some(index) == first
            || text::direction(&media) != Direction::Inactive;
        if is_known || (wakes && !section.rejected) {
            seen.push(Seen::Awake(section.mid.clone()));
            awake.push((Place { mid: section.mid.clone(), kind: section.kind }, media));
            continue;
        }
        if !section.rejected {
            unsaid.extend(media.attributes.extract_if(.., |a| is_of_transport(a)));
        }
        seen.push(Seen::Asleep(Box::new(resting(media, section))));
    }
    if let Some((_, media)) = awake.first_mut() {
        media.attributes.extend(unsaid);
    }
    let places = arrange(grammar, awake, places);
    let live = |place: &&Place| sections.iter().any(|s| s.mid == place.mid && !s.rejected);
    bundle(grammar, places.0.iter().filter(live).map(|place| place.mid.as_str()));
    (places, Asleep(seen))
}

/// Puts each section at the index at which the stack has it. New ones take the places of those that are gone, which a client may
/// do with sections that it stopped (RFC 8829 section 5.2.2), or come last.
fn arrange(
    grammar: &mut SessionDescription,
    awake: Vec<(Place, MediaDescription)>,
    places: &Places,
) -> Places {
    let (known, new): (Vec<_>, Vec<_>) =
        awake.into_iter().partition(|(place, _)| places.0.iter().any(|known| known.mid == place.mid));
    let (mut known, mut new) = (known, new.into_iter());
    let mut next = Vec::new();
    for place in &places.0 {
        let still = known.iter().position(|(known, _)| known.mid == place.mid);
        let (place, media) = match still {
            Some(index) => known.swap_remove(index),
            None => new.next().unwrap_or_else(|| (place.clone(), gone(place))),
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
fn gone(place: &Place) -> MediaDescription {
    let mut media = MediaDescription::default();
    let (name, protocol, format) = match place.kind {
        Kind::Audio => ("audio", "UDP/TLS/RTP/SAVPF", "0"),
        Kind::Video => ("video", "UDP/TLS/RTP/SAVPF", "0"),
        Kind::Application => ("application", "UDP/DTLS/SCTP", "webrtc-datachannel"),
    };
    media.media_name.media = name.to_owned();
    media.media_name.protos = protocol.split('/').map(str::to_owned).collect();
    media.media_name.formats = vec![format.to_owned()];
    media.attributes = vec![Attribute::new("mid".to_owned(), Some(place.mid.clone()))];
    text::set_direction(&mut media, Direction::Inactive);
    media
}

/// What is answered to a section that rests, or that was stopped before the stack heard of it. Of a section that rests browsers learn
/// which header extensions they may offer for others: Chromium refuses its own simulcast if it never heard that layers have names.
fn resting(mut media: MediaDescription, section: &Section) -> MediaDescription {
    codec::keep_first(&mut media);
    media.media_name.port = RangedPort { value: if section.rejected { 0 } else { 9 }, range: None };
    let said = std::mem::take(&mut media.attributes);
    let (extensions, codecs): (Vec<_>, Vec<_>) = said
        .into_iter()
        .filter(|a| !section.rejected && matches!(a.key.as_str(), "extmap" | "rtpmap" | "fmtp"))
        .partition(|a| a.key == "extmap");
    media.attributes.push(Attribute::new("mid".to_owned(), Some(section.mid.clone())));
    media.attributes.extend(extensions);
    media.attributes.push(Attribute::new(Direction::Inactive.name().to_owned(), None));
    media.attributes.push(Attribute::new("rtcp-mux".to_owned(), None));
    media.attributes.extend(codecs);
    media
}

/// Writes which sections share the transport.
fn bundle<'a>(grammar: &mut SessionDescription, mids: impl Iterator<Item = &'a str>) {
    let value = std::iter::once("BUNDLE").chain(mids).collect::<Vec<_>>().join(" ");
    let is_bundle =
        |a: &&mut Attribute| a.key == "group" && a.value.as_deref().is_some_and(|v| v.starts_with("BUNDLE"));
    if let Some(group) = grammar.attributes.iter_mut().find(is_bundle) {
        group.value = Some(value);
    }
}

/// Puts the sections of the stack's answer where the client has them, and those that rest between them.
pub(crate) fn in_order(grammar: &mut SessionDescription, asleep: &Asleep) -> Result<(), SdpError> {
    let mut answered = std::mem::take(&mut grammar.media_descriptions);
    let live = answered.iter().find(|media| media.media_name.port.value != 0);
    let is_shared = |a: &&Attribute| {
        matches!(a.key.as_str(), "ice-ufrag" | "ice-pwd" | "ice-options" | "fingerprint" | "setup")
    };
    let shared: Vec<Attribute> =
        live.map(|media| media.attributes.iter().filter(is_shared).cloned().collect()).unwrap_or_default();
    let connection = answered.first().and_then(|media| media.connection_information.clone());
    let mut candidates = Vec::new();
    for media in &mut answered {
        let is_candidate = |a: &mut Attribute| matches!(a.key.as_str(), "candidate" | "end-of-candidates");
        candidates.extend(media.attributes.extract_if(.., is_candidate));
    }
    for seen in &asleep.0 {
        let media = match seen {
            Seen::Awake(mid) => {
                let index = answered.iter().position(|media| text::mid(media) == Some(mid.as_str()));
                answered.swap_remove(index.ok_or_else(|| SdpError::UnknownMid(mid.clone()))?)
            }
            Seen::Asleep(media) => {
                let mut media = MediaDescription::clone(media);
                media.connection_information = connection.clone();
                if media.media_name.port.value != 0 {
                    media.attributes.splice(0..0, shared.iter().cloned());
                }
                media
            }
        };
        grammar.media_descriptions.push(media);
    }
    let live = |media: &&MediaDescription| media.media_name.port.value != 0;
    let mids: Vec<String> =
        grammar.media_descriptions.iter().filter(live).filter_map(text::mid).map(str::to_owned).collect();
    bundle(grammar, mids.iter().map(String::as_str));
    // They belong into the section whose transport all others use (RFC 9143 section 7.2).
    if let Some(first) = grammar.media_descriptions.iter_mut().find(|media| media.media_name.port.value != 0)
    {
        first.attributes.splice(0..0, candidates);
    }
    Ok(())
}
