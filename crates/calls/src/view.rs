//! What one user's devices may know of a call. Everything hidden is hidden here.
use crate::call::{Call, CallKind, CallState, Media};
use crate::id::{CallId, ConversationId, DeviceId, LinkId, Time, UserId};

/// All that a callee's device learns before it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "proto/sluice/calls/v1/client.proto documents each field, under the same name"
)]
pub struct Ring {
    pub call: CallId,
    pub caller: UserId,
    pub caller_handle: String,
    pub kind: CallKind,
    pub media: Media,
    pub conversation: Option<ConversationId>,
    pub deadline: Time,
    pub waiting: bool,
}

/// A call as one device may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "proto/sluice/calls/v1/client.proto documents each field, under the same name"
)]
pub struct CallView {
    pub call: CallId,
    pub revision: u64,
    pub state: CallState,
    pub kind: CallKind,
    pub media: Media,
    pub conversation: Option<ConversationId>,
    pub creator: UserId,
    pub created_at: Time,
    pub answered_at: Option<Time>,
    pub members: Vec<Member>,
    pub me_in_call: bool,
    pub this_device: bool,
    pub host: bool,
    pub video_allowed: bool,
    pub on_hold: bool,
    pub in_lobby: bool,
    pub upgrade_requested_by: Option<UserId>,
    pub link: Option<LinkId>,
}

/// Somebody in a call, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "proto/sluice/calls/v1/client.proto")]
pub struct Member {
    pub user: UserId,
    pub handle: String,
    pub state: Shown,
    pub on_hold: bool,
    pub video_allowed: bool,
    pub host: bool,
    pub identity: Option<String>,
}

/// What a leg looks like to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "proto/sluice/calls/v1/client.proto")]
pub enum Shown {
    Calling,
    Ringing,
    Connecting,
    Joined,
    Reconnecting,
    Left,
    Declined,
    Busy,
    NoAnswer,
    Cancelled,
    CannotCall,
    Failed,
    InLobby,
}

/// What people see of an end reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the table of end reasons in docs/calls.md")]
pub enum ShownReason {
    Ended,
    Cancelled,
    Declined,
    Busy,
    NoAnswer,
    CannotCall,
    Failed,
    ConnectionLost,
}

impl Call {
    /// The call as this device may see it; `None` if it may know nothing (it rings, or has no part in it).
    pub fn view(&self, user: &UserId, device: &DeviceId) -> Option<CallView> {
        let _ = (user, device);
        unimplemented!()
    }

    /// What this device must ring with now, if it must.
    pub fn ring(&self, user: &UserId, device: &DeviceId) -> Option<Ring> {
        let _ = (user, device);
        unimplemented!()
    }
}
