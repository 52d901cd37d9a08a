//! A run: one layer going out from one seam to the next, with the shifts that hold for it.

use sluice_rtp::{Timestamp, Vp8Descriptor, Vp8Rewrite};

use crate::picture::{LastPicture, Pictures};
use crate::renumber::Renumber;
use crate::switcher::{DropReason, Packet};

#[derive(Clone, Debug)]
pub(crate) struct Run {
    layer: u8,
    /// The sequence number at the seam; earlier packets belong to nobody.
    first: u64,
    /// The highest sequence number of the layer so far, left out or not.
    highest: u64,
    newest: Newest,
    numbers: Renumber<16>,
    time_shift: u32,
    pictures: Option<Pictures>,
    /// Temporal layers above this one are left out at present.
    temporal: u8,
    /// The newest packet was left out, with the frame of this time.
    omitted: Option<Timestamp>,
}

/// The newest packet of a run that went out.
#[derive(Clone, Copy, Debug)]
struct Newest {
    seq: u64,
    out: u64,
    ends_frame: bool,
}

/// Where a packet comes to stand in the outgoing stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) seq: u64,
    pub(crate) timestamp: Timestamp,
    pub(crate) vp8: Option<Vp8Rewrite>,
}

impl Run {
    /// Starts with `packet`, which goes out as number `seq`.
    pub(crate) fn begin(packet: &Packet, seq: u64, time_shift: u32, temporal: u8, last: &LastPicture) -> Run {
        Run {
            layer: packet.layer,
            first: packet.seq,
            highest: packet.seq,
            newest: Newest { seq: packet.seq, out: seq, ends_frame: packet.frame.frame_end },
            numbers: Renumber::new(packet.seq, seq),
            time_shift,
            pictures: packet.frame.vp8.map(|vp8| Pictures::new(&vp8, last)),
            temporal,
            omitted: None,
        }
    }

    pub(crate) fn layer(&self) -> u8 {
        self.layer
    }

    /// The newest outgoing number of this run.
    pub(crate) fn newest_out(&self) -> u64 {
        self.newest.out
    }

    /// Whether the run would end inside a frame.
    pub(crate) fn is_cut(&self) -> bool {
        !self.newest.ends_frame
    }

    /// Whether a late packet belongs into a hole of this run, which is over. Behind a cut frame its very end may follow, on the
    /// number that was skipped: then the frame is whole.
    pub(crate) fn may_fill(&self, packet: &Packet) -> bool {
        packet.seq < self.newest.seq || self.is_end_of_cut(packet)
    }

    /// Whether a packet is all that the cut frame lacks behind its newest packet.
    pub(crate) fn is_end_of_cut(&self, packet: &Packet) -> bool {
        self.is_cut() && packet.frame.frame_end && packet.seq == self.newest.seq.wrapping_add(1)
    }

    /// The picture numbers of the packet that the run began with.
    pub(crate) fn first_picture(
        &mut self,
        vp8: &Vp8Descriptor,
        last: &mut LastPicture,
    ) -> Option<Vp8Rewrite> {
        self.pictures.as_mut()?.forward(vp8, last)?
    }

    /// Gives a packet its outgoing numbers, or the reason why it has none.
    pub(crate) fn place(
        &mut self,
        packet: &Packet,
        max_temporal: u8,
        last: &mut LastPicture,
    ) -> Result<Placed, DropReason> {
        if packet.seq < self.first {
            return Err(DropReason::BeforeSeam);
        }
        let newest = packet.seq > self.highest;
        if let Some(vp8) = &packet.frame.vp8
            && self.leaves_out(packet, vp8, max_temporal)
        {
            self.omit(packet, vp8, newest);
            return Err(DropReason::TemporalLayer);
        }
        let seq = self.numbers.out(packet.seq).ok_or(DropReason::TooOld)?;
        let vp8 = match (&mut self.pictures, &packet.frame.vp8) {
            (Some(pictures), Some(vp8)) => pictures.forward(vp8, last).ok_or(DropReason::TooOld)?,
            _ => None,
        };
        if newest {
            self.highest = packet.seq;
            self.omitted = None;
        }
        if packet.seq > self.newest.seq {
            self.newest = Newest { seq: packet.seq, out: seq, ends_frame: packet.frame.frame_end };
        }
        let timestamp = packet.timestamp.advance(self.time_shift);
        Ok(Placed { seq, timestamp, vp8 })
    }

    /// Closes up the number of a packet that belongs to no frame. One that comes late leaves the hole that it is.
    pub(crate) fn leave_out(&mut self, seq: u64) {
        if seq > self.highest {
            self.numbers.omit(seq);
            self.highest = seq;
        }
    }

    /// One decision per picture, kept for its later packets; without picture numbers, by the layer alone.
    fn leaves_out(&mut self, packet: &Packet, vp8: &Vp8Descriptor, max_temporal: u8) -> bool {
        let Some(tid) = vp8.tid else {
            return false;
        };
        let pictures = self.pictures.as_ref();
        let is_new = pictures.and_then(|pictures| pictures.is_new(vp8)).unwrap_or(packet.frame.frame_start);
        if !is_new {
            let omitted = pictures.and_then(|pictures| pictures.is_omitted(vp8)).unwrap_or(false);
            return omitted || tid > self.temporal;
        }
        if packet.frame.key_frame || max_temporal < self.temporal {
            self.temporal = max_temporal;
        } else if tid <= max_temporal && tid == self.temporal.saturating_add(1) && packet.frame.switch_point {
            self.temporal = tid;
        }
        tid > self.temporal
    }

    fn omit(&mut self, packet: &Packet, vp8: &Vp8Descriptor, newest: bool) {
        if let Some(pictures) = &mut self.pictures {
            pictures.omit(vp8);
        }
        if !newest {
            return; // its number is already a hole that the receiver knows of
        }
        // What was lost between two packets of a frame that is left out belonged to that frame: close it up as well.
        let same_frame = self.omitted == Some(packet.timestamp);
        let from = if same_frame { self.highest.wrapping_add(1) } else { packet.seq };
        let from = from.max(packet.seq.saturating_sub(256));
        for number in from..=packet.seq {
            self.numbers.omit(number);
        }
        self.highest = packet.seq;
        self.omitted = Some(packet.timestamp);
    }
}
