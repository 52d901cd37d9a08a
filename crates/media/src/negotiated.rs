//! What the two sides agreed on, as far as media needs it.

use rustc_hash::FxHashMap;
use sluice_rtp::Mid;

use crate::header::Ids;

/// A payload type that carries media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Its number.
    pub payload_type: u8,
    /// How much its timestamps count a second.
    pub clock: u32,
    /// The number under which its packets are sent again (RFC 4588), if that was agreed on.
    pub repair: Option<u8>,
    /// Whether a receiver may ask for lost packets (`a=rtcp-fb … nack`).
    pub nack: bool,
}

/// The agreement. Bundled sections share their numbers (RFC 9143 section 9.1), so one table does for all.
#[derive(Debug, Default)]
pub struct Negotiated {
    /// Of the header extensions that come in.
    pub ids: Ids,
    /// All payload types.
    pub formats: Vec<Format>,
    /// The sections there are.
    pub mids: Vec<Mid>,
    /// Streams that the peer's description names (RFC 5576), by SSRC.
    pub declared: FxHashMap<u32, Declared>,
}

/// A stream of the peer's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    /// Its section.
    pub mid: Mid,
    /// Whether it repairs the section's other stream (`a=ssrc-group:FID`).
    pub repairs: bool,
}

/// What a payload type means.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meaning {
    Media(Format),
    Repair(Format),
}

impl Negotiated {
    pub(crate) fn meaning(&self, payload_type: u8) -> Option<Meaning> {
        self.formats.iter().find_map(|format| {
            if format.payload_type == payload_type {
                Some(Meaning::Media(*format))
            } else {
                (format.repair == Some(payload_type)).then_some(Meaning::Repair(*format))
            }
        })
    }

    pub(crate) fn format(&self, payload_type: u8) -> Option<&Format> {
        self.formats.iter().find(|format| format.payload_type == payload_type)
    }

    /// Reads the streams that a description of the peer names, section by section. `a=ssrc` alone says nothing of layers, so
    /// sections with several are left to the header extensions.
    pub fn declare(&mut self, sdp: &str) {
        /// Streams of one peer at most: a hostile description must not fill the memory.
        const MOST: usize = 1_024;
        self.declared.clear();
        for lines in sdp.split("\nm=").skip(1) {
            let (mut mid, mut layered, mut repairs, mut named) = (None, false, Vec::new(), Vec::new());
            for line in lines.lines() {
                if let Some(name) = line.strip_prefix("a=mid:") {
                    mid.get_or_insert_with(|| Mid::from(name));
                } else if let Some(pair) = line.strip_prefix("a=ssrc-group:FID ") {
                    let mut pair = pair.split_whitespace().map(str::parse::<u32>);
                    if let (Some(Ok(_)), Some(Ok(repair))) = (pair.next(), pair.next()) {
                        repairs.push(repair);
                    }
                } else if let Some(ssrc) = line.strip_prefix("a=ssrc:") {
                    named.extend(ssrc.split_whitespace().next().and_then(|ssrc| ssrc.parse::<u32>().ok()));
                } else {
                    layered |= line.starts_with("a=simulcast:") || line.starts_with("a=rid:");
                }
            }
            let Some(mid) = mid.filter(|_| !layered) else { continue };
            for ssrc in named {
                if self.declared.len() < MOST {
                    self.declared.insert(ssrc, Declared { mid, repairs: repairs.contains(&ssrc) });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_read_with_what_repairs_them() {
        let mut negotiated = Negotiated::default();
        negotiated.declare(
            "v=0\r\nm=audio 9 X 111\r\na=mid:0\r\na=ssrc:1 cname:x\r\n\
             m=video 9 X 96 97\r\na=mid:1\r\na=ssrc-group:FID 2 3\r\na=ssrc:2 cname:x\r\na=ssrc:3 cname:x\r\n\
             m=video 9 X 96\r\na=mid:2\r\na=rid:q send\r\na=ssrc:4 cname:x\r\na=ssrc:y\r\n",
        );
        let of = |ssrc| negotiated.declared.get(&ssrc).copied();
        assert_eq!(of(1), Some(Declared { mid: "0".into(), repairs: false }));
        assert_eq!(of(2), Some(Declared { mid: "1".into(), repairs: false }));
        assert_eq!(of(3), Some(Declared { mid: "1".into(), repairs: true }));
        assert_eq!(of(4), None, "its layer is not known");
    }
}
