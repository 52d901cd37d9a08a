//! A track that a session sends, and its layers as they arrive.

use std::time::{Duration, Instant, SystemTime};

use sluice_forward::{Allowance, KeyFrameRequests, Meter, Quota, Timeline, Voice};
use sluice_rtp::{Codec, FrameInfo, MediaKind, ReadError, Timestamp};
use smallvec::SmallVec;

use crate::demux::SessionKey;
use crate::id::ParticipantId;
use crate::link::ShardNumber;
use crate::links::LinkSubscriber;
use crate::model::{LayerSpec, PublicationSpec, PublicationStatus};
use crate::section::SubscriptionKey;
use crate::stats::{LayerStats, PublicationStats};
use crate::transport::{MediaPacket, Mid, Payload, Rid};

/// A layer without a packet for this long is inactive: shorter than a viewer's patience, longer than a screen share at one
/// frame per second.
const ACTIVE: Duration = Duration::from_millis(2_500);

/// A layer is silent already after this time if its siblings sent [`SIBLING_FRAMES`] meanwhile: a publisher that is short of
/// processor time or bandwidth gives up its upper layers without a word, and whoever watches them must not stand still.
const OVERTAKEN: Duration = Duration::from_millis(300);
/// Fewer would take a lost packet for the end of a layer; more would keep viewers of a slow camera waiting.
const SIBLING_FRAMES: u32 = 5;

/// How often a publication may change: each change costs every subscriber an allocation, and a publisher could change its codec
/// or its size with every packet. At once as many as a start with three layers needs; what is beyond is told a little later.
const CHANGES: Allowance = Allowance { burst: 8, refill: Duration::from_millis(500) };

/// A publication.
pub(crate) struct Publication {
    pub(crate) spec: PublicationSpec,
    pub(crate) source: Source,
    /// By which other shards know it, once they do.
    pub(crate) number: Option<u64>,
    /// Other shards that want it.
    pub(crate) links: SmallVec<[LinkSubscriber; 2]>,
    pub(crate) mid: Option<Mid>,
    pub(crate) payload: Option<Payload>,
    payload_type: u8,
    /// Grows with each change of `payload`, so that subscribers look their number up again. Zero: none yet.
    pub(crate) payload_generation: u32,
    pub(crate) layers: SmallVec<[Layer; 3]>,
    /// Something changed that was not told yet.
    untold: bool,
    changes: Quota,
    pub(crate) timeline: Timeline,
    /// Who speaks; heard only if it is audio.
    pub(crate) voice: Voice,
    pub(crate) subscribers: Vec<Subscriber>,
    /// What was last reported as wanted.
    pub(crate) wanted: Option<Vec<u8>>,
}

/// Where a publication comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A session of this shard.
    Session(SessionKey),
    /// Another shard, by its number there.
    Link { shard: ShardNumber, number: u64, participant: ParticipantId },
}

/// A subscription to a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscriber {
    pub(crate) session: SessionKey,
    pub(crate) subscription: SubscriptionKey,
}

/// One encoding.
pub(crate) struct Layer {
    pub(crate) rid: Option<Rid>,
    pub(crate) spec: LayerSpec,
    pub(crate) last_packet: Option<Instant>,
    /// Frames of other layers since then.
    sibling_frames: u32,
    /// As last reported.
    pub(crate) active: bool,
    pub(crate) meter: Meter,
    pub(crate) key_frames: KeyFrameRequests<Subscriber>,
    totals: LayerTotals,
}

#[derive(Debug, Clone, Copy, Default)]
struct LayerTotals {
    packets: u64,
    bytes: u64,
    lost: u64,
    nacks: u64,
    key_frames: u64,
    key_frame_requests: u64,
}

impl Layer {
    fn new(rid: Option<Rid>, spec: LayerSpec, now: Instant) -> Self {
        Layer {
            rid,
            spec,
            last_packet: None,
            sibling_frames: 0,
            active: false,
            meter: Meter::new(now),
            key_frames: KeyFrameRequests::new(),
            totals: LayerTotals::default(),
        }
    }

    /// Packets arrived lately.
    pub(crate) fn is_active(&self, now: Instant) -> bool {
        self.last_packet.is_some_and(|at| {
            let silent = now.saturating_duration_since(at);
            silent < OVERTAKEN || (silent < ACTIVE && self.sibling_frames < SIBLING_FRAMES)
        })
    }

    pub(crate) fn count_key_frame_request(&mut self) {
        self.totals.key_frame_requests += 1;
    }

    pub(crate) fn count_losses(&mut self, nacks: u64, lost: u64) {
        self.totals.nacks = nacks;
        self.totals.lost = lost;
    }
}

/// What one packet turned out to be.
pub(crate) struct Arrival {
    pub(crate) layer: u8,
    /// `None`: padding, which belongs to no frame.
    pub(crate) frame: Option<FrameInfo>,
    pub(crate) playout: Instant,
    /// A change of codec, sizes or active layers is to be told.
    pub(crate) changed: bool,
}

fn clock_rate(kind: MediaKind) -> u32 {
    match kind {
        MediaKind::Audio => Codec::Opus.clock_rate(),
        MediaKind::Video => Codec::Vp8.clock_rate(),
    }
}

impl Publication {
    pub(crate) fn new(spec: PublicationSpec, source: Source, now: Instant) -> Self {
        let clock_rate = clock_rate(spec.kind);
        let mut publication = Publication {
            spec,
            source,
            number: None,
            links: SmallVec::new(),
            mid: None,
            payload: None,
            payload_type: 0,
            payload_generation: 0,
            layers: SmallVec::new(),
            untold: false,
            changes: Quota::new(now, CHANGES),
            timeline: Timeline::new(clock_rate),
            voice: Voice::new(now),
            subscribers: Vec::new(),
            wanted: None,
        };
        publication.lay_out(&[], now);
        publication
    }

    /// The session that sends it, if that is of this shard.
    pub(crate) fn session(&self) -> Option<SessionKey> {
        match self.source {
            Source::Session(session) => Some(session),
            Source::Link { .. } => None,
        }
    }

    /// Whether both come from one sender.
    pub(crate) fn is_beside(&self, other: &Publication) -> bool {
        match (&self.source, &other.source) {
            (Source::Session(a), Source::Session(b)) => a == b,
            (Source::Link { participant: a, .. }, Source::Link { participant: b, .. }) => a == b,
            _ => false,
        }
    }

    /// The codec, once media arrived.
    pub(crate) fn codec(&self) -> Option<Codec> {
        self.payload.map(|p| p.codec)
    }

    /// The codec that subscribers should be prepared for.
    pub(crate) fn likely_codec(&self) -> Codec {
        self.codec().or_else(|| self.spec.codecs.first().copied()).unwrap_or(match self.spec.kind {
            MediaKind::Audio => Codec::Opus,
            MediaKind::Video => Codec::Vp8,
        })
    }

    /// Binds the section that carries it. `rids` are the peer's layers, lowest first as the client protocol has them. Answers
    /// whether its layers are new.
    pub(crate) fn bind(&mut self, mid: Mid, rids: &[Rid], now: Instant) -> bool {
        let new = self.mid != Some(mid) || self.layers.len() != rids.len().max(1);
        if new {
            self.lay_out(rids, now);
        }
        self.mid = Some(mid);
        new
    }

    /// Takes the section away.
    pub(crate) fn unbind(&mut self) {
        self.mid = None;
        self.payload = None;
        for layer in &mut self.layers {
            layer.active = false;
            layer.last_packet = None;
        }
    }

    /// Declares it anew; what arrives goes on.
    pub(crate) fn redeclare(&mut self, spec: PublicationSpec) {
        for layer in &mut self.layers {
            if let Some(said) = spec.layers.iter().find(|l| l.rid == layer.spec.rid) {
                layer.spec = said.clone();
            }
        }
        self.spec = spec;
    }

    fn lay_out(&mut self, rids: &[Rid], now: Instant) {
        let specs = &self.spec.layers;
        self.layers = if rids.is_empty() {
            // One encoding is the best that was announced.
            let spec = specs.iter().max_by_key(|l| l.width * l.height).cloned().unwrap_or_default();
            SmallVec::from_iter([Layer::new(None, LayerSpec { rid: String::new(), ..spec }, now)])
        } else {
            // The declaration tells their order; descriptions list them in any.
            let place = |rid: &Rid| specs.iter().position(|l| l.rid == **rid).unwrap_or(specs.len());
            let mut rids = rids.to_vec();
            rids.sort_by_key(place);
            rids.truncate(sluice_forward::MAX_LAYERS);
            rids.into_iter()
                .enumerate()
                .map(|(index, rid)| {
                    let named = specs.iter().find(|l| l.rid == *rid).or_else(|| specs.get(index));
                    let spec = named.cloned().unwrap_or_default();
                    Layer::new(Some(rid), LayerSpec { rid: rid.to_string(), ..spec }, now)
                })
                .collect()
        };
        self.timeline = Timeline::new(clock_rate(self.spec.kind));
    }

    /// Takes in a packet: which layer, which frame, when. `None` if it is of no known layer or cannot be read.
    pub(crate) fn receive(
        &mut self,
        packet: &MediaPacket,
        payload: impl FnOnce(u8) -> Option<Payload>,
    ) -> Option<Arrival> {
        let mut changed = false;
        if self.payload.is_none() || self.payload_type != packet.payload_type {
            self.payload = Some(payload(packet.payload_type)?);
            self.payload_type = packet.payload_type;
            self.payload_generation += 1;
            changed = true;
        }
        let codec = self.payload?.codec;
        let index = self.layers.iter().position(|layer| layer.rid == packet.rid)?;
        let layer = &mut self.layers[index];
        let frame = match sluice_rtp::read(codec, &packet.payload, packet.marker) {
            Ok(frame) => Some(frame),
            Err(ReadError::Empty) => None,
            Err(ReadError::Truncated) => return None,
        };
        let number = index as u8;
        let now = packet.received;
        let playout = self.timeline.playout(number, Timestamp(packet.timestamp), now);

        layer.totals.packets += 1;
        layer.totals.bytes += packet.payload.len() as u64;
        layer.meter.on_packet(now, packet.payload.len(), Timestamp(packet.timestamp));
        if !layer.active {
            layer.active = true;
            changed = true;
        }
        layer.last_packet = Some(now);
        layer.sibling_frames = 0;
        if let Some(frame) = frame.filter(|f| f.starts_key_frame() && self.spec.kind == MediaKind::Video) {
            layer.totals.key_frames += 1;
            layer.key_frames.on_key_frame();
            if let Some(size) = frame.resolution {
                let (width, height) = (u32::from(size.width), u32::from(size.height));
                changed |= (layer.spec.width, layer.spec.height) != (width, height);
                layer.spec.width = width;
                layer.spec.height = height;
            }
        }
        if frame.is_some_and(|frame| frame.frame_end) {
            for (_, sibling) in self.layers.iter_mut().enumerate().filter(|(other, _)| *other != index) {
                sibling.sibling_frames = sibling.sibling_frames.saturating_add(1);
            }
        }
        self.untold |= changed;
        Some(Arrival { layer: number, frame, playout, changed: self.take_change(now) })
    }

    /// Whether a change is to be told now.
    fn take_change(&mut self, now: Instant) -> bool {
        let tell = self.untold && self.changes.take(now);
        self.untold &= !tell;
        tell
    }

    /// A sender report (RFC 3550 section 6.4.1) ties a layer's time to the others'.
    pub(crate) fn on_sender_report(&mut self, rid: Option<Rid>, wall_clock: SystemTime, timestamp: u32) {
        if let Some(index) = self.layers.iter().position(|layer| layer.rid == rid) {
            self.timeline.on_sender_report(index as u8, wall_clock, Timestamp(timestamp));
        }
    }

    /// Notices layers that stopped; true if that, or another change, is to be told.
    pub(crate) fn notice_silence(&mut self, now: Instant) -> bool {
        for layer in &mut self.layers {
            if layer.active && !layer.is_active(now) {
                layer.active = false;
                self.untold = true;
            }
        }
        self.take_change(now)
    }

    pub(crate) fn status(&self) -> PublicationStatus {
        let mut spec = self.spec.clone();
        spec.layers = self.layers.iter().map(|l| l.spec.clone()).collect();
        PublicationStatus {
            active: self.layers.iter().map(|l| l.active).collect(),
            spec,
            mid: self.mid.map(|mid| mid.to_string()),
            codec: self.codec(),
        }
    }

    pub(crate) fn stats(&self, now: Instant) -> PublicationStats {
        let layers = self.layers.iter().map(|layer| LayerStats {
            rid: layer.spec.rid.clone(),
            packets: layer.totals.packets,
            bytes: layer.totals.bytes,
            lost: layer.totals.lost,
            nacks_sent: layer.totals.nacks,
            key_frame_requests_sent: layer.totals.key_frame_requests,
            key_frames: layer.totals.key_frames,
            bitrate: layer.meter.clone().bitrate(now),
            frame_rate: layer.meter.clone().frame_rate(now) as f32,
            width: layer.spec.width,
            height: layer.spec.height,
        });
        PublicationStats {
            publication: self.spec.id.clone(),
            kind: self.spec.kind,
            codec: self.codec(),
            layers: layers.collect(),
        }
    }
}
