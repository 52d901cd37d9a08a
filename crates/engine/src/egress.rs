//! The outgoing stream of a section: one gapless RTP stream whoever owns the section.

use std::time::Instant;

use sluice_forward::{KEY_FRAME_QUOTA, Meter, Quota, Switcher};
use sluice_rtp::Codec;

use crate::transport::{Mid, OutStream};

/// An outgoing stream.
pub(crate) struct Egress {
    pub(crate) mid: Mid,
    pub(crate) stream: OutStream,
    pub(crate) switcher: Switcher,
    /// The subscriber's number for the publication's codec, and which of the publication's payloads it was found for.
    pub(crate) payload_type: Option<u8>,
    pub(crate) payload_generation: u32,
    /// The subscriber lost the picture (PLI): a key frame of the present layer is due.
    pub(crate) lost_picture: bool,
    /// Bounds what one broken receiver can make everybody pay.
    pub(crate) quota: Quota,
    pub(crate) meter: Meter,
    pub(crate) totals: EgressTotals,
}

/// Since the stream began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EgressTotals {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) dropped: u64,
    pub(crate) nacks: u64,
    pub(crate) key_frame_requests: u64,
    pub(crate) switches: u64,
}

impl Egress {
    /// `first_sequence` is random: a receiver must not be able to guess it (RFC 3550 section 5.1).
    pub(crate) fn new(mid: Mid, stream: OutStream, codec: Codec, first_sequence: u16, now: Instant) -> Self {
        Egress {
            mid,
            stream,
            switcher: Switcher::new(codec, first_sequence),
            payload_type: None,
            payload_generation: 0,
            lost_picture: false,
            quota: Quota::new(now, KEY_FRAME_QUOTA),
            meter: Meter::new(now),
            totals: EgressTotals::default(),
        }
    }

    /// Goes on with another publication.
    pub(crate) fn new_source(&mut self, codec: Codec) {
        self.switcher.set_codec(codec);
        self.switcher.new_source();
        self.payload_type = None;
        self.payload_generation = 0;
        self.lost_picture = false;
    }

    /// The layer that a key frame must come of: the one that the stream switches to, or the one that was lost.
    pub(crate) fn awaits_key_frame(&self) -> Option<u8> {
        self.switcher.wants_key_frame().or_else(|| self.switcher.current().filter(|_| self.lost_picture))
    }
}
