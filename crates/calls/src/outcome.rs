//! What comes out of the switchboard: an answer, or a refusal, and transitions.
use std::sync::Arc;

use crate::call::{Call, CallKind, Media, StopReason};
use crate::id::{DeviceId, Time, UserId};
use crate::record::Record;
use crate::view::{Ring, ShownReason};

/// A request was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What to tell whoever asked, once the transitions are stored.
    pub answer: Answer,
    /// What changed; empty for a retry.
    pub transitions: Vec<Transition>,
}

/// What to tell whoever asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The call that the request was about, as it is now. `None`: events of devices, which are about many.
    pub call: Option<Arc<Call>>,
    /// A place in the call's room for the device that asked.
    pub seat: Option<Seat>,
    /// A creation that turned out to be an accept or a join.
    pub merged: bool,
}

/// A place in the call's room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The participant's identity.
    pub identity: String,
    /// The name that others see.
    pub handle: String,
    /// May send video.
    pub video: bool,
    /// May share a screen.
    pub screen_share: bool,
}

/// One step of one call. True once stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The call after it.
    pub call: Arc<Call>,
    /// For the product's backend, in order.
    pub events: Vec<Event>,
    /// For devices, in order.
    pub notices: Vec<Notice>,
    /// For the call's room.
    pub effects: Vec<Effect>,
    /// If this was the end.
    pub record: Option<Arc<Record>>,
}

/// Something that happened, for the product's backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique, and the same if the transition is computed again from the store: `call-revision-number`.
    pub id: String,
    /// When.
    pub at: Time,
    /// What.
    pub kind: EventKind,
}

/// What happened. Legs stand as they are in the transition's call.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "proto/sluice/calls/v1/events.proto documents each, under the same name")]
pub enum EventKind {
    CallCreated,
    CallRinging,
    CallAnswered,
    CallEnded,
    CallMigrated,
    UpgradeRequested,
    UpgradeAccepted,
    UpgradeDeclined,
    LegInvited(UserId),
    LegRinging(UserId),
    LegAccepted(UserId),
    LegDeclined(UserId),
    LegBusy(UserId),
    LegMissed(UserId),
    LegCancelled(UserId),
    LegJoined(UserId),
    LegReconnecting(UserId),
    LegLeft(UserId),
    LegFailed(UserId),
    LegChanged(UserId),
    RingStopped { user: UserId, device: DeviceId, reason: StopReason },
    LobbyWaiting(UserId),
    LobbyAdmitted(UserId),
    LobbyRefused(UserId),
    QualityReport(UserId),
    RecordReady,
    Push(Push),
}

/// What wakes a user's devices, or silences them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "proto/sluice/calls/v1/events.proto")]
pub struct Push {
    pub user: UserId,
    /// Empty: all that are not connected.
    pub devices: Vec<DeviceId>,
    pub caller: UserId,
    pub caller_handle: String,
    pub kind: CallKind,
    pub media: Media,
    pub deadline: Time,
    /// 1, 2, 3; 0: stop ringing.
    pub attempt: u32,
    pub stop: Option<StopReason>,
}

/// A message for devices of one user.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Whose.
    pub user: UserId,
    /// Which; `None`: all that are connected.
    pub device: Option<DeviceId>,
    /// What.
    pub kind: NoticeKind,
}

/// What a device is told.
#[derive(Debug, Clone, PartialEq)]
pub enum NoticeKind {
    /// Ring.
    Ring(Ring),
    /// Stop ringing.
    RingStopped(StopReason),
    /// The call looks different to this user: send [`Call::view`](crate::Call::view).
    Changed,
    /// The last that this user hears of the call.
    Over {
        /// Why.
        reason: ShownReason,
        /// From the first accept to the end.
        duration_ms: u64,
    },
}

/// Something to do to the call's room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Everybody out, and nobody in any more.
    CloseRoom,
    /// This participant out.
    Remove {
        /// Its identity.
        identity: String,
        /// It went on to another device; otherwise it was removed.
        moved: bool,
    },
    /// Mute its microphone.
    Mute {
        /// Its identity.
        identity: String,
    },
    /// What it may send now.
    Permit {
        /// Its identity.
        identity: String,
        /// Camera.
        video: bool,
        /// Screen.
        screen_share: bool,
    },
}

/// Why a request was not done. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason:?}: {text}")]
pub struct Refusal {
    /// For programs.
    pub reason: Reason,
    /// For people: what is wrong, and what to do.
    pub text: String,
}

/// Why a request was not done, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "calls.proto explains them, in capitals")]
pub enum Reason {
    /// NOT_FOUND.
    UnknownCall,
    /// NOT_FOUND: that user has no part in the call.
    UnknownUser,
    /// PERMISSION_DENIED.
    NotAllowed,
    /// PERMISSION_DENIED.
    CannotCall,
    /// ALREADY_EXISTS.
    RequestIdReused,
    AlreadyAnswered,
    RingOver,
    CallEnded,
    NotInCall,
    NotRinging,
    InAnotherCall,
    NoUpgrade,
    NotWaiting,
    /// INVALID_ARGUMENT.
    Invalid,
    /// RESOURCE_EXHAUSTED.
    CallFull,
    /// RESOURCE_EXHAUSTED.
    TooManyCalls,
}

impl Refusal {
    /// With this reason and text.
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}
