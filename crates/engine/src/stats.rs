//! Statistics of sessions and tracks: totals since the beginning, rates over the last second.

use std::time::Duration;

use sluice_rtp::{Bitrate, Codec, MediaKind};

use crate::id::{ParticipantId, PublicationId, SessionId};
use crate::model::{PauseReason, SessionState};

/// Of a session.
#[derive(Debug, Clone)]
pub struct SessionStats {
    /// Which.
    pub session: SessionId,
    /// Whose.
    pub participant: ParticipantId,
    /// Of the transport.
    pub state: SessionState,
    /// `udp` or `tcp`; empty while not connected.
    pub transport: &'static str,
    /// On the wire.
    pub bytes_received: u64,
    /// On the wire.
    pub bytes_sent: u64,
    /// Round trip.
    pub rtt: Option<Duration>,
    /// Of the path to the peer.
    pub estimate: Option<Bitrate>,
    /// Sum of what subscriptions were given.
    pub allocated: Bitrate,
    /// Tracks from the peer.
    pub publications: Vec<PublicationStats>,
    /// Tracks to the peer.
    pub subscriptions: Vec<SubscriptionStats>,
    /// Data messages.
    pub data: DataStats,
}

/// Of a publication.
#[derive(Debug, Clone)]
pub struct PublicationStats {
    /// Which.
    pub publication: PublicationId,
    /// Audio or video.
    pub kind: MediaKind,
    /// Known once media arrives.
    pub codec: Option<Codec>,
    /// Lowest first.
    pub layers: Vec<LayerStats>,
}

/// Of one layer of a publication.
#[derive(Debug, Clone, Default)]
pub struct LayerStats {
    /// Restriction identifier.
    pub rid: String,
    /// Received.
    pub packets: u64,
    /// Payload received.
    pub bytes: u64,
    /// Never came, as far as known.
    pub lost: u64,
    /// To the publisher.
    pub nacks_sent: u64,
    /// To the publisher.
    pub key_frame_requests_sent: u64,
    /// Received.
    pub key_frames: u64,
    /// Over the last second.
    pub bitrate: Bitrate,
    /// Over the last second.
    pub frame_rate: f32,
    /// Of the newest key frame.
    pub width: u32,
    /// Of the newest key frame.
    pub height: u32,
}

/// Of a subscription.
#[derive(Debug, Clone)]
pub struct SubscriptionStats {
    /// To what.
    pub publication: PublicationId,
    /// Forwarded now.
    pub layer: Option<u8>,
    /// Why nothing is forwarded.
    pub paused: Option<PauseReason>,
    /// Forwarded.
    pub packets: u64,
    /// Payload forwarded.
    pub bytes: u64,
    /// Left out on purpose.
    pub dropped: u64,
    /// From the subscriber.
    pub nacks_received: u64,
    /// From the subscriber.
    pub key_frame_requests_received: u64,
    /// Layer changes.
    pub switches: u64,
    /// Over the last second.
    pub bitrate: Bitrate,
}

/// Of data messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataStats {
    /// From the peer.
    pub received: u64,
    /// To the peer.
    pub sent: u64,
    /// Over a limit, not permitted, malformed or repeated.
    pub refused: u64,
    /// The queue was full.
    pub dropped: u64,
}
