//! # sluice-rtp: facts about RTP
//!
//! What an SFU must know of a media packet, and nothing that it must decide:
//!
//! * units that cannot be mixed up: [`Bitrate`], [`Seq`], [`Timestamp`], and [`SeqUnwrapper`] for numbers that never wrap;
//! * [`Codec`] and [`MediaKind`];
//! * one [`FrameInfo`] per packet, read from the clear header bytes of VP8, VP9, H264, AV1 and Opus by [`read`];
//! * [`Vp8Rewrite`], which writes a payload with other picture numbers;
//! * [`AudioLevel`] of RFC 6464;
//! * [`Mid`] and [`Rid`], the names of sections and layers.
//!
//! It is **not** a media stack: it parses no RTP header, holds no state of a stream, decodes no picture, and decides
//! nothing (that is `sluice-forward`). There is no IO, no clock and no randomness here, and no allocation on the way of a
//! packet. Every reader takes hostile bytes: it is bounds-checked and never panics.
//!
//! End-to-end encrypted payloads are read as far as their clear bytes go. A reader fails only when the RTP payload
//! descriptor itself is cut short, never because the media behind it means nothing.

mod audio_level;
mod av1;
mod bitrate;
mod bits;
mod codec;
mod frame;
mod h264;
mod seq;
mod timestamp;
mod token;
mod vp8;
mod vp9;

pub use audio_level::AudioLevel;
pub use bitrate::Bitrate;
pub use codec::{Codec, MediaKind, UnknownCodec};
pub use frame::{FrameInfo, ReadError, Resolution, read};
pub use seq::{Seq, SeqUnwrapper};
pub use timestamp::Timestamp;
pub use token::{Mid, Rid, Token};
pub use vp8::{PictureId, Vp8Descriptor, Vp8Rewrite};
