//! The streams that are sent to a peer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sluice_bwe::Estimator;
use sluice_rtp::{MediaKind, Mid, Vp8Descriptor, Vp8Rewrite};
use sluice_srtp::{RtpWindow, Sealer};

use crate::clock::Clock;
use crate::header::{Ids, LONGEST, Outgoing};
use crate::kept::{History, Kept};
use crate::negotiated::Negotiated;
use crate::sending::Sending;

/// Padding of one packet at most: its last byte counts it (RFC 3550 section 5.1).
const MOST_PADDING: u8 = 255;
/// Packets of one answer to a probe's wish at most.
const MOST_FILLERS: usize = 64;

/// A stream to open.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its section.
    pub mid: Mid,
    /// What it carries.
    pub kind: MediaKind,
    /// The stream.
    pub ssrc: u32,
    /// The stream that repairs it (RFC 4588), if that was agreed on.
    pub repair: Option<u32>,
    /// Header extensions of its section.
    pub ids: Ids,
    /// Whose it is, canonically (RFC 3550 section 6.5.1).
    pub cname: String,
    /// Packets that are kept to be sent again.
    pub kept: usize,
}

/// A stream that is sent.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) spec: Spec,
    pub(crate) sending: Sending,
    pub(crate) history: History,
    /// Numbers that were sealed: none may be sealed twice, whatever the callers do (RFC 3711 section 9.1).
    sealed: RtpWindow,
    /// The next number of the stream that repairs.
    next_repair: u64,
    /// The last packet's header: those of a stream differ by little.
    header: usize,
    pub(crate) nacks: u64,
    /// Share of lost packets at the last report, 0 to 1.
    pub(crate) lost: f32,
}

impl Stream {
    pub(crate) fn new(spec: Spec) -> Self {
        let history = History::new(spec.kept);
        // A number that nobody can guess, as the SSRC is random (RFC 3550 section 5.1).
        let next_repair = u64::from(spec.repair.unwrap_or_default() & 0x7fff);
        Stream {
            spec,
            sending: Sending::default(),
            history,
            sealed: RtpWindow::default(),
            next_repair,
            header: 28,
            nacks: 0,
            lost: 0.0,
        }
    }

    /// Nothing was sent since the last report: what was lost before is no news, and what was kept is too old.
    pub(crate) fn rest(&mut self) {
        self.lost = 0.0;
        self.history.forget();
    }

    pub(crate) fn clock(&self) -> u32 {
        match self.spec.kind {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        }
    }
}

/// What sending needs besides the stream.
pub(crate) struct Sender<'a> {
    pub(crate) now: Instant,
    pub(crate) clock: &'a Clock,
    pub(crate) sealer: &'a Sealer,
    pub(crate) estimator: &'a mut Estimator,
    pub(crate) queue: &'a mut VecDeque<Vec<u8>>,
}

/// What follows a header.
struct Body<'a> {
    /// The number of the packet that this one repairs (RFC 4588 section 4).
    original: Option<u16>,
    payload: &'a [u8],
    vp8: Option<Vp8Rewrite>,
    padding: u8,
}

impl Sender<'_> {
    /// Sends a packet for the first time. False if its number was used, or is too old to tell, or if it cannot be sealed.
    pub(crate) fn send(&mut self, stream: &mut Stream, kept: &Kept) -> bool {
        let sequence = kept.rewritten.sequence;
        if !stream.sealed.is_fresh(sequence) {
            return false;
        }
        stream.sealed.accept(sequence);
        let body = Body { original: None, payload: &kept.payload, vp8: kept.rewritten.vp8, padding: 0 };
        let (ssrc, payload_type) = (stream.spec.ssrc, kept.payload_type);
        self.seal(stream, (ssrc, payload_type, sequence), kept, &body, false)
    }

    /// Sends a packet again, on the stream that repairs.
    pub(crate) fn repair(
        &mut self,
        stream: &mut Stream,
        kept: &Kept,
        negotiated: &Negotiated,
        probe: bool,
    ) -> bool {
        let repair = negotiated.format(kept.payload_type).and_then(|format| format.repair);
        let (Some(ssrc), Some(payload_type)) = (stream.spec.repair, repair) else { return false };
        let sequence = stream.next_repair;
        stream.next_repair += 1;
        let original = Some(kept.rewritten.sequence as u16);
        let body = Body { original, payload: &kept.payload, vp8: kept.rewritten.vp8, padding: 0 };
        self.seal(stream, (ssrc, payload_type, sequence), kept, &body, probe)
    }

    /// Fills a probe of the path with about so many bytes: what was sent lately is worth more than padding. Answers whether
    /// there was something to fill it with.
    pub(crate) fn fill(&mut self, stream: &mut Stream, negotiated: &Negotiated, bytes: usize) -> bool {
        let Some(model) = stream.history.before(None).cloned() else { return false };
        let mut before = None;
        let mut left = bytes;
        for _ in 0..MOST_FILLERS {
            if left == 0 {
                break;
            }
            let kept = stream.history.before(before).filter(|kept| kept.payload.len() <= left).cloned();
            let (sent, size) = match kept {
                Some(kept) => {
                    before = Some(kept.rewritten.sequence);
                    (self.repair(stream, &kept, negotiated, true), kept.payload.len())
                }
                None => (self.pad(stream, &model, negotiated), usize::from(MOST_PADDING)),
            };
            if !sent {
                return false;
            }
            left = left.saturating_sub(size + stream.header);
        }
        true
    }

    fn pad(&mut self, stream: &mut Stream, model: &Kept, negotiated: &Negotiated) -> bool {
        let repair = negotiated.format(model.payload_type).and_then(|format| format.repair);
        let (Some(ssrc), Some(payload_type)) = (stream.spec.repair, repair) else { return false };
        let sequence = stream.next_repair;
        stream.next_repair += 1;
        let body = Body { original: None, payload: &[], vp8: None, padding: MOST_PADDING };
        self.seal(stream, (ssrc, payload_type, sequence), model, &body, true)
    }

    fn seal(
        &mut self,
        stream: &mut Stream,
        (ssrc, payload_type, sequence): (u32, u8, u64),
        kept: &Kept,
        body: &Body<'_>,
        probe: bool,
    ) -> bool {
        let ids = &stream.spec.ids;
        let original = usize::from(body.original.is_some()) * 2;
        let contents = original + body.payload.len() + usize::from(body.padding);
        let overhead = self.sealer.profile().rtp_overhead();
        let size = stream.header + contents + overhead;
        let transport_sequence = (ids.transport != 0).then(|| self.estimator.on_sent(self.now, size, probe));
        // Who can tell by transport-wide numbers needs no send time.
        let send_time = (ids.transport == 0 && ids.send_time != 0).then(|| self.clock.send_time(self.now));
        let header = Outgoing {
            payload_type,
            marker: kept.marker,
            padded: body.padding > 0,
            // The wire has the low 16 bits.
            sequence: sequence as u16,
            timestamp: kept.rewritten.timestamp,
            ssrc,
            mid: stream.spec.mid.as_bytes(),
            rid: None,
            transport_sequence,
            level: kept.level,
            orientation: kept.orientation,
            send_time,
        };
        let mut packet = Vec::with_capacity(LONGEST + contents + overhead);
        let len = header.write(ids, &mut packet);
        if let Some(original) = body.original {
            packet.extend_from_slice(&original.to_be_bytes());
        }
        packet.extend_from_slice(body.payload);
        if let Some(vp8) = body.vp8
            && let Ok(place) = Vp8Descriptor::read(body.payload)
        {
            vp8.apply(&place, &mut packet[len + original..]);
        }
        if let Some(zeros) = body.padding.checked_sub(1) {
            packet.resize(packet.len() + usize::from(zeros), 0);
            packet.push(body.padding);
        }
        stream.header = len;
        if self.sealer.rtp_at(&mut packet, 0, len, sequence).is_err() {
            return false;
        }
        self.queue.push_back(packet);
        true
    }
}

/// The round trip that is assumed until one was measured.
pub(crate) const DEFAULT_RTT: Duration = Duration::from_millis(100);
