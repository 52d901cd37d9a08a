//! The oracle: does an outgoing stream look like one encoder that never stopped?
//!
//! Feed it what a receiver gets, in the order of arrival; loss and reordering on the way are allowed, faults of the sender are
//! not. It is for tests and for checking live streams: unlike the rest of this crate it allocates.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use sluice_rtp::{Codec, FrameInfo, PictureId, Seq, SeqUnwrapper, Timestamp, read};

/// Packets wait for late ones this long (in packets) before they are judged in order. Longer finds more, and needs memory.
const REORDERING: usize = 1_024;
/// Numbers are remembered this far back, to find one that carries two packets.
const MEMORY: usize = 8 * REORDERING;
/// Faults kept in detail. One broken seam should not fill the memory of a long run.
const KEPT: usize = 100;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Its sequence number carried another packet before.
    TwoPackets,
    /// Its time is earlier than that of the packet before it.
    TimeWentBack,
    /// It follows directly on a packet of another frame that had not ended, or begins in the middle of a frame.
    CutFrame,
    /// It belongs to the frame before it, which had ended; or another frame begins at the same time.
    TwoFramesAtOneTime,
    /// Its VP8 PictureID does not continue the one before.
    PictureId,
    /// Its VP8 TL0PICIDX does not continue the one before.
    Tl0PicIdx,
    /// Its VP8 KEYIDX does not continue the one before.
    KeyIdx,
    /// The stream's first packet does not start a key frame.
    NoKeyFrame,
    /// Its payload cannot be read.
    Unreadable,
}

/// What the oracle saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Packets, each counted once.
    pub packets: u64,
    /// Frames of which at least one packet came.
    pub frames: u64,
    /// Key frames whose first packet came.
    pub key_frames: u64,
    /// Sequence numbers between the first and the last that never came.
    pub missing: u64,
    /// Of the missing, those that stand alone between a frame cut short and the start of a key frame: what a switch leaves out
    /// on purpose looks like that. A loss may look so too; count what was left out at its source to tell.
    pub missing_at_seams: u64,
    /// Faults altogether.
    pub fault_count: u64,
    /// The first faults, with the extended sequence number at which each was found.
    pub faults: Vec<(u64, Fault)>,
}

impl Report {
    fn fault(&mut self, seq: u64, fault: Fault) {
        self.fault_count += 1;
        if self.faults.len() < KEPT {
            self.faults.push((seq, fault));
        }
    }
}

/// Judges one outgoing stream.
#[derive(Clone, Debug)]
pub struct Conformance {
    codec: Codec,
    numbers: SeqUnwrapper,
    /// What each remembered number carried.
    known: BTreeMap<u64, u64>,
    waiting: BTreeMap<u64, Seen>,
    last: Option<(u64, Seen)>,
    report: Report,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    timestamp: Timestamp,
    marker: bool,
    /// `None`: padding, which belongs to no frame.
    frame: Option<FrameInfo>,
}

impl Conformance {
    /// An oracle for a stream of `codec`.
    pub fn new(codec: Codec) -> Self {
        Conformance {
            codec,
            numbers: SeqUnwrapper::default(),
            known: BTreeMap::new(),
            waiting: BTreeMap::new(),
            last: None,
            report: Report::default(),
        }
    }

    /// Takes in one packet as it arrives; a retransmission, once restored to its own number, counts like any other.
    pub fn observe(&mut self, seq: u16, timestamp: Timestamp, marker: bool, payload: &[u8]) {
        let seq = self.numbers.unwrap(Seq(seq));
        let mut hasher = DefaultHasher::new();
        (timestamp.0, marker, payload).hash(&mut hasher);
        let content = hasher.finish();
        match self.known.insert(seq, content) {
            Some(before) if before != content => return self.report.fault(seq, Fault::TwoPackets),
            Some(_) => return,
            None => {}
        }
        if self.known.len() > MEMORY {
            self.known.pop_first();
        }
        self.report.packets += 1;
        let frame = if payload.is_empty() { None } else { self.read(seq, payload, marker) };
        if self.last.is_some_and(|(last, _)| seq < last) {
            return; // far too late to judge its neighbours; it filled a gap that was counted
        }
        self.waiting.insert(seq, Seen { timestamp, marker, frame });
        if self.waiting.len() > REORDERING
            && let Some((seq, seen)) = self.waiting.pop_first()
        {
            self.judge(seq, seen);
        }
    }

    fn read(&mut self, seq: u64, payload: &[u8], marker: bool) -> Option<FrameInfo> {
        let frame = read(self.codec, payload, marker);
        if frame.is_err() {
            self.report.fault(seq, Fault::Unreadable);
        }
        frame.ok()
    }

    /// Judges what still waits and tells what it saw.
    pub fn finish(mut self) -> Report {
        while let Some((seq, seen)) = self.waiting.pop_first() {
            self.judge(seq, seen);
        }
        self.report
    }

    /// Packets come here in the order of their numbers.
    fn judge(&mut self, seq: u64, seen: Seen) {
        let last = self.last.replace((seq, seen));
        let Some((last_seq, before)) = last else {
            self.report.frames += 1;
            self.count_key_frame(&seen);
            if !seen.frame.is_some_and(|frame| frame.starts_key_frame()) {
                self.report.fault(seq, Fault::NoKeyFrame);
            }
            return;
        };
        let lost = seq - last_seq - 1;
        self.report.missing += lost;
        let (Some(frame), Some(frame_before)) = (seen.frame, before.frame) else {
            // Padding stands between frames; compare what follows with what came before it.
            if seen.frame.is_none() {
                self.last = Some((seq, Seen { timestamp: seen.timestamp, ..before }));
            }
            return;
        };
        let step = seen.timestamp.distance(before.timestamp);
        if step < 0 {
            self.report.fault(seq, Fault::TimeWentBack);
        }
        if step == 0 {
            self.same_frame(seq, lost, &frame, &frame_before, before.marker);
        } else {
            self.report.frames += 1;
            let seam = lost == 1 && !frame_before.frame_end && frame.starts_key_frame();
            self.report.missing_at_seams += u64::from(seam);
            self.next_frame(seq, lost, &frame, &frame_before);
        }
        self.count_key_frame(&seen);
    }

    fn count_key_frame(&mut self, seen: &Seen) {
        self.report.key_frames += u64::from(seen.frame.is_some_and(|frame| frame.starts_key_frame()));
    }

    fn same_frame(&mut self, seq: u64, lost: u64, frame: &FrameInfo, before: &FrameInfo, ended: bool) {
        let ended = ended || (self.codec == Codec::Opus && before.frame_end);
        let begins = self.codec == Codec::Vp8 && frame.frame_start;
        if ended || (begins && lost == 0) {
            self.report.fault(seq, Fault::TwoFramesAtOneTime);
        }
        if let (Some(vp8), Some(before)) = (&frame.vp8, &before.vp8) {
            if vp8.picture_id != before.picture_id {
                self.report.fault(seq, Fault::PictureId);
            }
            if vp8.tl0_pic_idx != before.tl0_pic_idx {
                self.report.fault(seq, Fault::Tl0PicIdx);
            }
            if vp8.key_idx != before.key_idx {
                self.report.fault(seq, Fault::KeyIdx);
            }
        }
    }

    fn next_frame(&mut self, seq: u64, lost: u64, frame: &FrameInfo, before: &FrameInfo) {
        let headless = self.codec == Codec::Vp8 && !frame.frame_start;
        if lost == 0 && (!before.frame_end || headless) {
            self.report.fault(seq, Fault::CutFrame);
        }
        let (Some(vp8), Some(vp8_before)) = (&frame.vp8, &before.vp8) else {
            return;
        };
        // A lost frame takes at least one number with it, so the picture numbers cannot run ahead of the packets.
        if let (Some(id), Some(id_before)) = (vp8.picture_id, vp8_before.picture_id) {
            let steps = picture_steps(id, id_before);
            if steps == 0 || steps > lost + 1 {
                self.report.fault(seq, Fault::PictureId);
            }
        }
        if let (Some(now), Some(then), Some(tid)) = (vp8.tl0_pic_idx, vp8_before.tl0_pic_idx, vp8.tid) {
            let steps = u64::from(now.wrapping_sub(then));
            let least = u64::from(tid == 0);
            if steps > lost + least || steps < least {
                self.report.fault(seq, Fault::Tl0PicIdx);
            }
        }
        if let (Some(now), Some(then)) = (vp8.key_idx, vp8_before.key_idx) {
            let steps = u64::from(now.wrapping_sub(then) & 0x1f);
            let least = u64::from(frame.key_frame);
            if steps > lost + least || steps < least {
                self.report.fault(seq, Fault::KeyIdx);
            }
        }
    }
}

fn picture_steps(now: PictureId, before: PictureId) -> u64 {
    u64::from(now.value.wrapping_sub(before.value) & now.mask().min(before.mask()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A VP8 packet: first and last say where it stands in its frame.
    #[derive(Clone, Copy)]
    struct Vp8 {
        seq: u16,
        time: u32,
        id: u16,
        tl0: u8,
        key: bool,
        first: bool,
        last: bool,
    }

    impl Vp8 {
        fn payload(&self) -> Vec<u8> {
            let [high, low] = self.id.to_be_bytes();
            let start = if self.first { 0x90 } else { 0x80 };
            vec![start, 0xe0, 0x80 | high, low, self.tl0, 0, u8::from(!self.key), 0, 0]
        }
    }

    /// Five frames of two packets each, the first a key frame.
    fn good() -> Vec<Vp8> {
        (0u16..10)
            .map(|n| Vp8 {
                seq: 65_533u16.wrapping_add(n),
                time: u32::from(n / 2) * 3_000,
                id: 0x7ffe_u16.wrapping_add(n / 2) & 0x7fff,
                tl0: 254u8.wrapping_add((n / 2) as u8),
                key: n < 2,
                first: n % 2 == 0,
                last: n % 2 == 1,
            })
            .collect()
    }

    fn judge(packets: impl IntoIterator<Item = Vp8>) -> Report {
        let mut oracle = Conformance::new(Codec::Vp8);
        for packet in packets {
            oracle.observe(packet.seq, Timestamp(packet.time), packet.last, &packet.payload());
        }
        oracle.finish()
    }

    fn kinds(packets: impl IntoIterator<Item = Vp8>) -> Vec<Fault> {
        judge(packets).faults.into_iter().map(|(_, fault)| fault).collect()
    }

    #[test]
    fn a_good_stream_has_no_fault_also_with_loss_reordering_and_repeats() {
        let report = judge(good());
        assert_eq!((report.packets, report.frames, report.key_frames, report.fault_count), (10, 5, 1, 0));
        let mut packets = good();
        packets.swap(4, 7);
        packets.push(packets[3]);
        packets.remove(5);
        let report = judge(packets);
        assert_eq!((report.packets, report.missing, report.faults), (9, 1, vec![]));
    }

    #[test]
    fn each_fault_is_found() {
        let broken = |change: fn(&mut Vec<Vp8>)| {
            let mut packets = good();
            change(&mut packets);
            kinds(packets)
        };
        assert_eq!(broken(|p| p.push(Vp8 { time: 1, ..p[4] })), [Fault::TwoPackets]);
        assert_eq!(
            broken(|p| p[4..].iter_mut().for_each(|p| p.time = p.time.wrapping_sub(9_000))),
            [Fault::TimeWentBack]
        );
        assert_eq!(broken(|p| p[3].last = false), [Fault::CutFrame]);
        assert_eq!(broken(|p| p[4].first = false), [Fault::CutFrame]);
        assert_eq!(broken(|p| p[4..].iter_mut().for_each(|p| p.time -= 3_000))[0], Fault::TwoFramesAtOneTime);
        assert_eq!(broken(|p| p[4..].iter_mut().for_each(|p| p.id += 1)), [Fault::PictureId]);
        assert_eq!(broken(|p| p[4..].iter_mut().for_each(|p| p.tl0 += 1)), [Fault::Tl0PicIdx]);
        assert_eq!(broken(|p| p[0].key = false), [Fault::NoKeyFrame]);
    }

    #[test]
    fn a_number_that_was_skipped_separates_a_cut_frame() {
        let mut packets = good();
        packets.remove(3);
        assert_eq!(kinds(packets), []);
    }

    #[test]
    fn a_long_stream_is_judged_in_bounded_memory() {
        let mut oracle = Conformance::new(Codec::Opus);
        for n in 0..100_000u32 {
            oracle.observe((n & 0xffff) as u16, Timestamp(n * 960), false, &n.to_be_bytes());
            assert!(oracle.known.len() <= MEMORY + 1 && oracle.waiting.len() <= REORDERING + 1);
        }
        let report = oracle.finish();
        assert_eq!(
            (report.packets, report.frames, report.missing, report.fault_count),
            (100_000, 100_000, 0, 0)
        );
    }
}
