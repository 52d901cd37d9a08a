//! What happened on the media plane.

use std::time::SystemTime;

use sluice_rtp::{Bitrate, Mid, Rid};

use crate::packet::Packet;

/// Something that the session must know.
// One exists at a time: a box would cost an allocation for each packet.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Event {
    /// A media packet, authentic, for the first time.
    Packet(Packet),
    /// The peer tied a layer's timestamps to its wall clock (RFC 3550 section 6.4.1).
    SenderReport {
        /// The section.
        mid: Mid,
        /// The layer.
        rid: Option<Rid>,
        /// The peer's wall clock.
        wall_clock: SystemTime,
        /// What its timestamps showed then.
        timestamp: u32,
    },
    /// The peer wants a key frame of a section's stream (PLI or FIR).
    KeyFrameRequest {
        /// The section.
        mid: Mid,
    },
    /// What the path carries, as far as is known, changed.
    Estimate(Bitrate),
}

/// How a layer does that comes in, since it began.
#[derive(Debug, Clone, Copy)]
pub struct Ingress {
    /// The section.
    pub mid: Mid,
    /// The layer.
    pub rid: Option<Rid>,
    /// Packets that were asked for again.
    pub nacks: u64,
    /// Packets that never came.
    pub lost: u64,
}

/// How a stream does that goes out.
#[derive(Debug, Clone, Copy)]
pub struct Egress {
    /// The section.
    pub mid: Mid,
    /// Packets that the peer asked for again.
    pub nacks: u64,
}

/// How the path does.
#[derive(Debug, Clone, Copy, Default)]
pub struct PathStats {
    /// Datagrams of media and feedback.
    pub bytes_received: u64,
    /// See [`Self::bytes_received`].
    pub bytes_sent: u64,
    /// The round trip, if it was measured.
    pub rtt: Option<std::time::Duration>,
    /// Share of what was sent that did not arrive, 0 to 1, if the peer told lately.
    pub egress_loss: Option<f32>,
    /// Share of what was to come that did not, 0 to 1, of the worst stream, if something came.
    pub ingress_loss: Option<f32>,
}

/// Why a datagram was refused. Each is the peer's fault, or the network's; nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither RTP nor RTCP.
    #[error("neither RTP nor RTCP")]
    Malformed,
    /// The handshake is not done.
    #[error("media before the keys")]
    NoKeys,
    /// Of a stream that belongs to no section, or of one too many.
    #[error("a stream that belongs to no section")]
    UnknownStream,
    /// It came before, or is too old to tell.
    #[error("a packet that came before")]
    Replayed,
    /// Not what the peer sealed.
    #[error(transparent)]
    Srtp(#[from] sluice_srtp::SrtpError),
}
