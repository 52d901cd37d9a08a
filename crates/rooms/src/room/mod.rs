//! A room: who is in it, which tracks they publish, and who gets which of them.
//!
//! One task a room ([`actor`]) feeds commands into the pure state ([`roster`]) and hands the resulting notices to the
//! participants' tasks. It knows nothing of how clients speak. It never waits on a participant: one whose mailbox is
//! full is given up, and it never waits on the node except to create the room.
use std::sync::Arc;

use sluice_api::sfu::v1 as sfu;
use tokio::sync::{mpsc, oneshot};

use crate::model;

pub(crate) mod access;
pub(crate) mod actor;
pub(crate) mod roster;

/// Commands that may wait for a room.
pub(crate) const ROOM_MAILBOX: usize = 4_096;
/// Notices that may wait for a participant.
pub(crate) const PARTICIPANT_MAILBOX: usize = 2_048;

/// A participant with its tracks, as everybody sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Presence {
    pub(crate) participant: model::Participant,
    pub(crate) tracks: Vec<Arc<model::Track>>,
}

impl Presence {
    pub(crate) fn id(&self) -> &str {
        &self.participant.participant_id
    }

    pub(crate) fn track(&self, track_id: &str) -> Option<&Arc<model::Track>> {
        self.tracks.iter().find(|track| track.track_id == track_id)
    }

    pub(crate) fn permissions(&self) -> model::Permissions {
        self.participant.permissions.clone().unwrap_or_default()
    }
}

/// Why a participant is no longer there, or is told to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The client said goodbye.
    ClientLeft,
    /// Another client came with the same identity.
    Duplicate,
    /// The WebSocket was lost and nobody came back.
    SignalLost,
    /// Media never came up, or was lost for good.
    MediaLost,
    /// Our picture and the client's or the node's do not fit together: start anew.
    Mismatch,
    /// The client did not answer an offer in time.
    NoAnswer,
    /// The room ended at the node by a fault or a restart.
    RoomLost,
    /// Somebody deleted the room.
    RoomDeleted,
    /// The client asked for it, to test its recovery.
    Simulated,
    /// Its queue was full.
    Overloaded,
    /// The call's side took it out.
    Removed,
    /// The call went on to another device of the same user.
    Moved,
    /// The call that the room was for is over.
    CallOver,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ClientLeft => "client_left",
            Self::Duplicate => "duplicate",
            Self::SignalLost => "signal_lost",
            Self::MediaLost => "media_lost",
            Self::Mismatch => "mismatch",
            Self::NoAnswer => "no_answer",
            Self::RoomLost => "room_lost",
            Self::RoomDeleted => "room_deleted",
            Self::Simulated => "simulated",
            Self::Overloaded => "overloaded",
            Self::Removed => "removed",
            Self::Moved => "moved",
            Self::CallOver => "call_over",
        }
    }
}

/// What a participant's task hears of its room.
#[derive(Debug, Clone)]
pub(crate) enum Notice {
    /// These are new or changed; oneself may be among them.
    Present(Vec<Arc<Presence>>),
    /// This one is gone.
    Gone(Arc<Presence>, Reason),
    /// All tracks that this participant shall get, ordered by id. Each stands in a presence that was told before.
    Wanted(Arc<[String]>),
    /// A publisher allowed or forbade one of its tracks to this participant.
    Allowed { participant_id: String, track_id: String, allowed: bool },
    /// Everybody who speaks now.
    Speaking(Arc<[sfu::Speaker]>),
    /// How well somebody is connected.
    Quality { participant_id: String, quality: sfu::Quality },
    /// Somebody got the first packet of this own track, for the first time.
    FirstSubscriber(String),
    /// An event of this participant's own sessions.
    Media(Box<sfu::event::Kind>),
    /// The node's picture of this participant after events were lost: its sessions.
    Compare(Arc<[sfu::Session]>),
    /// Mute the microphone; its owner may unmute it.
    Mute,
    /// Tell the client to go, and end.
    Leave(Reason),
}

/// What becomes of a participant's media, for those who follow a room from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// The room's name.
    pub(crate) room: String,
    pub(crate) identity: String,
    pub(crate) news: News,
}

/// See [`Report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// Media is up, for the first time or again.
    Up,
    /// Media is lost; it may come back.
    Lost,
    /// The client said goodbye.
    Left,
}

impl News {
    /// What a departure means; `None` if it was made from outside, or another takes the place.
    fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::ClientLeft => Some(Self::Left),
            Reason::Duplicate | Reason::Removed | Reason::Moved | Reason::CallOver => None,
            _ => Some(Self::Lost),
        }
    }
}

/// The ways to a participant's task.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) notices: mpsc::Sender<Notice>,
    /// For a client that connects anew. Boxed: a channel allocates 32 places at once, which would be 31 KB for each participant.
    pub(crate) arrivals: mpsc::Sender<Box<crate::dialect::Arrival>>,
}

/// Somebody who wants in.
#[derive(Debug, Clone)]
pub(crate) struct Entrant {
    pub(crate) participant: model::Participant,
    pub(crate) client: model::Client,
    pub(crate) door: Door,
}

/// What somebody learns who came in.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    pub(crate) room: model::Room,
    pub(crate) me: Arc<Presence>,
    pub(crate) others: Vec<Arc<Presence>>,
    pub(crate) wanted: Arc<[String]>,
}

/// Why somebody may not come in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JoinError {
    #[error("the room is full")]
    Full,
    #[error("this server holds as many rooms as it may")]
    TooManyRooms,
    #[error("requested room does not exist")]
    NoRoom,
    #[error("the media node cannot be reached: {0}")]
    Node(String),
    #[error("the server is starting: rooms are not known yet")]
    Starting,
}

/// What a participant's task says.
#[derive(Debug)]
pub(crate) enum Change {
    /// Media is up.
    Active,
    /// Media was up, and is lost for now.
    Lost,
    /// A track is new or changed.
    Track(Arc<model::Track>),
    TrackEnded(String),
    Profile {
        name: Option<String>,
        metadata: Option<String>,
        attributes: Vec<(String, String)>,
    },
    Access(Option<model::Access>),
    Choose {
        track_ids: Vec<String>,
        subscribe: bool,
    },
}

#[derive(Debug)]
pub(crate) enum Command {
    Join {
        entrant: Box<Entrant>,
        reply: oneshot::Sender<Result<Joined, JoinError>>,
    },
    /// Who is `participant_id`, if it is also `identity`?
    Find {
        participant_id: String,
        identity: String,
        reply: oneshot::Sender<Option<Door>>,
    },
    Change {
        participant_id: String,
        change: Change,
    },
    Leave {
        participant_id: String,
        reason: Reason,
    },
    Event {
        sequence: u64,
        kind: sfu::event::Kind,
    },
    /// From outside: this one out.
    Remove {
        identity: String,
        reason: Reason,
    },
    /// From outside: its microphone off.
    Mute {
        identity: String,
    },
    /// From outside: it may publish these sources and no others.
    Permit {
        identity: String,
        sources: Vec<i32>,
    },
    /// From outside: everybody out, and the end.
    Close,
    /// Who is there, and whose media is up?
    Who {
        reply: oneshot::Sender<Vec<(String, bool)>>,
    },
    /// Events were lost: ask the node.
    Compare,
    /// The node's answer; `None`: it has no such room.
    Compared(Option<Box<sfu::Room>>),
}

/// The way to a room's task.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) room_id: Arc<str>,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Says something in a participant's name. A room that is gone has told its participants.
    pub(crate) async fn say(&self, participant_id: &str, change: Change) {
        let command = Command::Change { participant_id: participant_id.into(), change };
        if self.commands.send(command).await.is_err() {
            tracing::debug!(room = %self.room_id, "the room has ended");
        }
    }
}
