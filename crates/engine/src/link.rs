//! What the shards of a room tell each other. A room that is too large for one shard lives on several; each pair of them has a link.
//!
//! A link is just another publisher and subscriber. The shard that has the publisher's session tells the others of each
//! publication; one that has subscribers to it says which layers they want, and gets the packets of these as they came. Layers
//! are chosen, and numbers rewritten, where the subscriber is. Nothing is passed on further: each shard tells of its own alone.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::id::{ParticipantId, RoomId};
use crate::model::PublicationSpec;
use crate::transport::{MediaPacket, Mid, Payload, Rid};

/// A shard's number in its node.
pub type ShardNumber = u16;

/// Something from a shard to another. The driver takes it there: [`crate::Output::Link`] becomes [`crate::Input::Link`].
pub struct LinkMessage(pub(crate) Told);

/// What is told. Publications go by a number of the shard that has their session; it is never given twice.
pub(crate) enum Told {
    /// A publication as it is now.
    Publication(Box<LinkedPublication>),
    /// It ended.
    PublicationEnded { number: u64 },
    /// A packet of it.
    Packet(Arc<LinkedPacket>),
    /// A sender report of it (RFC 3550 section 6.4.1).
    SenderReport { number: u64, rid: Option<Rid>, wall_clock: SystemTime, timestamp: u32 },
    /// To the publisher's shard: send the layers up to this one, or none.
    Want { number: u64, highest: Option<u8> },
    /// To the publisher's shard: somebody waits for a key frame of this layer.
    KeyFrame { number: u64, layer: u8 },
    /// A data message of a session.
    Data(Box<LinkedData>),
}

#[derive(Clone)]
pub(crate) struct LinkedPublication {
    pub(crate) room: RoomId,
    pub(crate) number: u64,
    pub(crate) participant: ParticipantId,
    pub(crate) spec: PublicationSpec,
    /// The section that carries it at its publisher, and its layers, lowest first; `None` while none does.
    pub(crate) section: Option<(Mid, Vec<Rid>)>,
}

pub(crate) struct LinkedPacket {
    pub(crate) number: u64,
    pub(crate) payload: Payload,
    pub(crate) packet: MediaPacket,
}

pub(crate) struct LinkedData {
    pub(crate) room: RoomId,
    pub(crate) sender: ParticipantId,
    pub(crate) label: String,
    pub(crate) binary: bool,
    pub(crate) payload: Bytes,
    /// Addresses; empty: everybody.
    pub(crate) destinations: Vec<String>,
}

impl LinkMessage {
    /// Bytes of a data message; 0 for anything else.
    pub fn data_bytes(&self) -> usize {
        match &self.0 {
            Told::Data(told) => told.payload.len(),
            _ => 0,
        }
    }

    /// Whether a full link may leave it out: lost media is repaired or concealed, anything else changes what both sides know.
    pub fn is_media(&self) -> bool {
        matches!(self.0, Told::Packet(_) | Told::SenderReport { .. } | Told::KeyFrame { .. })
    }
}

impl fmt::Debug for LinkMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Told::Publication(told) => write!(f, "publication {} is {}", told.spec.id, told.number),
            Told::PublicationEnded { number } => write!(f, "publication {number} ended"),
            Told::Packet(told) => write!(f, "packet of {}", told.number),
            Told::SenderReport { number, .. } => write!(f, "sender report of {number}"),
            Told::Want { number, highest } => write!(f, "want {highest:?} of {number}"),
            Told::KeyFrame { number, layer } => write!(f, "key frame of {number}, layer {layer}"),
            Told::Data(told) => write!(f, "data from {}", told.sender),
        }
    }
}
