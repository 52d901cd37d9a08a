//! One gapless outgoing stream made from the layers of a publication, or of one publication after another.
//!
//! The receiver must believe in a single encoder that never restarts. So a switch happens only where a decoder can begin; at
//! the seam sequence number, time and picture numbers continue; what was lost stays visible as a gap, so that it is asked
//! for again; and what is left out on purpose closes up, so that it is not.

use std::time::{Duration, Instant};

use sluice_rtp::{Codec, FrameInfo, MediaKind, Timestamp, Vp8Rewrite};

use crate::MAX_LAYERS;
use crate::clock::OutClock;
use crate::marks::Marks;
use crate::picture::LastPicture;
use crate::run::Run;

/// For so long after a switch, late packets of the left layer may fill holes. Shorter would waste retransmissions that are
/// already on their way; longer would send pictures that the receiver has long passed.
pub const LATE: Duration = Duration::from_millis(200);

/// One packet of one layer, as its publication describes it to every subscription.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Which encoding of the publication; below [`MAX_LAYERS`].
    pub layer: u8,
    /// Sequence number of the layer's stream, extended to 64 bits.
    pub seq: u64,
    /// RTP time of the layer's stream.
    pub timestamp: Timestamp,
    /// When the frame was captured, from the publication's [`Timeline`](crate::Timeline).
    pub playout: Instant,
    /// When the packet came in.
    pub arrived: Instant,
    /// What its payload tells.
    pub frame: FrameInfo,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not for this subscription.
    Drop(DropReason),
    /// It goes out with these numbers.
    Forward(Forward),
}

/// Outgoing numbers of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Extended sequence number; the low 16 bits go on the wire.
    pub seq: u64,
    /// RTP time.
    pub timestamp: Timestamp,
    /// VP8 numbers to write; `None` when the payload is right as it stands.
    pub vp8: Option<Vp8Rewrite>,
    /// The first packet after a switch or a start.
    pub seam: bool,
    /// What it does to the number that is left out behind a frame that a switch cut short.
    pub hole: Option<Hole>,
}

/// A number that the receiver misses on purpose: it keeps the half of one frame from joining the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hole {
    /// The number before this packet stays empty.
    Left,
    /// This packet is the end of the frame that was cut, and takes the number: nothing is missing any more.
    Filled,
}

/// Why a packet does not go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The subscription shows another layer.
    OtherLayer,
    /// Its layer is wanted, but cannot be begun at this packet.
    AwaitingKeyFrame,
    /// The subscription is stopped.
    Stopped,
    /// Its number went out already.
    Duplicate,
    /// Too old for its number to be known.
    TooOld,
    /// From before the switch to its layer.
    BeforeSeam,
    /// Above the limit of temporal layers.
    TemporalLayer,
    /// Its layer index is [`MAX_LAYERS`] or more.
    UnknownLayer,
}

/// The layer that was left last: it may still fill its holes.
#[derive(Clone, Debug)]
struct Left {
    run: Run,
    until: Instant,
}

/// Chooses and renumbers the packets of one outgoing stream. Feed it every packet of its publication.
#[derive(Clone, Debug)]
pub struct Switcher {
    codec: Codec,
    target: Option<u8>,
    run: Option<Run>,
    left: Option<Left>,
    /// Highest sequence number seen of each layer: a key frame that comes late is not one to begin with.
    seen: [Option<u64>; MAX_LAYERS],
    /// The number that the next run starts with, unless it skips one.
    next: u64,
    /// The run that ended last was cut inside a frame, so a number before `next` is left out.
    cut: bool,
    /// Numbers that went out: none goes out twice.
    sent: Marks<16>,
    clock: OutClock,
    picture: LastPicture,
    max_temporal: u8,
}

impl Switcher {
    /// A stream that starts with `first_seq`. It stays stopped until [`set_target`](Self::set_target).
    pub fn new(codec: Codec, first_seq: u16) -> Self {
        Switcher {
            codec,
            target: None,
            run: None,
            left: None,
            seen: [None; MAX_LAYERS],
            next: u64::from(first_seq),
            cut: false,
            sent: Marks::new(),
            clock: OutClock::new(codec),
            picture: LastPicture::default(),
            max_temporal: u8::MAX,
        }
    }

    /// Wants a layer, or with `None` stops at once. The present layer goes on until the wanted one can begin.
    pub fn set_target(&mut self, target: Option<u8>) {
        self.target = target;
        if target.is_none() {
            self.close();
        }
    }

    /// The layer that is wanted.
    pub fn target(&self) -> Option<u8> {
        self.target
    }

    /// The layer that goes out now.
    pub fn current(&self) -> Option<u8> {
        self.run.as_ref().map(Run::layer)
    }

    /// The layer whose next key frame is waited for, if any. Audio waits for none.
    pub fn wants_key_frame(&self) -> Option<u8> {
        self.target.filter(|target| self.codec.kind() == MediaKind::Video && self.current() != Some(*target))
    }

    /// Goes on with another publication of the same codec: the receiver sees one stream. The target stays.
    pub fn new_source(&mut self) {
        self.close();
        self.left = None;
        self.seen = [None; MAX_LAYERS];
    }

    /// The source changed its codec to another of the same kind of media: the stream goes on at the same clock rate.
    pub fn set_codec(&mut self, codec: Codec) {
        if self.codec != codec {
            self.codec = codec;
            self.new_source();
        }
    }

    /// Leaves out temporal layers above `limit` (VP8). Lowering takes effect with the next frame, raising at the next switch
    /// point.
    pub fn set_max_temporal(&mut self, limit: u8) {
        self.max_temporal = limit;
    }

    /// Decides about one packet and gives it its outgoing numbers.
    pub fn on_packet(&mut self, packet: &Packet) -> Verdict {
        let Some(seen) = self.seen.get_mut(usize::from(packet.layer)) else {
            return Verdict::Drop(DropReason::UnknownLayer);
        };
        let in_order = seen.is_none_or(|seen| packet.seq > seen);
        *seen = Some(seen.map_or(packet.seq, |seen| seen.max(packet.seq)));
        let Some(target) = self.target else {
            return Verdict::Drop(DropReason::Stopped);
        };
        let current = self.current();
        if current == Some(packet.layer) {
            return self.go_on(packet);
        }
        if packet.layer == target && in_order && packet.frame.starts_key_frame() {
            return self.begin(packet);
        }
        if let Some(forward) = self.fill(packet) {
            return Verdict::Forward(forward);
        }
        let awaited = packet.layer == target;
        Verdict::Drop(if awaited { DropReason::AwaitingKeyFrame } else { DropReason::OtherLayer })
    }

    /// A packet of `layer` that carries nothing (padding, a probe) and goes to nobody: later ones close up, so that no receiver
    /// asks for it.
    pub fn on_padding(&mut self, layer: u8, seq: u64) {
        if let Some(seen) = self.seen.get_mut(usize::from(layer)) {
            *seen = Some(seen.map_or(seq, |seen| seen.max(seq)));
        }
        if let Some(run) = self.run.as_mut().filter(|run| run.layer() == layer) {
            run.leave_out(seq);
        }
    }

    /// A packet of the layer that goes out.
    fn go_on(&mut self, packet: &Packet) -> Verdict {
        let Some(run) = &mut self.run else {
            return Verdict::Drop(DropReason::Stopped);
        };
        let placed = match run.place(packet, self.max_temporal, &mut self.picture) {
            Ok(placed) => placed,
            Err(reason) => return Verdict::Drop(reason),
        };
        if !self.sent.mark(placed.seq) {
            return Verdict::Drop(DropReason::Duplicate);
        }
        self.clock.follow(packet.timestamp);
        Verdict::Forward(Forward {
            seq: placed.seq,
            timestamp: placed.timestamp,
            vp8: placed.vp8,
            seam: false,
            hole: None,
        })
    }

    /// The first packet of a key frame of the wanted layer: the seam.
    fn begin(&mut self, packet: &Packet) -> Verdict {
        let until = packet.arrived.checked_add(LATE).unwrap_or(packet.arrived);
        self.left = self.close().map(|run| Left { run, until });
        let seq = self.next;
        let shift = self.clock.seam(packet.timestamp, packet.playout);
        let mut run = Run::begin(packet, seq, shift, self.max_temporal, &self.picture);
        let vp8 = packet.frame.vp8.and_then(|vp8| run.first_picture(&vp8, &mut self.picture));
        self.run = Some(run);
        self.sent.mark(seq);
        let hole = std::mem::take(&mut self.cut).then_some(Hole::Left);
        Verdict::Forward(Forward { seq, timestamp: packet.timestamp.advance(shift), vp8, seam: true, hole })
    }

    /// Ends the present run. A frame that was cut short costs one number, so that its half never joins the next frame.
    fn close(&mut self) -> Option<Run> {
        let run = self.run.take()?;
        self.cut = run.is_cut();
        self.next = run.newest_out().wrapping_add(1 + u64::from(self.cut));
        Some(run)
    }

    /// A late packet of the layer that was left: it may fill a hole that the receiver knows of.
    fn fill(&mut self, packet: &Packet) -> Option<Forward> {
        let left = self.left.as_mut()?;
        if packet.arrived > left.until {
            self.left = None;
            return None;
        }
        if left.run.layer() != packet.layer || !left.run.may_fill(packet) {
            return None;
        }
        let hole = left.run.is_end_of_cut(packet).then_some(Hole::Filled);
        let placed = left.run.place(packet, self.max_temporal, &mut LastPicture::default()).ok()?;
        if !self.sent.mark(placed.seq) {
            return None;
        }
        Some(Forward { seq: placed.seq, timestamp: placed.timestamp, vp8: placed.vp8, seam: false, hole })
    }
}
