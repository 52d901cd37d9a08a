//! The one place that touches the grammar: bounds first, then the parser, then back to text.

use std::io::Cursor;

use sdp::SessionDescription;
use sdp::description::common::Attribute;
use sdp::description::media::MediaDescription;

use crate::error::excerpt;
use crate::{Direction, Limits, SdpError};

/// Parses text within its limits.
pub(crate) fn parse(text: &str, limits: &Limits) -> Result<SessionDescription, SdpError> {
    check_bounds(text, limits)?;
    let (rest, session, sections) = take_attributes(text);
    let mut parsed = SessionDescription::unmarshal(&mut Cursor::new(rest.as_bytes()))
        .map_err(|e| SdpError::Malformed(excerpt(&e.to_string())))?;
    parsed.attributes = session;
    for (media, attributes) in parsed.media_descriptions.iter_mut().zip(sections) {
        bound("attributes of a section", attributes.len(), limits.attributes)?;
        media.attributes = attributes;
    }
    Ok(parsed)
}

/// Attributes of the session and of each section, and the text that is left. They are most lines of a text, and the grammar
/// has nothing to say of them but where they may stand: for that it keeps the first of those that follow each other.
fn take_attributes(text: &str) -> (String, Vec<Attribute>, Vec<Vec<Attribute>>) {
    let (mut rest, mut session, mut sections) = (String::new(), Vec::new(), Vec::new());
    let mut follows = false;
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let attribute = line.strip_prefix("a=");
        if !follows || attribute.is_none() {
            rest.push_str(line);
            rest.push('\n');
        }
        follows = attribute.is_some();
        if let Some(attribute) = attribute.map(str::trim) {
            let (key, value) = match attribute.split_once(':') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (attribute, None),
            };
            sections.last_mut().unwrap_or(&mut session).push(Attribute::new(key.to_owned(), value));
        } else if line.starts_with("m=") {
            sections.push(Vec::new());
        }
    }
    (rest, session, sections)
}

fn check_bounds(text: &str, limits: &Limits) -> Result<(), SdpError> {
    bound("text in bytes", text.len(), limits.bytes)?;
    let mut sections = 0;
    // Nearly all texts are ASCII without any control character but those that end lines: without a branch that is seen many
    // bytes at a time.
    let plain = text.bytes().fold(true, |plain, b| plain & matches!(b, b' '..=b'~' | b'\n' | b'\r'));
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        bound("line in bytes", line.len(), limits.line_bytes)?;
        // A lone carriage return would become a line break of the attacker's choice at the next parser.
        if (!plain || line.contains('\r')) && line.chars().any(char::is_control) {
            return Err(SdpError::Malformed(format!("control character in line {:?}", excerpt(line))));
        }
        sections += usize::from(line.starts_with("m="));
    }
    bound("number of media sections", sections, limits.sections)
}

fn bound(what: &'static str, size: usize, limit: usize) -> Result<(), SdpError> {
    if size > limit { Err(SdpError::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// All values of the attribute `key`, in order; an attribute without value yields the empty string.
pub(crate) fn values<'a>(media: &'a MediaDescription, key: &'a str) -> impl Iterator<Item = &'a str> {
    media.attributes.iter().filter(move |a| a.key == key).map(|a| a.value.as_deref().unwrap_or(""))
}

/// The direction attribute of a section; without one it is `sendrecv` (RFC 8866, 6.7).
pub(crate) fn direction(media: &MediaDescription) -> Direction {
    media.attributes.iter().find_map(|a| Direction::from_name(&a.key)).unwrap_or(Direction::SendRecv)
}

/// Puts `direction` where the section's direction stands, and nowhere else.
pub(crate) fn set_direction(media: &mut MediaDescription, direction: Direction) {
    let place = media.attributes.iter().position(|a| Direction::from_name(&a.key).is_some());
    media.attributes.retain(|a| Direction::from_name(&a.key).is_none());
    let attribute = Attribute::new(direction.name().to_owned(), None);
    match place {
        Some(place) => media.attributes.insert(place.min(media.attributes.len()), attribute),
        None => media.attributes.push(attribute),
    }
}

/// The section's `a=mid`, if it is one.
pub(crate) fn mid(media: &MediaDescription) -> Option<&str> {
    let mut mids = values(media, "mid");
    let mid = mids.next()?;
    // One token (RFC 5888, 4) that fits a one-byte header extension (RFC 8285, 4.2); a second makes it ambiguous.
    (mids.next().is_none() && (1..=16).contains(&mid.len()) && mid.bytes().all(is_token)).then_some(mid)
}

/// Whether a line names the sections that share a transport (RFC 9143 section 7).
pub(crate) fn is_bundle(attribute: &Attribute) -> bool {
    let kind = attribute.value.as_deref().and_then(|v| v.split_whitespace().next());
    attribute.key == "group" && kind == Some("BUNDLE")
}

/// A character of RFC 8866's `token`: what `a=mid` and `a=msid` are made of.
pub(crate) fn is_token(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x27 | 0x2a | 0x2b | 0x2d | 0x2e | 0x30..=0x39 | 0x41..=0x5a | 0x5e..=0x7e)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXTS: [&str; 3] = [
        include_str!("../tests/data/chromium-publish-offer.sdp"),
        include_str!("../tests/data/firefox-subscribe-offer.sdp"),
        include_str!("../tests/data/chromium-stopped-answer-stack.sdp"),
    ];

    /// What the grammar makes of a whole text.
    fn by_grammar(text: &str) -> Option<String> {
        check_bounds(text, &Limits::default()).ok()?;
        Some(SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes())).ok()?.marshal())
    }

    fn by_parts(text: &str) -> Option<String> {
        Some(parse(text, &Limits::default()).ok()?.marshal())
    }

    #[test]
    fn whole_texts_read_as_the_grammar_reads_them() {
        for text in TEXTS {
            assert!(by_parts(text).is_some());
            assert_eq!(by_parts(text), by_grammar(text));
            let bare = text.replace('\r', "").replace("a=mid", "\n\na=mid");
            assert_eq!(by_parts(&bare), by_grammar(text), "line ends and empty lines do not matter");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn lines_in_any_order_read_as_the_grammar_reads_them(
            which in 0..TEXTS.len(),
            moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
            lines in prop::collection::vec("[vostmabck=:\\PC]{0,6}", 0..3),
        ) {
            let mut text: Vec<&str> = TEXTS[which].lines().collect();
            for (from, to) in moves {
                let line = text.remove(from.index(text.len()));
                text.insert(to.index(text.len() + 1), line);
            }
            text.extend(lines.iter().map(String::as_str));
            let text = text.join("\r\n");
            prop_assert_eq!(by_parts(&text), by_grammar(&text));
        }
    }
}
