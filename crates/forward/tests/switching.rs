//! Stories of a camera with three layers, a network, and one viewer who keeps changing their mind.
//!
//! The viewer's stream is judged by the conformance oracle, and by a viewer who puts frames together and "decodes" them: each
//! payload ends with the layer, the frame, its part and the frame that it refers to.

#![allow(clippy::expect_used, reason = "a panic in a test is its report")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;
use sluice_forward::conformance::{Conformance, Report};
use sluice_forward::{DropReason, Forward, Hole, Packet, Switcher, Timeline, Verdict};
use sluice_rtp::{Codec, FrameInfo, Timestamp, read};

const FRAME: Duration = Duration::from_nanos(33_333_333);

/// A small generator of repeatable chance.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What a payload tells the viewer beyond VP8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    layer: u8,
    frame: u32,
    index: u8,
    count: u8,
    /// The frame that this one needs; itself for a key frame.
    reference: u32,
    capture: u32,
}

impl Part {
    const BYTES: usize = 15;

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.layer, self.index, self.count];
        for number in [self.frame, self.reference, self.capture] {
            bytes.extend(number.to_be_bytes());
        }
        bytes
    }

    fn read(payload: &[u8]) -> Part {
        let tail = &payload[payload.len() - Self::BYTES..];
        let number = |at: usize| u32::from_be_bytes(tail[at..at + 4].try_into().expect("four bytes"));
        Part {
            layer: tail[0],
            index: tail[1],
            count: tail[2],
            frame: number(3),
            reference: number(7),
            capture: number(11),
        }
    }
}

/// One encoder of the camera.
struct Encoder {
    layer: u8,
    seq: u64,
    /// RTP time of the camera's first picture.
    origin: u32,
    picture_id: u16,
    tl0: u8,
    key_idx: u8,
    frame: u32,
    /// Since the last key frame.
    phase: usize,
    last_of: [u32; 3],
    key_wanted: bool,
    temporal_layers: bool,
}

/// A packet on its way from the camera to the node.
#[derive(Clone)]
struct Sent {
    layer: u8,
    seq: u64,
    timestamp: Timestamp,
    marker: bool,
    payload: Vec<u8>,
    at: Duration,
}

impl Encoder {
    fn new(layer: u8, chance: &mut Chance, temporal_layers: bool) -> Self {
        Encoder {
            layer,
            seq: 65_536 + chance.below(65_536),
            origin: chance.next() as u32,
            picture_id: chance.below(0x8000) as u16,
            tl0: chance.next() as u8,
            key_idx: chance.below(32) as u8,
            frame: 0,
            phase: 0,
            last_of: [0; 3],
            key_wanted: true,
            temporal_layers,
        }
    }

    fn timestamp(&self, at: Duration) -> Timestamp {
        Timestamp(self.origin).advance((at.as_nanos() * 90_000 / 1_000_000_000) as u32)
    }

    /// One frame of a few packets. Three temporal layers go 0 2 1 2.
    fn encode(&mut self, at: Duration, chance: &mut Chance) -> Vec<Sent> {
        self.frame += 1;
        let key = std::mem::take(&mut self.key_wanted);
        self.phase = if key { 0 } else { self.phase + 1 };
        let tid = if self.temporal_layers { [0, 2, 1, 2][self.phase % 4] } else { 0 };
        // Layer 1 needs layer 0, layer 2 the newest of the lower ones, layer 0 itself.
        let reference = match tid {
            _ if key => self.frame,
            0 => self.last_of[0],
            1 => self.last_of[0],
            _ => self.last_of[0].max(self.last_of[1]),
        };
        if key {
            self.last_of = [self.frame; 3];
        }
        self.last_of[tid] = self.frame;
        // The first frames of layers 1 and 2 after a layer-0 frame refer to it alone: a receiver may step up there.
        let sync = tid > 0 && reference == self.last_of[0];
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        self.tl0 = self.tl0.wrapping_add(u8::from(tid == 0));
        self.key_idx = (self.key_idx + u8::from(key)) & 0x1f;

        let count = 1 + chance.below(4) as u8;
        (0..count)
            .map(|index| {
                self.seq += 1;
                let [high, low] = self.picture_id.to_be_bytes();
                let start = if index == 0 { 0x90 } else { 0x80 };
                let tid_byte = (tid as u8) << 6 | u8::from(sync) << 5 | self.key_idx;
                let mut payload = vec![start, 0xf0, 0x80 | high, low, self.tl0, tid_byte, u8::from(!key)];
                let part = Part {
                    layer: self.layer,
                    frame: self.frame,
                    index,
                    count,
                    reference,
                    capture: at.as_micros() as u32,
                };
                payload.extend(part.bytes());
                // Higher layers take longer to encode and to pace.
                let sent = at + Duration::from_micros(1_000 * u64::from(self.layer) + 150 * u64::from(index));
                Sent {
                    layer: self.layer,
                    seq: self.seq,
                    timestamp: self.timestamp(at),
                    marker: index + 1 == count,
                    payload,
                    at: sent,
                }
            })
            .collect()
    }
}

/// How bad the way to the node is.
#[derive(Clone, Copy, Debug)]
struct Network {
    loss_percent: u64,
    /// Share of lost packets that a retransmission brings after 60 to 180 ms.
    repaired_percent: u64,
    jitter: Duration,
}

const PERFECT: Network = Network { loss_percent: 0, repaired_percent: 0, jitter: Duration::ZERO };

/// The camera, the node's part and the viewer.
struct Story {
    chance: Chance,
    start: Instant,
    wall: SystemTime,
    encoders: Vec<Encoder>,
    timeline: Timeline,
    switcher: Switcher,
    network: Network,
    reports: bool,
    frames: u32,
    in_flight: Vec<Sent>,
    oracle: Conformance,
    viewer: Viewer,
    seams: u32,
}

impl Story {
    fn new(seed: u64, network: Network, reports: bool, temporal_layers: bool) -> Self {
        let mut chance = Chance(seed | 1);
        let encoders = (0..3).map(|layer| Encoder::new(layer, &mut chance, temporal_layers)).collect();
        let first_seq = chance.next() as u16;
        Story {
            chance,
            start: Instant::now() + Duration::from_secs(1_000),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000),
            encoders,
            timeline: Timeline::new(90_000),
            switcher: Switcher::new(Codec::Vp8, first_seq),
            network,
            reports,
            frames: 0,
            in_flight: Vec::new(),
            oracle: Conformance::new(Codec::Vp8),
            viewer: Viewer::default(),
            seams: 0,
        }
    }

    /// Lets the camera take `frames` pictures; what arrives meanwhile reaches the node.
    fn run(&mut self, frames: u32) {
        for _ in 0..frames {
            let at = FRAME * self.frames;
            if let Some(layer) = self.switcher.wants_key_frame() {
                self.encoders[usize::from(layer)].key_wanted = true;
            }
            for index in 0..self.encoders.len() {
                if self.reports && self.frames % 45 == index as u32 * 9 {
                    let rtp = self.encoders[index].timestamp(at);
                    self.timeline.on_sender_report(index as u8, self.wall + at, rtp);
                }
                for sent in self.encoders[index].encode(at, &mut self.chance) {
                    self.send(sent);
                }
            }
            self.frames += 1;
            self.deliver(at + FRAME);
        }
    }

    fn send(&mut self, mut packet: Sent) {
        let jitter = self.network.jitter.as_micros() as u64;
        packet.at += Duration::from_micros(20_000 + self.chance.below(jitter + 1));
        if self.chance.percent(self.network.loss_percent) {
            if !self.chance.percent(self.network.repaired_percent) {
                return;
            }
            packet.at += Duration::from_millis(60 + self.chance.below(120));
        }
        if self.chance.percent(self.network.loss_percent / 2) {
            self.in_flight.push(Sent { at: packet.at + Duration::from_millis(5), ..packet.clone() });
        }
        self.in_flight.push(packet);
    }

    fn deliver(&mut self, until: Duration) {
        self.in_flight.sort_by_key(|packet| packet.at);
        let arrived = self.in_flight.partition_point(|packet| packet.at < until);
        let packets: Vec<Sent> = self.in_flight.drain(..arrived).collect();
        for packet in packets {
            let (verdict, frame) = self.switch(&packet);
            let Verdict::Forward(Forward { seq, timestamp, vp8, seam, .. }) = verdict else {
                continue;
            };
            self.seams += u32::from(seam);
            let mut payload = packet.payload;
            if let (Some(rewrite), Some(place)) = (vp8, frame.vp8) {
                rewrite.apply(&place, &mut payload);
            }
            self.oracle.observe(seq as u16, timestamp, packet.marker, &payload);
            self.viewer.receive(seq, timestamp, packet.marker, &payload);
        }
    }

    fn switch(&mut self, packet: &Sent) -> (Verdict, FrameInfo) {
        let frame = read(Codec::Vp8, &packet.payload, packet.marker).expect("the camera sends VP8");
        let arrived = self.start + packet.at;
        let playout = self.timeline.playout(packet.layer, packet.timestamp, arrived);
        let described = Packet {
            layer: packet.layer,
            seq: packet.seq,
            timestamp: packet.timestamp,
            playout,
            arrived,
            frame,
        };
        (self.switcher.on_packet(&described), frame)
    }

    fn end(mut self) -> (Report, Viewer, u32) {
        self.deliver(Duration::from_secs(1_000_000));
        (self.oracle.finish(), self.viewer, self.seams)
    }
}

/// Puts frames together by number and marker alone, as a receiver does.
#[derive(Default)]
struct Viewer {
    packets: BTreeMap<u64, (Timestamp, bool, Part, bool)>,
}

impl Viewer {
    fn receive(&mut self, seq: u64, timestamp: Timestamp, marker: bool, payload: &[u8]) {
        let begins = payload[0] & 0x10 != 0;
        self.packets.entry(seq).or_insert((timestamp, marker, Part::read(payload), begins));
    }

    /// Every run of numbers from a frame's start to a marker, at one time.
    fn whole_frames(&self) -> Vec<(Timestamp, Vec<Part>)> {
        let mut frames = Vec::new();
        let mut open: Option<(u64, Timestamp, Vec<Part>)> = None;
        for (seq, (timestamp, marker, part, begins)) in &self.packets {
            if *begins {
                open = Some((*seq, *timestamp, vec![*part]));
            } else if let Some((last, time, parts)) = &mut open
                && *last + 1 == *seq
                && *time == *timestamp
            {
                *last = *seq;
                parts.push(*part);
            } else {
                open = None;
            }
            if *marker && let Some((_, time, parts)) = open.take() {
                frames.push((time, parts));
            }
        }
        frames
    }

    /// Frames that look whole must be whole.
    fn check_frames(&self) -> Vec<(Timestamp, Part)> {
        let frames = self.whole_frames();
        for (_, parts) in &frames {
            let first = parts[0];
            let expected: Vec<Part> = (0..first.count).map(|index| Part { index, ..first }).collect();
            assert_eq!(*parts, expected, "halves were glued together");
        }
        frames.into_iter().map(|(time, parts)| (time, parts[0])).collect()
    }

    /// Every frame's reference was shown before it, in the same run of its layer.
    fn check_decodable(&self) {
        let mut shown: Vec<u32> = Vec::new();
        let mut layer = None;
        for (_, part) in self.check_frames() {
            if layer != Some(part.layer) || part.reference == part.frame {
                assert_eq!(part.reference, part.frame, "{part:?} begins without a key frame");
                shown.clear();
                layer = Some(part.layer);
            }
            assert!(
                part.reference == part.frame || shown.contains(&part.reference),
                "{part:?} lacks its reference"
            );
            shown.push(part.frame);
        }
    }

    /// How far the stream's clock strays from the camera's, in milliseconds.
    fn largest_clock_error(&self) -> f64 {
        let frames = self.check_frames();
        let (start, first) = frames[0];
        let errors = frames.iter().map(|(time, part)| {
            let shown = f64::from(time.distance(start)) / 90.0;
            let taken = f64::from(part.capture.wrapping_sub(first.capture).cast_signed()) / 1_000.0;
            (shown - taken).abs()
        });
        errors.fold(0.0, f64::max)
    }

    fn layers_shown(&self) -> Vec<u8> {
        let mut layers: Vec<u8> = self.check_frames().iter().map(|(_, part)| part.layer).collect();
        layers.dedup();
        layers
    }
}

#[test]
fn a_viewer_who_never_switches_gets_the_source_unchanged_but_for_its_numbers() {
    let mut story = Story::new(1, PERFECT, true, false);
    story.switcher.set_target(Some(1));
    assert_eq!(story.switcher.wants_key_frame(), Some(1));
    story.run(300);
    assert_eq!((story.switcher.current(), story.switcher.wants_key_frame()), (Some(1), None));
    let (report, viewer, seams) = story.end();
    assert_eq!((report.faults, report.missing, seams), (vec![], 0, 1));
    viewer.check_decodable();
    assert!(viewer.largest_clock_error() < 0.1);
}

#[test]
fn fifty_switches_on_a_perfect_network_lose_nothing_and_keep_time() {
    let mut story = Story::new(2, PERFECT, true, false);
    for switch in 0..60u8 {
        story.switcher.set_target(Some([0, 2, 1, 0, 1, 2][usize::from(switch % 6)]));
        story.run(20);
    }
    let (report, viewer, seams) = story.end();
    assert_eq!((report.faults, report.missing), (vec![], 0));
    assert!(seams >= 50, "{seams}");
    viewer.check_decodable();
    assert_eq!(viewer.layers_shown().len() as u32, seams);
    let error = viewer.largest_clock_error();
    assert!(error <= 18.0, "the clock strays by {error} ms");
}

#[test]
fn the_present_layer_goes_on_while_the_wanted_one_is_waited_for() {
    let mut story = Story::new(3, PERFECT, false, false);
    story.switcher.set_target(Some(0));
    story.run(30);
    // The camera has switched its top layer off: no key frame will come.
    story.encoders.truncate(2);
    story.switcher.set_target(Some(2));
    for _ in 0..90 {
        assert_eq!(story.switcher.wants_key_frame(), Some(2));
        let at = FRAME * story.frames;
        let sent = story.encoders[0].encode(at, &mut story.chance);
        sent.into_iter().for_each(|packet| story.send(packet));
        story.frames += 1;
        story.deliver(at + FRAME);
    }
    assert_eq!(story.switcher.current(), Some(0));
    let (report, viewer, _) = story.end();
    assert_eq!((report.frames, report.fault_count), (120, 0));
    assert_eq!(viewer.layers_shown(), [0]);
}

#[test]
fn a_pause_stops_at_once_and_goes_on_later_in_real_time() {
    let mut story = Story::new(4, PERFECT, true, false);
    story.switcher.set_target(Some(0));
    story.run(30);
    story.switcher.set_target(None);
    assert_eq!((story.switcher.current(), story.switcher.wants_key_frame()), (None, None));
    story.run(300);
    story.switcher.set_target(Some(0));
    story.run(30);
    let (report, viewer, seams) = story.end();
    assert_eq!((report.frames, report.faults, seams), (60, vec![], 2));
    viewer.check_decodable();
    assert!(viewer.largest_clock_error() < 18.0);
}

#[test]
fn another_publication_continues_the_same_stream() {
    let mut story = Story::new(5, PERFECT, true, false);
    story.switcher.set_target(Some(1));
    story.run(60);
    story.deliver(FRAME * 100);
    for (layer, encoder) in (0u8..).zip(&mut story.encoders) {
        *encoder = Encoder { frame: 1_000, ..Encoder::new(layer, &mut story.chance, false) };
    }
    story.timeline = Timeline::new(90_000);
    story.switcher.new_source();
    assert_eq!((story.switcher.target(), story.switcher.current()), (Some(1), None));
    story.run(60);
    let (report, viewer, seams) = story.end();
    assert_eq!((report.faults, report.missing, report.frames, seams), (vec![], 0, 120, 2));
    viewer.check_decodable();
}

#[test]
fn fewer_frames_on_request_without_a_visible_gap() {
    let mut story = Story::new(6, PERFECT, true, true);
    story.switcher.set_target(Some(1));
    story.run(40);
    story.switcher.set_max_temporal(0);
    story.run(40);
    story.switcher.set_max_temporal(2);
    story.run(40);
    let (report, viewer, _) = story.end();
    assert_eq!((report.faults, report.missing), (vec![], 0));
    assert!((88..=94).contains(&report.frames), "{} frames", report.frames);
    viewer.check_decodable();
}

#[test]
fn audio_begins_and_switches_at_any_packet() {
    let start = Instant::now();
    let mut switcher = Switcher::new(Codec::Opus, 65_535);
    switcher.set_target(Some(0));
    assert_eq!(switcher.wants_key_frame(), None);
    let packet = |layer: u8, n: u64, base: u32| Packet {
        layer,
        seq: 1_000 * u64::from(layer + 1) + n,
        timestamp: Timestamp(base.wrapping_add(n as u32 * 960)),
        playout: start + Duration::from_millis(20 * n),
        arrived: start + Duration::from_millis(20 * n),
        frame: FrameInfo::INDEPENDENT,
    };
    let mut sent = Vec::new();
    for n in 0..100 {
        if n == 50 {
            switcher.set_target(Some(1));
        }
        for packet in [packet(0, n, 7), packet(1, n, 4_000_000_000)] {
            if let Verdict::Forward(forward) = switcher.on_packet(&packet) {
                sent.push((forward.seq, forward.timestamp.0));
            }
        }
    }
    // Packet 50 of the first source is sent before the second one can take over.
    let expected: Vec<(u64, u32)> = (0..101).map(|n| (65_535 + n, 7 + n as u32 * 960)).collect();
    assert_eq!(sent, expected);
}

/// A packet of a stream with temporal layers, described by hand; each picture is 3,000 ticks.
fn temporal(seq: u64, picture: u16, tid: u8, sync: bool, first: bool, last: bool) -> Packet {
    let [high, low] = picture.to_be_bytes();
    let tid_byte = tid << 6 | u8::from(sync) << 5;
    let payload =
        [if first { 0x90 } else { 0x80 }, 0xe0, 0x80 | high, low, 0, tid_byte, u8::from(picture != 0)];
    let frame = read(Codec::Vp8, &payload, last).expect("a whole descriptor");
    let at = Instant::now();
    Packet {
        layer: 0,
        seq,
        timestamp: Timestamp(u32::from(picture) * 3_000),
        playout: at,
        arrived: at,
        frame,
    }
}

#[test]
fn what_is_lost_of_a_frame_that_is_left_out_is_not_asked_for() {
    let mut switcher = Switcher::new(Codec::Vp8, 0);
    switcher.set_target(Some(0));
    switcher.set_max_temporal(0);
    let mut on = |packet| match switcher.on_packet(&packet) {
        Verdict::Forward(forward) => Ok((forward.seq, forward.vp8.and_then(|vp8| vp8.picture_id))),
        Verdict::Drop(reason) => Err(reason),
    };
    assert_eq!(on(temporal(10, 0, 0, false, true, true)), Ok((0, None)));
    // Packet 12, in the middle of the frame, is lost.
    assert_eq!(on(temporal(11, 1, 2, true, true, false)), Err(DropReason::TemporalLayer));
    assert_eq!(on(temporal(13, 1, 2, true, false, true)), Err(DropReason::TemporalLayer));
    assert_eq!(on(temporal(14, 2, 0, false, true, true)), Ok((1, Some(1))), "no gap in packets or pictures");
    assert_eq!(
        on(temporal(12, 1, 2, true, false, false)),
        Err(DropReason::TemporalLayer),
        "late, and still not wanted"
    );
}

#[test]
fn the_frame_rate_rises_layer_by_layer_at_switch_points_only() {
    let mut switcher = Switcher::new(Codec::Vp8, 0);
    switcher.set_target(Some(0));
    switcher.set_max_temporal(0);
    let forwarded = |switcher: &mut Switcher, n: u16, tid: u8, sync: bool| {
        matches!(switcher.on_packet(&temporal(u64::from(n), n, tid, sync, true, true)), Verdict::Forward(_))
    };
    assert!(forwarded(&mut switcher, 0, 0, false));
    assert!(!forwarded(&mut switcher, 1, 2, true));
    switcher.set_max_temporal(2);
    assert!(!forwarded(&mut switcher, 2, 1, false), "layer 1 cannot be begun here");
    assert!(!forwarded(&mut switcher, 3, 2, true), "later frames of layer 2 may need layer 1");
    assert!(forwarded(&mut switcher, 4, 0, false));
    assert!(forwarded(&mut switcher, 5, 1, true));
    assert!(forwarded(&mut switcher, 6, 2, true));
    assert!(forwarded(&mut switcher, 7, 2, false));
    switcher.set_max_temporal(1);
    assert!(!forwarded(&mut switcher, 8, 2, false) && forwarded(&mut switcher, 9, 1, false));
    switcher.set_max_temporal(2);
    let key = Packet {
        frame: FrameInfo { key_frame: true, ..temporal(10, 10, 0, false, true, true).frame },
        ..temporal(10, 10, 0, false, true, true)
    };
    assert!(matches!(switcher.on_packet(&key), Verdict::Forward(_)));
    assert!(forwarded(&mut switcher, 11, 2, false), "a key frame begins all layers at once");
}

/// A switcher fed with packets described by hand.
struct ByHand {
    start: Instant,
    switcher: Switcher,
}

impl ByHand {
    fn new(first_seq: u16) -> Self {
        let mut switcher = Switcher::new(Codec::Vp8, first_seq);
        switcher.set_target(Some(0));
        ByHand { start: Instant::now(), switcher }
    }

    /// A packet that arrives after `millis`. In `shape`, `k` is a key frame, `<` its first packet and `>` its last.
    fn on(&mut self, millis: u64, layer: u8, seq: u64, time: u32, shape: &str) -> Result<u64, DropReason> {
        self.send(millis, layer, seq, time, shape).map(|forward| forward.seq)
    }

    fn send(
        &mut self,
        millis: u64,
        layer: u8,
        seq: u64,
        time: u32,
        shape: &str,
    ) -> Result<Forward, DropReason> {
        let payload = [if shape.contains('<') { 0x10 } else { 0 }, u8::from(!shape.contains('k')), 0, 0];
        let frame = read(Codec::Vp8, &payload, shape.contains('>')).expect("a whole descriptor");
        let at = self.start + Duration::from_millis(millis);
        let packet = Packet { layer, seq, timestamp: Timestamp(time), playout: at, arrived: at, frame };
        match self.switcher.on_packet(&packet) {
            Verdict::Forward(forward) => Ok(forward),
            Verdict::Drop(reason) => Err(reason),
        }
    }
}

#[test]
fn a_frame_cut_short_costs_one_number_and_only_its_own_end_may_take_it() {
    let mut node = ByHand::new(0);
    assert_eq!(node.on(0, 0, 10, 0, "k<"), Ok(0));
    assert_eq!(node.on(0, 0, 11, 0, ">"), Ok(1));
    // Of the next frame only the beginning is here.
    assert_eq!(node.on(33, 0, 12, 3_000, "<"), Ok(2));
    node.switcher.set_target(Some(1));
    assert_eq!(node.on(40, 1, 500, 9, "k<>"), Ok(4), "3 is skipped");
    assert_eq!(node.on(45, 0, 14, 3_000, ">"), Err(DropReason::OtherLayer), "there is no room for two more");
    assert_eq!(
        node.on(46, 0, 13, 3_000, ""),
        Err(DropReason::OtherLayer),
        "with the middle it would still be cut"
    );
    assert_eq!(node.on(47, 0, 13, 3_000, ">"), Ok(3), "with its end it is whole");
    assert_eq!(node.on(73, 1, 501, 3_009, "<>"), Ok(5));
}

#[test]
fn what_is_left_out_and_what_fills_it_is_told_so_that_it_can_be_counted() {
    let mut node = ByHand::new(0);
    let mut hole = |millis, layer, seq, time, shape: &str| {
        let forward = node.send(millis, layer, seq, time, shape).expect("it is forwarded");
        if forward.seam {
            node.switcher.set_target(Some(1 - layer));
        }
        forward.hole
    };
    assert_eq!(hole(0, 0, 10, 0, "k<>"), None, "a beginning leaves nothing out");
    assert_eq!(hole(33, 0, 11, 3_000, "<"), None);
    assert_eq!(hole(40, 1, 500, 9, "k<>"), Some(Hole::Left));
    assert_eq!(hole(47, 0, 12, 3_000, ">"), Some(Hole::Filled));
    assert_eq!(hole(73, 0, 13, 6_000, "k<>"), None, "nothing was cut");
    // A pause cuts as well; what goes on later leaves the number out.
    assert_eq!(hole(100, 0, 14, 9_000, "<"), None);
    node.switcher.set_target(None);
    node.switcher.set_target(Some(0));
    let forward = node.send(133, 0, 16, 12_000, "k<>").expect("a key frame begins");
    assert_eq!(forward.hole, Some(Hole::Left));
}

#[test]
fn holes_of_the_left_layer_may_be_filled_for_a_while() {
    let mut node = ByHand::new(100);
    assert_eq!(node.on(0, 0, 10, 0, "k<"), Ok(100));
    assert_eq!(node.on(0, 0, 12, 0, ""), Ok(102));
    assert_eq!(node.on(0, 0, 14, 0, ">"), Ok(104));
    node.switcher.set_target(Some(1));
    assert_eq!(node.on(40, 1, 700, 50, "k<>"), Ok(105), "the frame had ended: no number is skipped");
    assert_eq!(node.on(100, 0, 11, 0, ""), Ok(101));
    assert_eq!(node.on(101, 0, 11, 0, ""), Err(DropReason::OtherLayer), "once is enough");
    assert_eq!(node.on(241, 0, 13, 0, ""), Err(DropReason::OtherLayer), "too late");
    assert_eq!(node.on(250, 1, 699, 50, ""), Err(DropReason::BeforeSeam));
    assert_eq!(node.on(250, 1, 700, 50, "k<>"), Err(DropReason::Duplicate));
}

#[test]
fn padding_closes_up() {
    let mut node = ByHand::new(0);
    assert_eq!(node.on(0, 0, 10, 0, "k<>"), Ok(0));
    node.switcher.on_padding(0, 11);
    node.switcher.on_padding(1, 999);
    node.switcher.on_padding(9, 1);
    assert_eq!(node.on(33, 0, 12, 3_000, "<>"), Ok(1));
    // Late padding: its number is a hole that the receiver knows of, and stays one.
    assert_eq!(node.on(66, 0, 14, 6_000, "<>"), Ok(3));
    node.switcher.on_padding(0, 13);
    assert_eq!(node.on(99, 0, 15, 9_000, "<>"), Ok(4));
}

#[test]
fn a_key_frame_that_comes_after_its_followers_is_not_begun_with() {
    let mut node = ByHand::new(0);
    assert_eq!(node.on(0, 0, 11, 0, ">"), Err(DropReason::AwaitingKeyFrame));
    assert_eq!(node.on(1, 0, 10, 0, "k<"), Err(DropReason::AwaitingKeyFrame));
    assert_eq!(node.on(33, 0, 12, 3_000, "k<>"), Ok(0));
    assert_eq!(node.on(34, 9, 1, 0, "k<>"), Err(DropReason::UnknownLayer));
    node.switcher.set_target(None);
    assert_eq!(node.on(35, 0, 13, 6_000, "k<>"), Err(DropReason::Stopped));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the network does, whatever the viewer wants: the stream looks like one encoder's.
    #[test]
    fn every_stream_is_accepted_by_the_oracle(
        seed in 1u64..,
        loss_percent in 0u64..20,
        repaired_percent in 0u64..100,
        jitter_ms in 0u64..60,
        reports: bool,
        temporal_layers: bool,
    ) {
        let network = Network { loss_percent, repaired_percent, jitter: Duration::from_millis(jitter_ms) };
        let mut story = Story::new(seed, network, reports, temporal_layers);
        for _ in 0..80 {
            let target = match story.chance.below(12) {
                0 => None,
                choice => Some((choice % 3) as u8),
            };
            story.switcher.set_target(target);
            if temporal_layers && story.chance.percent(40) {
                let limit = story.chance.below(3) as u8;
                story.switcher.set_max_temporal(limit);
            }
            let frames = 3 + story.chance.below(20) as u32;
            story.run(frames);
        }
        let (report, viewer, seams) = story.end();
        prop_assert_eq!(&report.faults, &vec![]);
        prop_assert!(seams > 5, "{} seams", seams);
        viewer.check_frames();
        if loss_percent == 0 && jitter_ms == 0 {
            viewer.check_decodable();
        }
        let error = viewer.largest_clock_error();
        prop_assert!(error < 40.0 + 2.0 * jitter_ms as f64, "the clock strays by {} ms", error);
    }

    /// Nothing that a publisher sends may panic the switcher or give out a number twice.
    #[test]
    fn hostile_packets_never_panic_and_never_share_a_number(
        steps in proptest::collection::vec(
            (0u8..6, 0u64..3_000, any::<u32>(), 0u8..8, proptest::collection::vec(any::<u8>(), 1..8), 0u8..10),
            1..400,
        ),
        far: bool,
    ) {
        let start = Instant::now();
        let mut switcher = Switcher::new(Codec::Vp8, 65_535);
        let base = if far { u64::MAX - 3_000 } else { 0 };
        let mut given = std::collections::BTreeSet::new();
        for (count, (layer, seq, time, flags, payload, control)) in (0u64..).zip(steps) {
            match control {
                0 => switcher.set_target(None),
                1 | 2 => switcher.set_target(Some(layer)),
                3 => switcher.set_max_temporal(layer),
                4 if flags == 0 => switcher.new_source(),
                _ => {}
            }
            let Ok(mut frame) = read(Codec::Vp8, &payload, flags & 1 != 0) else { continue };
            frame.key_frame |= flags & 2 != 0;
            frame.frame_start |= flags & 4 != 0;
            let at = start + Duration::from_millis(count);
            let packet =
                Packet { layer, seq: base + seq, timestamp: Timestamp(time), playout: at, arrived: at, frame };
            if let Verdict::Forward(forward) = switcher.on_packet(&packet) {
                prop_assert!(given.insert(forward.seq), "{} went out twice", forward.seq);
            }
        }
    }
}
