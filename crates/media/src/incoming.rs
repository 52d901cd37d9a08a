//! The streams that a peer sends, and what each packet of them is.

use std::time::Instant;

use rustc_hash::FxHashMap;
use sluice_rtp::{Mid, Rid};
use sluice_srtp::RtpWindow;

use crate::header::Header;
use crate::missing::Missing;
use crate::negotiated::{Format, Meaning, Negotiated};
use crate::reception::Reception;

/// The stream on which libwebrtc probes before there is media. It carries nothing.
const PROBES: u32 = 0;
/// Streams of one peer at most, repair included: a section with three layers has six.
const MOST: usize = 512;

/// What a stream is for.
#[derive(Debug)]
pub(crate) enum Role {
    Media(Box<Media>),
    Repair,
    Probe,
    /// Another stream took its place. It is remembered, so that what it sent cannot be played again.
    Retired,
}

/// A stream of media.
#[derive(Debug)]
pub(crate) struct Media {
    pub(crate) format: Format,
    pub(crate) reception: Reception,
    pub(crate) missing: Missing,
    /// From the numbers of this stream to those that the layer goes on with: a peer may begin a layer's stream anew.
    shift: i64,
    pub(crate) nacks: u64,
    /// Lost packets of the layer's streams before this one.
    lost_before: u64,
}

impl Media {
    /// The number by which a packet is known outside.
    pub(crate) fn number(&self, index: u64) -> u64 {
        index.saturating_add_signed(self.shift)
    }

    /// Packets of the layer that never came.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_before + self.reception.missing()
    }
}

/// A stream of the peer.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) mid: Mid,
    pub(crate) rid: Option<Rid>,
    pub(crate) role: Role,
    pub(crate) window: RtpWindow,
}

/// All streams of the peer, by SSRC.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    streams: FxHashMap<u32, Stream>,
}

/// Whose a packet is, found before it was opened.
pub(crate) struct Place {
    mid: Mid,
    rid: Option<Rid>,
    repairs: bool,
    format: Option<Format>,
}

impl Incoming {
    pub(crate) fn get_mut(&mut self, ssrc: u32) -> Option<&mut Stream> {
        self.streams.get_mut(&ssrc)
    }

    /// The media streams, with their SSRC.
    pub(crate) fn media_mut(&mut self) -> impl Iterator<Item = (u32, Mid, Option<Rid>, &mut Media)> {
        self.streams.iter_mut().filter_map(|(ssrc, stream)| match &mut stream.role {
            Role::Media(media) => Some((*ssrc, stream.mid, stream.rid, &mut **media)),
            Role::Repair | Role::Probe | Role::Retired => None,
        })
    }

    /// Forgets the streams of sections that are no more.
    pub(crate) fn keep(&mut self, mids: &[Mid]) {
        self.streams.retain(|_, stream| matches!(stream.role, Role::Probe) || mids.contains(&stream.mid));
    }

    /// The SSRC of a layer's media.
    pub(crate) fn ssrc(&self, mid: Mid, rid: Option<Rid>) -> Option<u32> {
        let of =
            |stream: &Stream| stream.mid == mid && stream.rid == rid && matches!(stream.role, Role::Media(_));
        self.streams.iter().find(|(_, stream)| of(stream)).map(|(ssrc, _)| *ssrc)
    }

    /// Finds out where a stream belongs that was not heard of: by its header extensions (RFC 8843 section 9.2), else by what
    /// the peer's description says.
    pub(crate) fn place(header: &Header<'_>, negotiated: &Negotiated) -> Option<Place> {
        if header.ssrc == PROBES {
            return Some(Place { mid: Mid::from(""), rid: None, repairs: false, format: None });
        }
        let meaning = negotiated.meaning(header.payload_type)?;
        let (Meaning::Media(format) | Meaning::Repair(format)) = meaning;
        let repairs = matches!(meaning, Meaning::Repair(_));
        let format = Some(format);
        let Some(mid) = header.mid.and_then(Mid::from_extension) else {
            let declared = negotiated.declared.get(&header.ssrc)?;
            let repairs = repairs || declared.repairs;
            return Some(Place { mid: declared.mid, rid: None, repairs, format });
        };
        if !negotiated.mids.contains(&mid) {
            return None;
        }
        let rid = header.rid.and_then(Rid::from_extension);
        let repaired = header.repaired_rid.and_then(Rid::from_extension);
        Some(match (rid, repaired) {
            (Some(_), _) => Place { mid, rid, repairs: false, format },
            (None, Some(_)) => Place { mid, rid: repaired, repairs: true, format },
            (None, None) => Place { mid, rid: None, repairs, format },
        })
    }

    /// Adds a stream whose first packet was opened. One that did the same ends: a peer has one stream for a layer at a time.
    pub(crate) fn add(
        &mut self,
        ssrc: u32,
        place: &Place,
        window: RtpWindow,
        first: u64,
        now: Instant,
    ) -> bool {
        let Place { mid, rid, repairs, format } = *place;
        if self.streams.len() >= MOST {
            return false;
        }
        let before = self.streams.values_mut().find(|stream| {
            let alike = match stream.role {
                Role::Media(_) => format.is_some() && !repairs,
                Role::Repair => repairs,
                Role::Probe | Role::Retired => false,
            };
            alike && stream.mid == mid && stream.rid == rid
        });
        let (mut shift, mut nacks, mut lost_before) = (0, 0, 0);
        if let Some(stream) = before {
            if let Role::Media(media) = &stream.role {
                // One number is left out, so that what was cut short does not look whole.
                let next = media.number(media.reception.highest()) + 2;
                shift = next.wrapping_sub(first) as i64;
                (nacks, lost_before) = (media.nacks, media.lost());
            }
            stream.role = Role::Retired;
        }
        let role = match format {
            None => Role::Probe,
            Some(_) if repairs => Role::Repair,
            Some(format) => Role::Media(Box::new(Media {
                format,
                reception: Reception::new(format.clock, first, now),
                missing: Missing::default(),
                shift,
                nacks,
                lost_before,
            })),
        };
        self.streams.insert(ssrc, Stream { mid, rid, role, window });
        true
    }
}
