//! Media packets on their way through: what a publisher sent, and what each subscriber gets instead.

use std::sync::Arc;
use std::time::Instant;

use sluice_rtp::{AudioLevel, Vp8Rewrite};
use str0m::rtp::{ExtensionValues, Vp8Descriptor, Vp8Patch};

use super::{Mid, Rid};

/// A media packet from the peer. The payload is shared with every subscriber.
pub(crate) struct MediaPacket {
    pub(crate) mid: Mid,
    pub(crate) rid: Option<Rid>,
    pub(crate) payload_type: u8,
    /// Extended sequence number.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) received: Instant,
    pub(crate) extensions: Extensions,
}

/// Header extensions that travel from publisher to subscriber.
#[derive(Clone, Default)]
pub(crate) struct Extensions {
    pub(crate) audio_level: Option<AudioLevel>,
    pub(super) forwarded: ExtensionValues,
}

impl Extensions {
    pub(super) fn of(values: &ExtensionValues) -> Self {
        let forwarded = ExtensionValues {
            audio_level: values.audio_level,
            voice_activity: values.voice_activity,
            video_orientation: values.video_orientation,
            ..Default::default()
        };
        Extensions {
            audio_level: values.audio_level.map(|level| AudioLevel::from_dbov(level, values.voice_activity)),
            forwarded,
        }
    }
}

/// The parts of a packet that differ between subscribers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rewritten {
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) vp8: Option<Vp8Rewrite>,
}

/// The rewriting of VP8's numbers, applied when the packet is serialised, so that the payload stays shared.
pub(super) fn vp8_patch(payload: &[u8], vp8: Vp8Rewrite) -> Option<Vp8Patch> {
    let descriptor = Vp8Descriptor::parse(payload).ok()?;
    let mut patch = descriptor.patch();
    if let (Some(id), Some(_)) = (vp8.picture_id, descriptor.picture_id()) {
        patch = patch.picture_id(id);
    }
    if let (Some(index), Some(_)) = (vp8.tl0_pic_idx, descriptor.tl0_pic_idx()) {
        patch = patch.tl0_pic_idx(index);
    }
    if let (Some(index), Some(_)) = (vp8.key_idx, descriptor.key_idx()) {
        patch = patch.key_idx(index);
    }
    patch.build().ok()
}
