//! One description of a packet's place in its frame, whatever the codec.

use crate::codec::Codec;
use crate::vp8::Vp8Descriptor;
use crate::{av1, h264, vp8, vp9};

/// Width and height of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// Pixels from left to right.
    pub width: u16,
    /// Pixels from top to bottom.
    pub height: u16,
}

/// What one packet tells about its frame. Small and `Copy`: read once at ingress, handed to every subscription.
///
/// H264 and AV1 do not mark the first packet of a frame in every case; there, `frame_start` is certain for key frames and a
/// good guess for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameInfo {
    /// The packet shows that its frame is a key frame. Certain on the first packet; VP8 and AV1 tell it nowhere else.
    pub key_frame: bool,
    /// The first packet of its frame (of its layer's frame, with spatial layers).
    pub frame_start: bool,
    /// The last packet of its frame (of its layer's frame, with spatial layers).
    pub frame_end: bool,
    /// No other frame refers to this one: it may be left out alone.
    pub discardable: bool,
    /// A receiver that did not get this temporal layer before may begin with it here (key frame, VP8 Y, VP9 U).
    pub switch_point: bool,
    /// Spatial layer within the stream; 0 is the base.
    pub spatial: u8,
    /// Temporal layer within the stream; 0 is the base.
    pub temporal: u8,
    /// The picture's size, where this packet's clear bytes hold it.
    pub resolution: Option<Resolution>,
    /// VP8's numbers, which a forwarder has to rewrite.
    pub vp8: Option<Vp8Descriptor>,
}

impl FrameInfo {
    /// A whole frame in one packet that stands alone: every audio packet is one.
    pub const INDEPENDENT: FrameInfo = FrameInfo {
        key_frame: true,
        frame_start: true,
        frame_end: true,
        discardable: true,
        switch_point: true,
        spatial: 0,
        temporal: 0,
        resolution: None,
        vp8: None,
    };

    /// Whether a receiver that has nothing yet can begin with this packet.
    pub fn starts_key_frame(&self) -> bool {
        self.key_frame && self.frame_start && self.spatial == 0
    }
}

/// A payload that cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing in it: a probe or padding, which carries no frame.
    #[error("empty payload")]
    Empty,
    /// The payload descriptor goes on past the end of the packet.
    #[error("payload descriptor is cut short")]
    Truncated,
}

/// Reads the clear header bytes of one RTP payload; `marker` is the RTP header's M bit.
///
/// # Errors
///
/// [`ReadError`] when the payload is empty or ends inside its payload descriptor. Unreadable (encrypted) media behind a
/// whole descriptor is no error: what it hides is simply not told.
pub fn read(codec: Codec, payload: &[u8], marker: bool) -> Result<FrameInfo, ReadError> {
    if payload.is_empty() {
        return Err(ReadError::Empty);
    }
    match codec {
        Codec::Opus => Ok(FrameInfo::INDEPENDENT),
        Codec::Vp8 => vp8::read(payload, marker),
        Codec::Vp9 => vp9::read(payload, marker),
        Codec::H264 => h264::read(payload, marker),
        Codec::Av1 => av1::read(payload, marker),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_payload_is_padding() {
        for codec in Codec::ALL {
            assert_eq!(read(codec, &[], true), Err(ReadError::Empty));
        }
    }

    #[test]
    fn every_opus_packet_stands_alone() {
        assert!(
            read(Codec::Opus, &[0x78], false).is_ok_and(|frame| frame.starts_key_frame() && frame.frame_end)
        );
    }

    #[test]
    fn it_stays_small_enough_to_copy() {
        assert!(size_of::<FrameInfo>() <= 40, "{}", size_of::<FrameInfo>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn arbitrary_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..120), marker: bool) {
            for codec in Codec::ALL {
                let _ = read(codec, &payload, marker);
            }
        }

        /// Most random bytes fail early; these begin as real key frames do and are cut and spoiled afterwards.
        #[test]
        fn spoiled_key_frames_never_panic(
            at in 0usize..32,
            spoiled: u8,
            length in 0usize..48,
            tail in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let starts: [(Codec, &[u8]); 4] = [
                (Codec::Vp8, &[0x90, 0xf0, 0x81, 0x23, 7, 0x20, 0x10, 0, 0, 0x9d, 0x01, 0x2a]),
                (Codec::Vp9, &[0xaa, 0x81, 0x23, 0x18, 0x78, 2]),
                (Codec::H264, &[0x78, 0, 16, 0x67, 0x42, 0xc0, 0x1f]),
                (Codec::Av1, &[0x18, 0x0a, 0x0b, 0, 0, 0, 0x24]),
            ];
            for (codec, start) in starts {
                let mut payload = [start, &tail].concat();
                if let Some(byte) = payload.get_mut(at) {
                    *byte = spoiled;
                }
                payload.truncate(length);
                let _ = read(codec, &payload, true);
            }
        }
    }
}
