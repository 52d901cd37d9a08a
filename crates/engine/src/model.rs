//! What callers declare of rooms, sessions, publications and subscriptions: the API's objects in the engine's types.

use std::time::Duration;

use bytes::Bytes;
use sluice_rtp::{Bitrate, Codec, MediaKind};

use crate::id::{ParticipantId, PublicationId, RoomId, SessionId};

/// Settings of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSettings {
    /// How long the room lives without a sign of its owner.
    pub orphan_timeout: Duration,
    /// Sessions at most.
    pub max_sessions: usize,
}

impl Default for RoomSettings {
    fn default() -> Self {
        RoomSettings { orphan_timeout: Duration::from_secs(120), max_sessions: 2_000 }
    }
}

/// Who makes a session's offers (RFC 8829).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offerer {
    /// The peer offers, the node answers; subscriptions use the recvonly sections that the peer offers.
    Peer,
    /// The node offers when asked to, and adds sections as subscriptions need them.
    Node,
}

/// Settings of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// Fixed for the session's life.
    pub offerer: Offerer,
    /// What becomes of data messages.
    pub data: DataPolicy,
    /// ICE-lite (RFC 8445 section 2.5); fixed for the session's life. `None`: the shard's default.
    pub ice_lite: Option<bool>,
    /// Upper limit of what is sent to the peer.
    pub max_send_bitrate: Option<Bitrate>,
    /// The session closes if it is not connected for this long. `None`: the shard's default.
    pub connect_timeout: Option<Duration>,
}

impl SessionSettings {
    /// The shard's defaults, and no data messages.
    pub fn new(offerer: Offerer) -> Self {
        SessionSettings {
            offerer,
            data: DataPolicy::default(),
            ice_lite: None,
            max_send_bitrate: None,
            connect_timeout: None,
        }
    }
}

/// How data messages from and to a session are treated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataPolicy {
    /// Messages of this session are forwarded.
    pub may_send: bool,
    /// Messages of others are delivered to this session.
    pub receives: bool,
    /// The name by which messages address the session's participant.
    pub address: String,
    /// Channels that the node opens.
    pub open: Vec<DataChannel>,
    /// Labels whose messages are protobuf and follow the rules below.
    pub labels: Vec<String>,
    /// Appended to each message of this session on `labels`.
    pub append: Bytes,
    /// Field number of the list of destination addresses.
    pub destinations_field: Option<u32>,
    /// Field numbers that lead to a list of destination addresses inside sub-messages; for when the field above lists nobody.
    pub destinations_path: Vec<u32>,
    /// Field number of the sender's message number.
    pub sequence_field: Option<u32>,
    /// Largest message; `None`: the shard's default.
    pub max_message_bytes: Option<usize>,
    /// Messages per second from this session; `None`: the shard's default.
    pub max_messages_per_second: Option<u32>,
    /// Bytes that may wait for this session; `None`: the shard's default.
    pub queue_bytes: Option<usize>,
    /// What a full queue does; `None`: close for reliable channels, drop for others.
    pub when_full: Option<WhenFull>,
}

/// A data channel that the node opens (RFC 8832).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataChannel {
    /// Its label.
    pub label: String,
    /// Delivered in order.
    pub ordered: bool,
    /// Retransmissions at most; `None`: reliable.
    pub max_retransmits: Option<u16>,
}

/// What a full queue of data messages does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The message is dropped and counted.
    Drop,
    /// The session closes.
    Close,
}

/// A track that a session declares to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationSpec {
    /// Unique in the room.
    pub id: PublicationId,
    /// The track's id in the peer's description; empty: match by kind and order.
    pub client_track_id: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// First part of `a=msid` at subscribers (RFC 8830).
    pub stream_label: String,
    /// Second part of `a=msid` at subscribers.
    pub track_label: String,
    /// Packets are dropped at ingress.
    pub muted: bool,
    /// Codecs to accept, in order of preference; empty: all.
    pub codecs: Vec<Codec>,
    /// Opus: discontinuous transmission (RFC 7587).
    pub opus_dtx: bool,
    /// Opus: stereo (RFC 7587).
    pub opus_stereo: bool,
    /// What the publisher says of its layers, lowest first.
    pub layers: Vec<LayerSpec>,
    /// Screen content.
    pub screen_share: bool,
    /// Opaque.
    pub app_state: Bytes,
}

/// What a publisher says of one encoding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerSpec {
    /// The restriction identifier (RFC 8851); empty for a single encoding.
    pub rid: String,
    /// Pixels; 0 if unknown.
    pub width: u32,
    /// Pixels; 0 if unknown.
    pub height: u32,
    /// Zero if unknown.
    pub bitrate: Bitrate,
}

/// A subscription as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionSpec {
    /// What to receive.
    pub publication: PublicationId,
    /// How much of it.
    pub wish: Wish,
}

/// What a subscriber wants of a publication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Pixels; 0 by 0 means the highest layer.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second at most; 0: no limit.
    pub frame_rate: u32,
    /// Larger is served first.
    pub priority: u32,
    /// Nothing is forwarded.
    pub paused: bool,
    /// Index of the highest layer to send.
    pub max_layer: Option<u8>,
}

/// Why a subscription forwards nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseReason {
    /// The wish says so.
    Wish,
    /// The publication is muted.
    Muted,
    /// The lowest layer does not fit into the estimate.
    Bandwidth,
    /// The subscriber cannot decode the codec.
    Codec,
    /// No section carries it yet, or the transport is not up.
    NotNegotiated,
    /// The publisher sends nothing.
    NoMedia,
}

/// State of a session's transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// No transport yet.
    New,
    /// ICE and DTLS are up.
    Connected,
    /// The peer no longer answers.
    Disconnected,
    /// Gone.
    Closed,
}

/// Why a session closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// By command.
    Deleted,
    /// The peer closed its transport.
    Peer,
    /// Not connected for too long.
    Timeout,
    /// A reliable data channel could not keep up.
    DataOverflow,
    /// A fault in the node.
    Fault,
}

/// Why a room ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomEndReason {
    /// By command.
    Deleted,
    /// Nobody renewed its ownership.
    Orphaned,
    /// A fault in the node.
    Fault,
    /// The node was drained.
    Drained,
}

/// A room in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSummary {
    /// Its id.
    pub room: RoomId,
    /// Its owner.
    pub owner_epoch: u64,
    /// How many.
    pub sessions: usize,
    /// How many.
    pub publications: usize,
}

/// A room whole.
#[derive(Debug, Clone)]
pub struct RoomSnapshot {
    /// Its id.
    pub room: RoomId,
    /// Its owner.
    pub owner_epoch: u64,
    /// Opaque.
    pub app_state: Bytes,
    /// As declared.
    pub settings: RoomSettings,
    /// All of them.
    pub sessions: Vec<SessionSnapshot>,
}

/// A session whole.
#[derive(Debug, Clone)]
pub struct SessionSnapshot {
    /// Its id.
    pub session: SessionId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// As declared.
    pub settings: SessionSettings,
    /// Opaque.
    pub app_state: Bytes,
    /// Of the transport.
    pub state: SessionState,
    /// All of them.
    pub publications: Vec<PublicationStatus>,
    /// All of them.
    pub subscriptions: Vec<SubscriptionStatus>,
}

/// A publication: what was declared and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationStatus {
    /// As declared; sizes of layers as they arrived.
    pub spec: PublicationSpec,
    /// For each of `spec.layers`: packets arrived lately.
    pub active: Vec<bool>,
    /// The section that carries it.
    pub mid: Option<String>,
    /// Known once media arrives.
    pub codec: Option<Codec>,
}

/// A subscription: what was declared and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionStatus {
    /// As declared.
    pub spec: SubscriptionSpec,
    /// The section that carries it.
    pub mid: Option<String>,
    /// The layer that is forwarded.
    pub layer: Option<u8>,
    /// Why nothing is forwarded.
    pub paused: Option<PauseReason>,
}
