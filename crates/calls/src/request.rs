//! What the driver may ask of the switchboard. Texts and sizes have been checked; states and rights have not.
use crate::call::{CallKind, EndReason, Limits, Media, Verdict};
use crate::id::{CallId, ConversationId, DeviceId, LinkId, RequestId, UserId};
use crate::record::Quality;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The same id of the same user again changes nothing. None: events of the world, which carry none.
    pub id: Option<RequestId>,
    /// What.
    pub action: Action,
}

/// A user with the device that acts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Party {
    /// Who.
    pub user: UserId,
    /// With which device.
    pub device: DeviceId,
    /// What the others see; empty: what they saw before.
    pub handle: String,
}

/// Somebody to ring, and what their side said to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Invitee {
    /// Who.
    pub user: UserId,
    /// What the others see.
    pub handle: String,
    /// Whether to ring.
    pub verdict: Verdict,
    /// The caller sees "no answer" instead of "busy" and "declined".
    pub hide_busy: bool,
    /// Devices to ring now.
    pub devices: Vec<DeviceOffer>,
    /// Devices that are not among them may be woken by a push.
    pub push: bool,
}

/// A device to ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceOffer {
    /// Which.
    pub device: DeviceId,
    /// Can show a second call while one goes on.
    pub call_waiting: bool,
    /// Has a socket now; otherwise only a push reaches it.
    pub connected: bool,
}

/// A new call.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// Fresh, from the driver. Not used if the request turns out to be an accept or a join.
    pub call: CallId,
    /// Who calls.
    pub caller: Party,
    /// Whom. Direct: exactly one.
    pub invitees: Vec<Invitee>,
    /// For two or for many.
    pub kind: CallKind,
    /// What it carries.
    pub media: Media,
    /// By which creation is serialised; else by the pair of users.
    pub conversation: Option<ConversationId>,
    /// How long it rings; `None`: the settings' default.
    pub ring_ms: Option<u64>,
    /// Opens the call without ringing.
    pub silent: bool,
    /// The product's bytes.
    pub app_data: Vec<u8>,
    /// Bounds.
    pub limits: Limits,
}

/// Somebody comes through a link. The driver has checked that the link is valid.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkEntry {
    /// Fresh, for the case that the link has no live call.
    pub call: CallId,
    /// Which link.
    pub link: LinkId,
    /// Who made it: a host.
    pub creator: UserId,
    /// Others wait to be let in.
    pub lobby: bool,
    /// What the call carries.
    pub media: Media,
    /// The product's chat.
    pub conversation: Option<ConversationId>,
    /// Bounds.
    pub limits: Limits,
    /// Who comes.
    pub party: Party,
    /// Take over from the user's other device.
    pub transfer: bool,
}

/// What became of a seat's media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaState {
    /// Connected.
    Up,
    /// Lost; may come back.
    Lost,
    /// The client said goodbye, or was removed.
    Left,
}

/// What a host or the backend does to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moderation {
    /// Out of the call.
    Remove,
    /// Makes a host, or not.
    Host(bool),
    /// Mutes the microphone; only its owner can unmute.
    Mute,
    /// Allows or forbids video.
    AllowVideo(bool),
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "proto/sluice/calls/v1/calls.proto documents each, under the same name")]
pub enum Action {
    Create(Box<Create>),
    Ack {
        call: CallId,
        user: UserId,
        device: DeviceId,
    },
    Accept {
        call: CallId,
        party: Party,
        audio_only: bool,
    },
    Decline {
        call: CallId,
        party: Party,
    },
    Cancel {
        call: CallId,
        party: Party,
    },
    Join {
        call: CallId,
        party: Party,
        transfer: bool,
    },
    JoinLink(Box<LinkEntry>),
    Leave {
        call: CallId,
        party: Party,
    },
    /// `by`: a host; `None`: the backend, with its reason.
    End {
        call: CallId,
        by: Option<UserId>,
        reason: EndReason,
    },
    Invite {
        call: CallId,
        by: UserId,
        invitees: Vec<Invitee>,
        ring_ms: Option<u64>,
    },
    CancelInvite {
        call: CallId,
        by: UserId,
        callee: UserId,
    },
    RequestUpgrade {
        call: CallId,
        user: UserId,
    },
    RespondUpgrade {
        call: CallId,
        user: UserId,
        accept: bool,
    },
    Hold {
        call: CallId,
        user: UserId,
        on_hold: bool,
    },
    Transfer {
        call: CallId,
        party: Party,
    },
    /// `by`: a host; `None`: the backend.
    Moderate {
        call: CallId,
        by: Option<UserId>,
        target: UserId,
        what: Moderation,
    },
    Admit {
        call: CallId,
        by: UserId,
        waiting: UserId,
        admit: bool,
    },
    Rate {
        call: CallId,
        user: UserId,
        stars: u8,
    },
    /// A device of `user` has a socket now: calls that ring this user ring it too.
    DeviceAppeared {
        user: UserId,
        device: DeviceId,
        call_waiting: bool,
    },
    /// Its socket is gone, for longer than a reconnect takes.
    DeviceVanished {
        user: UserId,
        device: DeviceId,
    },
    /// What became of the media of the participant `identity`.
    Media {
        call: CallId,
        identity: String,
        state: MediaState,
    },
    /// What was measured of it.
    Quality {
        call: CallId,
        identity: String,
        quality: Quality,
    },
}
