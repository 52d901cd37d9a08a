//! Media packets on their way through: what a publisher sent, and what each subscriber gets instead.

use std::sync::Arc;
use std::time::Instant;

use sluice_rtp::{AudioLevel, Mid, Rid, Vp8Rewrite};

/// A media packet from the peer. The payload is shared with every subscriber.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The section that it belongs to.
    pub mid: Mid,
    /// The layer, if the section has several.
    pub rid: Option<Rid>,
    /// The peer's number for its format.
    pub payload_type: u8,
    /// Its number, extended; goes on when the peer begins a stream anew.
    pub sequence: u64,
    /// When its media was sampled, in units of the format's clock.
    pub timestamp: u32,
    /// Of video: the last packet of its frame.
    pub marker: bool,
    /// Without padding; empty if there was nothing else.
    pub payload: Arc<[u8]>,
    /// When it came.
    pub received: Instant,
    /// What travels on beside it.
    pub extensions: Extensions,
}

/// Header extensions that travel from publisher to subscriber.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extensions {
    /// As RFC 6464 section 3 has it.
    pub(crate) level: Option<u8>,
    pub(crate) orientation: Option<u8>,
}

impl Extensions {
    /// How loud the packet is.
    #[must_use]
    pub fn audio_level(&self) -> Option<AudioLevel> {
        self.level.map(AudioLevel::from_extension)
    }
}

/// The parts of a packet that differ between subscribers.
#[derive(Debug, Clone, Copy)]
pub struct Rewritten {
    /// Extended number; the low 16 bits go on the wire. A stream begins below 65,536.
    pub sequence: u64,
    /// See [`Packet::timestamp`].
    pub timestamp: u32,
    /// Numbers of VP8 to write over the payload's.
    pub vp8: Option<Vp8Rewrite>,
}
