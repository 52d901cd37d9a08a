//! What a shard tells of its own accord.

use std::time::Duration;

use crate::command::MissingSections;
use crate::id::{ParticipantId, PublicationId, RoomId, SessionId};
use crate::model::*;

/// An event of a room.
#[derive(Debug, Clone)]
pub struct Event {
    /// Where.
    pub room: RoomId,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum EventKind {
    /// A session's transport changed.
    Session {
        /// Which.
        session: SessionId,
        /// Whose.
        participant: ParticipantId,
        /// Now.
        state: SessionState,
        /// Set if closed.
        reason: Option<CloseReason>,
    },
    /// An offer/answer round is due. Sent once; again only after a round.
    NegotiationNeeded {
        /// Which.
        session: SessionId,
        /// What the peer must add.
        missing: MissingSections,
    },
    /// Media began, codec or layers changed, or it was muted or unmuted.
    PublicationChanged {
        /// Whose.
        session: SessionId,
        /// Now.
        publication: Box<PublicationStatus>,
    },
    /// The publication was unbound.
    PublicationEnded {
        /// Whose.
        session: SessionId,
        /// Which.
        publication: PublicationId,
    },
    /// Another layer is forwarded, or forwarding paused or went on.
    SubscriptionChanged {
        /// Which.
        session: SessionId,
        /// Whose.
        participant: ParticipantId,
        /// Now.
        subscription: Box<SubscriptionStatus>,
        /// The first packet was forwarded.
        started: bool,
    },
    /// The layers that anybody wants.
    WantedLayers {
        /// Whose.
        session: SessionId,
        /// Which.
        publication: PublicationId,
        /// Indices.
        layers: Vec<u8>,
    },
    /// Who speaks.
    Speakers {
        /// Loudest first.
        speakers: Vec<Speaker>,
        /// In the foreground.
        dominant: Option<ParticipantId>,
    },
    /// How a session's transport does.
    Quality {
        /// Which.
        session: SessionId,
        /// Whose.
        participant: ParticipantId,
        /// Now.
        quality: Quality,
        /// 0 to 1.
        loss: f32,
        /// Round trip.
        rtt: Option<Duration>,
    },
    /// The room ended.
    RoomEnded {
        /// Why.
        reason: RoomEndReason,
    },
}

/// A participant who speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Speaker {
    /// Who.
    pub participant: ParticipantId,
    /// With what.
    pub publication: PublicationId,
    /// 0 to 1.
    pub level: f32,
}

/// How a session's transport does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// Much is lost.
    Poor,
    /// Some is lost.
    Good,
    /// Hardly anything is lost.
    Excellent,
    /// Not connected.
    Lost,
}
