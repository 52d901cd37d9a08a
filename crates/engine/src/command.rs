//! What callers ask of a shard, and what it answers.

use bytes::Bytes;

use crate::id::{ParticipantId, PublicationId, RoomId, SessionId};
use crate::link::ShardNumber;
use crate::model::*;
use crate::stats::SessionStats;

/// Pairs a command with its reply; chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// Something to do.
// One exists at a time: a box would cost an allocation and save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub enum Command {
    /// On one room.
    Room {
        /// Which.
        room: RoomId,
        /// The caller's number; 0 stands for the room's present owner.
        owner_epoch: u64,
        /// What.
        action: RoomAction,
    },
    /// All rooms of the shard in one line each.
    ListRooms,
    /// Renews the ownership of every room with this number.
    KeepAlive {
        /// The caller's number.
        owner_epoch: u64,
    },
    /// Ends all rooms.
    EndAll {
        /// The reason to report.
        reason: RoomEndReason,
    },
}

/// Something to do with a room. All are idempotent.
// One exists at a time: a box would cost an allocation and save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub enum RoomAction {
    /// Create or update the room.
    Put {
        /// `None`: unchanged.
        app_state: Option<Bytes>,
        /// `None`: unchanged, or the defaults.
        settings: Option<RoomSettings>,
    },
    /// End it.
    Delete,
    /// End it for a reason of the node's own.
    End {
        /// The reason to report.
        reason: RoomEndReason,
    },
    /// It lives on these other shards of the node too, and on those named before.
    Host {
        /// This shard speaks for the room.
        home: bool,
        /// The others.
        shards: Vec<ShardNumber>,
        /// One that knows nothing of the room yet, whatever it was told before. New ones need not be named.
        greet: Option<ShardNumber>,
    },
    /// Report it whole.
    Get,
    /// Create or update a session.
    PutSession {
        /// Which.
        session: SessionId,
        /// Whose.
        participant: ParticipantId,
        /// How.
        settings: SessionSettings,
        /// `None`: unchanged.
        app_state: Option<Bytes>,
        /// Sessions of the room on other shards: they count for its limit.
        elsewhere: usize,
    },
    /// End a session.
    DeleteSession {
        /// Which.
        session: SessionId,
    },
    /// Declare all publications of a session.
    SetPublications {
        /// Which.
        session: SessionId,
        /// All of them.
        publications: Vec<PublicationSpec>,
    },
    /// Declare all subscriptions of a session.
    SetSubscriptions {
        /// Which.
        session: SessionId,
        /// All of them.
        subscriptions: Vec<SubscriptionSpec>,
    },
    /// Mute or unmute.
    SetMuted {
        /// Which.
        publication: PublicationId,
        /// What.
        muted: bool,
    },
    /// One step of offer/answer.
    Negotiate {
        /// Which.
        session: SessionId,
        /// What.
        step: NegotiationStep,
    },
    /// Remote candidates (RFC 8839 section 5.1).
    AddCandidates {
        /// Which.
        session: SessionId,
        /// `candidate:...` each.
        candidates: Vec<String>,
    },
    /// Deliver a data message.
    SendData {
        /// Channel.
        label: String,
        /// Message.
        payload: Bytes,
        /// Addresses; empty: everybody.
        destinations: Vec<String>,
    },
    /// Ask a publisher for a key frame.
    RequestKeyFrame {
        /// Which.
        publication: PublicationId,
    },
    /// Statistics.
    GetStats {
        /// `None`: all sessions.
        session: Option<SessionId>,
    },
}

/// One step of offer/answer (RFC 8829).
#[derive(Debug, Clone)]
pub enum NegotiationStep {
    /// The peer's offer.
    RemoteOffer(String),
    /// Make an offer.
    CreateOffer {
        /// With new ICE credentials.
        ice_restart: bool,
    },
    /// The peer's answer.
    RemoteAnswer(String),
}

impl RoomAction {
    /// The session that it is about, if it is about one.
    pub fn session(&self) -> Option<&SessionId> {
        match self {
            RoomAction::PutSession { session, .. }
            | RoomAction::DeleteSession { session }
            | RoomAction::SetPublications { session, .. }
            | RoomAction::SetSubscriptions { session, .. }
            | RoomAction::Negotiate { session, .. }
            | RoomAction::AddCandidates { session, .. } => Some(session),
            RoomAction::GetStats { session } => session.as_ref(),
            RoomAction::Put { .. }
            | RoomAction::Delete
            | RoomAction::End { .. }
            | RoomAction::Host { .. }
            | RoomAction::Get
            | RoomAction::SetMuted { .. }
            | RoomAction::SendData { .. }
            | RoomAction::RequestKeyFrame { .. } => None,
        }
    }
}

/// The answer to a command.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Nothing to say.
    Done,
    /// Put: whether the object is new.
    Created(bool),
    /// ListRooms.
    Rooms(Vec<RoomSummary>),
    /// Get.
    Room(Box<RoomSnapshot>),
    /// KeepAlive and EndAll: rooms; SendData: receivers.
    Count(usize),
    /// Negotiate.
    Negotiated(Negotiated),
    /// GetStats.
    Stats(Vec<SessionStats>),
}

/// The result of a negotiation step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// Answer or offer; empty if there is none.
    pub sdp: String,
    /// Every section in use.
    pub bindings: Vec<Binding>,
    /// Sections that the peer must still offer.
    pub missing: MissingSections,
}

/// What a section carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// RFC 5888.
    pub mid: String,
    /// Publication or subscription.
    pub carries: Carries,
}

/// What a section carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carries {
    /// A track from the peer.
    Publication(PublicationId),
    /// A track to the peer.
    Subscription(PublicationId),
}

/// Sections that subscriptions lack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MissingSections {
    /// Audio.
    pub audio: u32,
    /// Video.
    pub video: u32,
}

/// Why a command was refused. The texts are for callers: they name what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such object.
    #[error("{0} not found")]
    NotFound(String),
    /// The room has a newer owner.
    #[error("owner_epoch {given} is older than the room's {current}")]
    StaleOwner {
        /// The command's.
        given: u64,
        /// The room's.
        current: u64,
    },
    /// A field is wrong.
    #[error("{0}")]
    Invalid(String),
    /// It does not fit the object's state.
    #[error("{0}")]
    Precondition(String),
    /// A limit was reached.
    #[error("{0}")]
    Exhausted(String),
    /// The room ended by a fault while the command ran.
    #[error("internal fault; the room was ended")]
    Fault,
}
