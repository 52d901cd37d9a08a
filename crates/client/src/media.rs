//! The shapes of media that look real to a forwarder: packet sizes, rates, headers, key frames.
use std::sync::LazyLock;
use std::time::Duration;

use rand::{Rng as _, RngExt as _};

use crate::dtx::Dtx;
use crate::stamp::{Stamp, now_us};

/// Payload bytes of a video packet at most: with headers and SRTP this stays below 1,200 (RFC 8831's safe size).
const LARGEST_PAYLOAD: usize = 1_100;
/// A key frame is this many times an average frame.
const KEY_FRAME_FACTOR: usize = 3;
/// Bytes of our VP8 payload descriptor (RFC 7741 section 4.2): X, I+L+T, 15-bit picture id, TL0PICIDX, TID.
const DESCRIPTOR: usize = 6;

/// Adds `count` bytes that look random. Drawn once: a load draws too many for a generator to draw anew.
fn fill(payload: &mut Vec<u8>, count: usize) {
    static NOISE: LazyLock<[u8; 2 * LARGEST_PAYLOAD]> = LazyLock::new(|| {
        let mut noise = [0; 2 * LARGEST_PAYLOAD];
        rand::rng().fill_bytes(&mut noise);
        noise
    });
    let count = count.min(NOISE.len());
    let start = rand::rng().random_range(0..=NOISE.len() - count);
    payload.extend_from_slice(&NOISE[start..start + count]);
}

/// Audio to send: Opus-shaped packets of 20 ms.
#[derive(Debug, Clone, Copy)]
pub struct AudioShape {
    /// Payload bytes, from and to; at least the stamp's 20 and one.
    pub bytes: (usize, usize),
    /// Level as RFC 6464 has it: 0 is loudest, 127 silent.
    pub level: u8,
    /// Talks in spurts, and pauses as Opus DTX does; without it, talks all the time.
    pub dtx: Option<Dtx>,
    /// As [`VideoShape::phase`], of packets.
    pub phase: Option<f64>,
}

impl Default for AudioShape {
    fn default() -> Self {
        Self { bytes: (80, 160), level: 30, dtx: None, phase: None }
    }
}

impl AudioShape {
    pub(crate) const INTERVAL: Duration = Duration::from_millis(20);

    pub(crate) fn payload(self, counter: u32) -> Vec<u8> {
        let mut rng = rand::rng();
        let least = Stamp::SIZE + 1;
        let size = rng.random_range(self.bytes.0.max(least)..=self.bytes.1.max(self.bytes.0).max(least));
        Self::packet(size, counter)
    }

    /// What stands for silence: a frame without content (RFC 6716 section 3.2.1), which is its first byte alone.
    pub(crate) fn comfort(counter: u32) -> Vec<u8> {
        Self::packet(Stamp::SIZE + 1, counter)
    }

    fn packet(size: usize, counter: u32) -> Vec<u8> {
        let mut payload = Vec::with_capacity(size);
        fill(&mut payload, size - Stamp::SIZE);
        // RFC 6716 section 3.1: CELT, fullband, 20 ms, mono, one frame.
        payload[0] = 0b1111_1000;
        Stamp { sent_us: now_us(), counter, width: 0, height: 0 }.write(&mut payload);
        payload
    }
}

/// Video to send: VP8-shaped frames, one or several layers.
#[derive(Debug, Clone)]
pub struct VideoShape {
    /// Lowest first. One layer is sent without RID, several as simulcast.
    pub layers: Vec<LayerShape>,
    /// Frames per second.
    pub frame_rate: u32,
    /// Where in its interval a frame is made, from 0 to 1, by the machine's clock: who sends many can spread them evenly. `None`:
    /// anywhere.
    pub phase: Option<f64>,
}

/// One encoding.
#[derive(Debug, Clone)]
pub struct LayerShape {
    /// Restriction identifier (RFC 8851), e.g. `q`; unused for a single layer.
    pub rid: String,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Bits per second of payload.
    pub bitrate: u32,
}

impl VideoShape {
    /// A single encoding.
    #[must_use]
    pub fn single(width: u16, height: u16, bitrate: u32) -> Self {
        Self {
            layers: vec![LayerShape { rid: String::new(), width, height, bitrate }],
            frame_rate: 30,
            phase: None,
        }
    }

    /// 180, 360 and 720 lines as `q`, `h` and `f`, together `bitrate`.
    #[must_use]
    pub fn simulcast(bitrate: u32) -> Self {
        let layer = |rid: &str, width, height, share: u32| LayerShape {
            rid: rid.into(),
            width,
            height,
            bitrate: bitrate / 20 * share,
        };
        Self {
            layers: vec![layer("q", 320, 180, 1), layer("h", 640, 360, 4), layer("f", 1280, 720, 15)],
            frame_rate: 30,
            phase: None,
        }
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.frame_rate.max(1)
    }
}

/// The frames of one layer: counters run on, sizes vary a little.
#[derive(Debug)]
pub(crate) struct Frames {
    shape: LayerShape,
    frame_rate: u32,
    picture_id: u16,
    tl0_pic_idx: u8,
    counter: u32,
    /// The next frame must be a key frame.
    pub(crate) key_frame_wanted: bool,
}

impl Frames {
    pub(crate) fn new(shape: LayerShape, frame_rate: u32) -> Self {
        let mut rng = rand::rng();
        Self {
            shape,
            frame_rate: frame_rate.max(1),
            picture_id: rng.random_range(0..1 << 15),
            tl0_pic_idx: rng.random(),
            counter: 0,
            key_frame_wanted: true,
        }
    }

    /// Payloads of the next frame, and whether it is a key frame.
    pub(crate) fn next(&mut self) -> (Vec<Vec<u8>>, bool) {
        let key_frame = std::mem::take(&mut self.key_frame_wanted);
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        self.tl0_pic_idx = self.tl0_pic_idx.wrapping_add(1);
        let average = (self.shape.bitrate / 8 / self.frame_rate) as usize;
        let size = if key_frame {
            average * KEY_FRAME_FACTOR
        } else {
            rand::rng().random_range(average * 4 / 5..=average * 6 / 5)
        };
        let packets = size.div_ceil(LARGEST_PAYLOAD).max(1);
        let each = (size / packets).max(DESCRIPTOR + 10 + Stamp::SIZE);
        let payloads = (0..packets).map(|index| self.packet(index == 0, key_frame, each)).collect();
        (payloads, key_frame)
    }

    fn packet(&mut self, first: bool, key_frame: bool, size: usize) -> Vec<u8> {
        let [high, low] = (self.picture_id | 0x8000).to_be_bytes();
        // X, and S on the first packet of the partition; I, L, T; ids; TID 0 with Y.
        let mut payload = vec![0x80 | u8::from(first) << 4, 0b1110_0000, high, low, self.tl0_pic_idx, 0x20];
        if first {
            self.frame_header(key_frame, &mut payload);
        }
        let filling = payload.len();
        fill(&mut payload, size.saturating_sub(Stamp::SIZE).saturating_sub(filling));
        let LayerShape { width, height, .. } = self.shape;
        Stamp { sent_us: now_us(), counter: self.counter, width, height }.write(&mut payload);
        self.counter = self.counter.wrapping_add(1);
        payload
    }

    /// The uncompressed chunk at the start of a frame (RFC 6386 section 9.1).
    fn frame_header(&self, key_frame: bool, payload: &mut Vec<u8>) {
        // Bit 0 is clear in a key frame; version 0, shown, a first partition of 0x100 bytes.
        let tag: u32 = u32::from(!key_frame) | 1 << 4 | 0x100 << 5;
        payload.extend_from_slice(&tag.to_le_bytes()[..3]);
        if key_frame {
            payload.extend_from_slice(&[0x9d, 0x01, 0x2a]);
            payload.extend_from_slice(&self.shape.width.to_le_bytes());
            payload.extend_from_slice(&self.shape.height.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use str0m::rtp::Vp8Descriptor;

    use super::*;

    #[test]
    fn frames_are_valid_vp8_to_a_forwarder_and_keep_their_bitrate() {
        let shape = VideoShape::single(640, 360, 300_000);
        let mut frames = Frames::new(shape.layers[0].clone(), 30);
        let (key, is_key) = frames.next();
        assert!(is_key);
        let descriptor = Vp8Descriptor::parse(&key[0]).unwrap();
        assert!(descriptor.starts_keyframe(&key[0]));
        assert!(key.iter().all(|payload| payload.len() <= LARGEST_PAYLOAD + 1));

        let mut bytes = 0;
        let mut picture = descriptor.picture_id().unwrap();
        for _ in 0..300 {
            let (payloads, is_key) = frames.next();
            assert!(!is_key);
            let descriptor = Vp8Descriptor::parse(&payloads[0]).unwrap();
            assert!(!descriptor.starts_keyframe(&payloads[0]));
            assert_eq!(descriptor.picture_id().unwrap(), (picture + 1) & 0x7fff);
            picture = descriptor.picture_id().unwrap();
            bytes += payloads.iter().map(Vec::len).sum::<usize>();
        }
        let bitrate = bytes * 8 / 10;
        assert!((270_000..330_000).contains(&bitrate), "{bitrate}");
    }

    #[test]
    fn a_key_frame_is_made_when_it_is_wanted_and_only_then() {
        let mut frames = Frames::new(VideoShape::single(320, 180, 100_000).layers[0].clone(), 30);
        frames.next();
        assert!(!frames.next().1);
        frames.key_frame_wanted = true;
        assert!(frames.next().1);
        assert!(!frames.next().1);
    }

    #[test]
    fn audio_packets_have_their_sizes_and_count_up() {
        for counter in 0..100 {
            let payload = AudioShape::default().payload(counter);
            assert!((80..=160).contains(&payload.len()));
            assert_eq!(Stamp::read(&payload).unwrap().counter, counter);
        }
        assert_eq!(AudioShape::comfort(7).len(), Stamp::SIZE + 1);
        assert_eq!(AudioShape { bytes: (0, 0), ..AudioShape::default() }.payload(0).len(), Stamp::SIZE + 1);
    }
}
