//! What one user's devices may know of a call. Everything hidden is hidden here.
use crate::call::{Call, CallKind, CallState, EndReason, Leg, LegState, Mask, Media};
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

/// What the others see of a leg; compared before and after a change, so it borrows.
#[derive(PartialEq)]
struct Face<'a> {
    user: &'a UserId,
    handle: &'a str,
    state: Shown,
    on_hold: bool,
    video_allowed: bool,
    host: bool,
    identity: Option<&'a str>,
}

/// What a user sees of the own part.
#[derive(PartialEq)]
pub(crate) struct OwnPart<'a> {
    in_call: bool,
    pub(crate) in_lobby: bool,
    host: bool,
    video_allowed: bool,
    on_hold: bool,
    devices: (Option<&'a DeviceId>, Option<&'a DeviceId>),
    upgrade_by: Option<&'a UserId>,
}

impl Call {
    /// The call as this device may see it; `None` if it may know nothing (it rings, or has no part in it).
    pub fn view(&self, user: &UserId, device: &DeviceId) -> Option<CallView> {
        let leg = self.leg(user)?;
        let own = self.own_part(leg)?;
        // Who waits outside does not see who is inside.
        let members = self
            .faces(Some(user))
            .filter(|face| !own.in_lobby || face.user == user)
            .map(Face::member)
            .collect();
        Some(CallView {
            call: self.id.clone(),
            revision: leg.inner.views,
            state: self.state,
            kind: self.kind,
            media: self.media,
            conversation: self.conversation.clone(),
            creator: self.creator.clone(),
            created_at: self.created_at,
            answered_at: self.answered_at.filter(|_| !own.in_lobby),
            members,
            me_in_call: own.in_call,
            this_device: leg.sits(device),
            host: own.host,
            video_allowed: own.video_allowed,
            on_hold: own.on_hold,
            in_lobby: own.in_lobby,
            upgrade_requested_by: own.upgrade_by.cloned(),
            link: self.link.clone(),
        })
    }

    /// What this device must ring with now, if it must.
    pub fn ring(&self, user: &UserId, device: &DeviceId) -> Option<Ring> {
        let leg = self.leg(user).filter(|leg| leg.rings())?;
        let device = leg.devices.iter().find(|known| known.device == *device)?;
        if !device.state.must_ring() {
            return None;
        }
        let caller = leg.invited_by.as_ref().unwrap_or(&self.creator);
        Some(Ring {
            call: self.id.clone(),
            caller: caller.clone(),
            caller_handle: self.leg(caller).map(|leg| leg.handle.clone()).unwrap_or_default(),
            kind: self.kind,
            media: self.media,
            conversation: self.conversation.clone(),
            deadline: leg.ring_deadline?,
            waiting: device.waiting,
        })
    }

    /// How a leg looks to the others; `None` if they do not see it at all.
    pub fn shown(&self, leg: &Leg) -> Option<Shown> {
        self.shown_as(leg, leg.inner.mask)
    }

    fn shown_as(&self, leg: &Leg, mask: Option<Mask>) -> Option<Shown> {
        let invited = leg.ring_deadline.is_some() || leg.end_reason == Some(EndReason::Denied);
        Some(match (mask, leg.state) {
            (Some(Mask::Rings), _) if leg.inner.shown_ringing => Shown::Ringing,
            (Some(Mask::Rings), _) => Shown::Calling,
            (Some(Mask::NoAnswer), _) => Shown::NoAnswer,
            (Some(Mask::Busy), _) => Shown::Busy,
            (Some(Mask::Cancelled), _) => Shown::Cancelled,
            (Some(Mask::CannotCall), _) => Shown::CannotCall,
            (None, LegState::Accepted) => Shown::Connecting,
            (None, LegState::Joined) => Shown::Joined,
            (None, LegState::Reconnecting) => Shown::Reconnecting,
            (None, LegState::Left) if leg.accepted_at.is_none() => return None,
            (None, LegState::Left) => Shown::Left,
            (None, LegState::Failed) => Shown::Failed,
            (None, LegState::Lobby) => Shown::InLobby,
            // Members of a call that began silently.
            (None, _) if !invited => return None,
            (None, LegState::Invited | LegState::Alerting) => Shown::Calling,
            (None, LegState::Ringing) => Shown::Ringing,
            (None, LegState::Suppressed) if leg.end_reason == Some(EndReason::Denied) => Shown::CannotCall,
            (None, LegState::Suppressed | LegState::Missed | LegState::Unreachable) => Shown::NoAnswer,
            (None, LegState::Declined) => Shown::Declined,
            (None, LegState::Busy) => Shown::Busy,
            (None, LegState::Cancelled) => Shown::Cancelled,
        })
    }

    /// Why the call ended, as its members may know it.
    pub fn shown_reason(&self) -> ShownReason {
        match self.end_reason {
            Some(EndReason::Cancelled) => ShownReason::Cancelled,
            Some(EndReason::ConnectFailed) => ShownReason::Failed,
            Some(EndReason::ConnectionLost) => ShownReason::ConnectionLost,
            Some(EndReason::RateLimited | EndReason::Incompatible | EndReason::Capacity) => {
                ShownReason::CannotCall
            }
            Some(reason) if reason.is_unanswered() => self.shown_unanswered(),
            _ => ShownReason::Ended,
        }
    }

    /// Follows from what was shown of the legs, never from how they stood.
    fn shown_unanswered(&self) -> ShownReason {
        let mut callees =
            self.legs.iter().filter(|leg| leg.user != self.creator).filter_map(|leg| self.shown(leg));
        let Some(first) = callees.next() else { return ShownReason::NoAnswer };
        if callees.any(|other| other != first) {
            return ShownReason::NoAnswer;
        }
        match first {
            Shown::Busy => ShownReason::Busy,
            Shown::Declined => ShownReason::Declined,
            Shown::Cancelled => ShownReason::Cancelled,
            Shown::CannotCall => ShownReason::CannotCall,
            _ => ShownReason::NoAnswer,
        }
    }

    /// Milliseconds from the first accept to `now` or the end; 0 if nobody answered.
    pub fn duration_ms(&self, now: Time) -> u64 {
        self.answered_at.map_or(0, |answered| self.ended_at.unwrap_or(now).ms_since(answered))
    }

    /// What the leg's own user sees; `None` if that user may not see the call.
    pub(crate) fn own_part<'a>(&'a self, leg: &'a Leg) -> Option<OwnPart<'a>> {
        let may_see = match leg.state {
            LegState::Accepted | LegState::Joined | LegState::Reconnecting => true,
            LegState::Lobby | LegState::Failed => true,
            LegState::Left => leg.accepted_at.is_some() && leg.end_reason != Some(EndReason::Removed),
            _ => false,
        };
        if !may_see {
            return None;
        }
        let upgrade =
            self.upgrade.as_ref().filter(|upgrade| leg.state.is_in_call() && upgrade.concerns(&leg.user));
        let mut seats = leg.seats();
        let devices = (seats.next().map(|seat| &seat.device), seats.next().map(|seat| &seat.device));
        Some(OwnPart {
            in_call: leg.state.is_in_call(),
            in_lobby: leg.state == LegState::Lobby,
            host: leg.host,
            video_allowed: leg.video_allowed,
            on_hold: leg.on_hold,
            devices,
            upgrade_by: upgrade.map(|upgrade| &upgrade.by),
        })
    }

    /// What everybody sees who may see the call at all.
    pub(crate) fn head(&self) -> impl PartialEq + use<> {
        (self.state, self.kind, self.media, self.answered_at)
    }

    /// The viewer sees the same members in the same states.
    pub(crate) fn looks_like(&self, other: &Self, viewer: Option<&UserId>) -> bool {
        self.faces(viewer).eq(other.faces(viewer))
    }

    /// What others are made to see of somebody, that person (`viewer`) does not see.
    fn faces<'a>(&'a self, viewer: Option<&UserId>) -> impl Iterator<Item = Face<'a>> {
        self.legs.iter().filter_map(move |leg| {
            let mask = leg.inner.mask.filter(|_| Some(&leg.user) != viewer);
            self.shown_as(leg, mask).map(|state| self.face(leg, state))
        })
    }

    fn face<'a>(&'a self, leg: &'a Leg, state: Shown) -> Face<'a> {
        Face {
            user: &leg.user,
            handle: &leg.handle,
            state,
            on_hold: leg.on_hold,
            video_allowed: leg.video_allowed && leg.state.is_in_call(),
            host: leg.host,
            identity: leg.current_seat().map(|seat| seat.identity.as_str()),
        }
    }
}

impl Face<'_> {
    fn member(self) -> Member {
        Member {
            user: self.user.clone(),
            handle: self.handle.to_owned(),
            state: self.state,
            on_hold: self.on_hold,
            video_allowed: self.video_allowed,
            host: self.host,
            identity: self.identity.map(str::to_owned),
        }
    }
}
