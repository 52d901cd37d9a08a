//! The meetings that are measured.

use std::time::Duration;

use sluice_rtp::MediaKind;
use str0m::format::Codec;

use crate::client::Sent;
use crate::world::World;

/// What the publisher sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// Opus: 50 packets of 120 bytes a second.
    Audio,
    /// VP8: 30 frames a second of four and five packets by turns, 1.15 Mbit/s.
    Video,
}

/// One publisher and some subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// What is sent.
    pub media: Media,
    /// To how many.
    pub subscribers: usize,
    /// Frames that are counted, one each [`Media::interval`].
    pub frames: u64,
}

/// Estimates, probes and caches have settled by then.
const WARM_UP: Duration = Duration::from_secs(3);
/// So many subscribers are slow under callgrind, and half the time tells as much of them.
const MANY: usize = 500;
/// Bytes of a full packet's payload. With headers and tag about 1,200 on the wire.
const FULL: usize = 1_140;
/// Of the last packet of a frame.
const REST: usize = 400;

impl Media {
    /// Time from frame to frame.
    #[must_use]
    pub fn interval(self) -> Duration {
        match self {
            Media::Audio => Duration::from_millis(20),
            Media::Video => Duration::from_millis(33),
        }
    }

    /// In the engine's words.
    #[must_use]
    pub fn kind(self) -> MediaKind {
        match self {
            Media::Audio => MediaKind::Audio,
            Media::Video => MediaKind::Video,
        }
    }

    fn packets(self, frame: u64) -> u64 {
        match self {
            Media::Audio => 1,
            Media::Video => 4 + frame % 2,
        }
    }
}

impl Scenario {
    /// Two seconds, or one if there are many subscribers.
    #[must_use]
    pub fn of(media: Media, subscribers: usize) -> Self {
        let frames = match media {
            Media::Audio => 100,
            Media::Video => 60,
        };
        Scenario { media, subscribers, frames: if subscribers < MANY { frames } else { frames / 2 } }
    }

    /// Packets that are forwarded while it is counted.
    #[must_use]
    pub fn packets(&self) -> u64 {
        let published: u64 = (0..self.frames).map(|frame| self.media.packets(frame)).sum();
        published * self.subscribers as u64
    }

    /// Everybody is connected, media flows to all, and has done so for a while.
    #[must_use]
    pub fn warm(self) -> Meeting {
        let mut world = World::new();
        world.join_publisher(self.media.kind());
        for _ in 0..self.subscribers {
            world.join_subscriber(self.media.kind());
        }
        world.connect();
        let mut meeting = Meeting { world, scenario: self, source: Source::default() };
        let frames = WARM_UP.as_nanos() / self.media.interval().as_nanos();
        // Even, so that the counted part begins with a frame of four packets.
        meeting.play((frames as u64).next_multiple_of(2));
        meeting
    }
}

/// A scenario that is under way.
pub struct Meeting {
    world: World,
    scenario: Scenario,
    source: Source,
}

/// The publisher's numbers.
#[derive(Default)]
struct Source {
    frame: u64,
    sequence: u64,
    timestamp: u32,
    key_frames: u8,
}

impl Meeting {
    /// Sends the scenario's frames, counted.
    ///
    /// # Panics
    /// If not every packet was forwarded to everybody.
    pub fn count(&mut self) {
        let before = self.world.counters().packets_out;
        self.world.count(true);
        self.play(self.scenario.frames);
        self.world.count(false);
        let forwarded = self.world.counters().packets_out - before;
        assert_eq!(forwarded, self.scenario.packets(), "packets forwarded by {:?}", self.scenario);
    }

    /// Where it takes place.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Ends it; see [`World::into_shard`].
    #[must_use]
    pub fn into_world(self) -> World {
        self.world
    }

    fn play(&mut self, frames: u64) {
        for _ in 0..frames {
            let packets = match self.scenario.media {
                Media::Audio => self.source.audio(),
                Media::Video => {
                    let key = self.world.take_key_frame_request();
                    self.source.video(key)
                }
            };
            self.world.publish(packets);
            self.world.run(self.scenario.media.interval());
        }
    }
}

impl Source {
    fn audio(&mut self) -> Vec<Sent> {
        self.frame += 1;
        self.sequence += 1;
        self.timestamp = self.timestamp.wrapping_add(960);
        vec![Sent {
            codec: Codec::Opus,
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: false,
            level: Some(-20),
            payload: vec![0x78; 120],
        }]
    }

    fn video(&mut self, key: bool) -> Vec<Sent> {
        let count = Media::Video.packets(self.frame);
        let key = key || self.frame == 0;
        self.frame += 1;
        self.timestamp = self.timestamp.wrapping_add(3_000);
        self.key_frames = (self.key_frames + u8::from(key)) & 0x1f;
        let packet = |index| {
            let marker = index + 1 == count;
            let size = if marker { REST } else { FULL };
            let payload = vp8(index == 0, key, self.frame as u16, self.key_frames, size);
            let sequence = self.sequence + index + 1;
            Sent { codec: Codec::Vp8, sequence, timestamp: self.timestamp, marker, level: None, payload }
        };
        let packets = (0..count).map(packet).collect();
        self.sequence += count;
        packets
    }
}

/// One packet of a VP8 frame (RFC 7741): a descriptor with 15 bits of picture id, TL0PICIDX, TID and KEYIDX, then the frame.
fn vp8(first: bool, key: bool, picture: u16, key_frames: u8, size: usize) -> Vec<u8> {
    let [high, low] = (picture & 0x7fff).to_be_bytes();
    let start = 0x80 | if first { 0x10 } else { 0 };
    let mut payload = vec![start, 0xf0, 0x80 | high, low, low, key_frames];
    match (first, key) {
        // 1280x720.
        (true, true) => payload.extend([0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02]),
        (true, false) => payload.extend([0x11, 0x02, 0x00]),
        (false, _) => {}
    }
    payload.resize(size, 0x55);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_figures_are_of_as_many_packets_as_are_forwarded() {
        let figures: toml::Table = include_str!("../instructions.toml").parse().unwrap();
        let mut seen = 0;
        for (group, media) in [("audio_forwarded", Media::Audio), ("video_forwarded", Media::Video)] {
            for (bench, figure) in figures[group].as_table().unwrap() {
                let subscribers = bench.strip_prefix("to_").unwrap().parse().unwrap();
                let packets = Scenario::of(media, subscribers).packets();
                assert_eq!(figure["packets"].as_integer(), Some(packets as i64), "{group}.{bench}");
                seen += 1;
            }
        }
        assert_eq!(seen, 6);
    }

    #[test]
    fn everybody_gets_everything() {
        for media in [Media::Audio, Media::Video] {
            let scenario = Scenario { frames: 20, ..Scenario::of(media, 3) };
            let mut meeting = scenario.warm();
            let before = meeting.world().received();
            meeting.count();
            let received = meeting.world().received() - before;
            // The last ones are still on their way.
            let missing = scenario.packets().saturating_sub(received);
            assert!(missing <= 3 * 5, "{media:?}: {missing} of {} are missing", scenario.packets());
        }
    }
}
