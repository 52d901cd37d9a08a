//! What is known of one call: the document that the driver stores after each transition.
use serde::{Deserialize, Serialize};

use crate::id::{CallId, ConversationId, DeviceId, LinkId, RequestId, Time, UserId};
use crate::record::{Quality, Rating};

/// Where a call stands. Nothing leaves `Ended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CallState {
    /// Began silently or through a link; nobody has joined yet.
    Open,
    /// Somebody is called; nobody has accepted.
    Ringing,
    /// Somebody has accepted or joined.
    Active,
    /// Over.
    Ended,
}

/// How many people a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CallKind {
    /// Two people; ends when either leaves.
    Direct,
    /// Any number.
    Group,
}

/// What a call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Media {
    /// Sound.
    Audio,
    /// Sound and pictures.
    Video,
}

/// Where an invited user stands; see the table in docs/calls.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LegState {
    /// Named, not yet offered to a device.
    Invited,
    /// Offered; no device has acknowledged.
    Alerting,
    /// A device rings.
    Ringing,
    /// A device has won; its media is on the way.
    Accepted,
    /// Media is up.
    Joined,
    /// Media was lost.
    Reconnecting,
    /// Was in the call.
    Left,
    /// Never rang: the verdict was not to.
    Suppressed,
    /// The user said no.
    Declined,
    /// The user is in another call.
    Busy,
    /// The caller gave up.
    Cancelled,
    /// Rang until the deadline.
    Missed,
    /// The deadline passed without any acknowledgement.
    Unreachable,
    /// Accepted, but media never came up.
    Failed,
    /// Came through a link and waits for a host.
    Lobby,
}

impl LegState {
    /// Being rung now.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Invited | Self::Alerting | Self::Ringing)
    }

    /// Accepted, in the call, or on the way back to it.
    pub fn is_in_call(self) -> bool {
        matches!(self, Self::Accepted | Self::Joined | Self::Reconnecting)
    }
}

/// Where one device of an invited user stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DeviceState {
    /// The ring is on its way.
    Offered,
    /// It acknowledged.
    Ringing,
    /// It answered.
    Won,
    /// It must ring no more.
    Stopped(StopReason),
    /// It cannot be reached any more.
    Dead,
}

impl DeviceState {
    /// It rings, or should.
    pub fn must_ring(self) -> bool {
        matches!(self, Self::Offered | Self::Ringing)
    }
}

/// Why a device stops ringing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StopReason {
    /// Another device of the user answered.
    AcceptedElsewhere,
    /// Another device of the user said no.
    DeclinedElsewhere,
    /// The caller gave up.
    Cancelled,
    /// The deadline passed.
    Missed,
    /// The user is in another call.
    BusyElsewhere,
    /// The call went on to another device of the user.
    MovedToDevice,
    /// This device itself answered or declined.
    AnsweredHere,
}

/// Why a call or a leg ended, as the product's backend may know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the table of end reasons in docs/calls.md says what each is, and what each side sees"
)]
pub enum EndReason {
    Completed,
    Cancelled,
    Declined,
    Busy,
    NoAnswer,
    Unreachable,
    Suppressed,
    DeniedHidden,
    Denied,
    RateLimited,
    Incompatible,
    Capacity,
    ConnectFailed,
    ConnectionLost,
    Removed,
    EndedByHost,
    EndedByServer,
}

impl EndReason {
    /// Nobody came, whatever the reason was.
    pub(crate) fn is_unanswered(self) -> bool {
        matches!(
            self,
            Self::Declined
                | Self::Busy
                | Self::NoAnswer
                | Self::Unreachable
                | Self::Suppressed
                | Self::DeniedHidden
                | Self::Denied
        )
    }
}

/// What the callee's side says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Ring.
    Ring,
    /// A missed call for the callee, no answer for the caller.
    Silent,
    /// The caller is told that this person cannot be called.
    Deny,
    /// The caller cannot tell it from a call that nobody answers; the callee finds nothing.
    DenyHidden,
}

/// Bounds on a call. `None` and `false`: the settings' defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// People in the call at once.
    pub max_participants: Option<u32>,
    /// Longest duration from the first accept.
    pub max_duration_ms: Option<u64>,
    /// Audio only.
    pub no_video: bool,
    /// No screens.
    pub no_screen_share: bool,
    /// For the product; not enforced here.
    pub no_recording: bool,
    /// Every participant must encrypt end to end; enforced by clients.
    pub must_encrypt_end_to_end: bool,
}

/// A request to turn audio into video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// Who asked.
    pub by: UserId,
    /// When.
    pub at: Time,
    /// Who agreed, the asker included.
    pub accepted: Vec<UserId>,
    /// Who did not.
    pub declined: Vec<UserId>,
}

impl Upgrade {
    /// Asked by this user, or not yet answered.
    pub(crate) fn concerns(&self, user: &UserId) -> bool {
        self.by == *user || !(self.accepted.contains(user) || self.declined.contains(user))
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its name.
    pub id: CallId,
    /// Grows by one with each transition.
    pub revision: u64,
    /// Where it stands.
    pub state: CallState,
    /// For two or for many.
    pub kind: CallKind,
    /// What it began as, or was upgraded to.
    pub media: Media,
    /// The product's chat, if any.
    pub conversation: Option<ConversationId>,
    /// Set if it began through a link.
    pub link: Option<LinkId>,
    /// Who began it.
    pub creator: UserId,
    /// Everybody who was ever part of it, the creator first.
    pub legs: Vec<Leg>,
    /// When it was created.
    pub created_at: Time,
    /// The first accept.
    pub answered_at: Option<Time>,
    /// The end.
    pub ended_at: Option<Time>,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// The product's own bytes.
    pub app_data: Vec<u8>,
    /// Bounds.
    pub limits: Limits,
    /// A wish for video that waits for answers.
    pub upgrade: Option<Upgrade>,
    /// Waiters came through a link that has a lobby.
    pub lobby: bool,
    /// Requests that were done, newest last, so that a retry changes nothing. Bounded by the settings.
    pub requests: Vec<Done>,
    /// Ratings so far.
    pub ratings: Vec<Rating>,
    /// Seats given out, for identities in the room.
    pub seats: u32,
    /// Timers of the call itself; those of legs stand in the legs.
    pub timers: CallTimers,
}

/// Absolute deadlines of a call; `None`: not running.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "docs/calls.md, Timers")]
pub struct CallTimers {
    pub alone: Option<Time>,
    pub empty: Option<Time>,
    pub longest: Option<Time>,
}

/// A request that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Its id.
    pub id: RequestId,
    /// Who asked; two users may choose the same id.
    pub by: Option<UserId>,
    /// What it was, so that another request under the same id is refused rather than mistaken for it.
    pub fingerprint: u64,
    /// It created the call.
    #[serde(default)]
    pub created: bool,
}

/// One user's part in a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// Who.
    pub user: UserId,
    /// What the others see.
    pub handle: String,
    /// Where it stands.
    pub state: LegState,
    /// What the callee's side said.
    pub verdict: Verdict,
    /// Callers see "no answer" instead of "busy" and "declined".
    pub hide_busy: bool,
    /// Who invited; `None` for the creator and those who came by themselves.
    pub invited_by: Option<UserId>,
    /// The devices that are or were rung, or that joined.
    pub devices: Vec<DeviceLeg>,
    /// Devices that are not connected may be woken by a push.
    pub push: bool,
    /// When it was invited, last.
    pub invited_at: Time,
    /// When the ring is over.
    pub ring_deadline: Option<Time>,
    /// When a device won, last.
    pub accepted_at: Option<Time>,
    /// When media came up, first.
    pub joined_at: Option<Time>,
    /// When it left, last.
    pub left_at: Option<Time>,
    /// Why it is over.
    pub end_reason: Option<EndReason>,
    /// The device that is in the call, and its identity in the room.
    pub seat: Option<SeatTaken>,
    /// Said to hold.
    pub on_hold: bool,
    /// May send video.
    pub video_allowed: bool,
    /// May end, admit and moderate.
    pub host: bool,
    /// How well media came to this user.
    pub quality: Quality,
    /// What this leg is made to look like, timers that run, views sent: see the fields.
    pub inner: LegInner,
}

/// A device in the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatTaken {
    /// Which.
    pub device: DeviceId,
    /// The participant's identity in the room: `user#number`.
    pub identity: String,
    /// During a transfer: the seat that leaves once this one's media is up.
    pub replaces: Option<Box<SeatTaken>>,
}

/// What a leg looks like while the truth is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mask {
    /// As if it still rang, until the deadline.
    Rings,
    /// As if nobody had answered.
    NoAnswer,
    /// As if the user were in another call.
    Busy,
    /// As if the caller had given up on it.
    Cancelled,
    /// As somebody who cannot be called.
    CannotCall,
}

/// The part of a leg that only the model itself reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegInner {
    /// A leg that does not ring shows "ringing" at this time, if at all.
    pub pretend_ringing_at: Option<Time>,
    /// The caller has seen "ringing".
    pub shown_ringing: bool,
    /// What the others see instead of how the leg stands.
    pub mask: Option<Mask>,
    /// A device had a socket when it was invited: how soon it would have acknowledged.
    pub connected: bool,
    /// A device of a leg that does not ring announced call waiting.
    pub call_waiting: bool,
    /// A host took video away; no upgrade gives it back.
    pub video_forbidden: bool,
    /// Pushes sent.
    pub pushes: u32,
    /// The next push.
    pub push_at: Option<Time>,
    /// Media must be up by then.
    pub connect_by: Option<Time>,
    /// Media must be back by then.
    pub reconnect_by: Option<Time>,
    /// Views sent to this user: their revision, which hides transitions that this user must not notice.
    pub views: u64,
}

/// One device of an invited user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLeg {
    /// Which.
    pub device: DeviceId,
    /// Where it stands.
    pub state: DeviceState,
    /// It rings while another call of the user goes on.
    pub waiting: bool,
    /// It can show a second call while one goes on.
    #[serde(default)]
    pub call_waiting: bool,
    /// When the ring was offered to it.
    pub offered_at: Time,
}

impl Leg {
    /// Its devices ring, until `ring_deadline`. Members of a call that began silently are invited, but do not ring.
    pub fn rings(&self) -> bool {
        self.state.is_pending() && self.ring_deadline.is_some() && self.inner.mask.is_none()
    }

    /// The others believe that it rings.
    pub fn looks_ringing(&self) -> bool {
        self.rings() || self.inner.mask == Some(Mask::Rings)
    }

    /// The user must not learn that this leg is there.
    pub fn is_hidden(&self) -> bool {
        self.state == LegState::Suppressed
    }

    /// This device has the user's seat, or takes it over, or gives it away.
    pub fn sits(&self, device: &DeviceId) -> bool {
        self.seats().any(|seat| seat.device == *device)
    }

    /// The seat and the one that it replaces.
    pub(crate) fn seats(&self) -> impl Iterator<Item = &SeatTaken> {
        let seat = self.seat.as_ref();
        seat.into_iter().chain(seat.and_then(|seat| seat.replaces.as_deref()))
    }

    /// The seat whose media is the user's now: during a transfer, still the old one.
    pub(crate) fn current_seat(&self) -> Option<&SeatTaken> {
        self.seats().last()
    }

    /// Gives up all seats. A device that was still on its way has not won.
    pub(crate) fn take_seats(&mut self) -> Vec<SeatTaken> {
        let Some(mut seat) = self.seat.take() else { return Vec::new() };
        let Some(old) = seat.replaces.take() else { return vec![seat] };
        for known in self.devices.iter_mut().filter(|known| known.device == seat.device) {
            known.state = DeviceState::Dead;
        }
        vec![seat, *old]
    }

    /// Accepted in vain, but may accept once more.
    pub(crate) fn may_retry(&self, now: Time) -> bool {
        self.state == LegState::Failed && self.inner.reconnect_by.is_some_and(|until| now < until)
    }
}

impl Call {
    /// A user's leg.
    pub fn leg(&self, user: &UserId) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.user == *user)
    }

    /// Whether the participant `identity` may be in the room now. A token outlives its seat; ask before letting it in.
    pub fn admits(&self, identity: &str) -> bool {
        self.state != CallState::Ended
            && self.legs.iter().any(|leg| leg.seats().any(|seat| seat.identity == identity))
    }

    /// People in the call.
    pub(crate) fn in_call(&self) -> usize {
        self.legs.iter().filter(|leg| leg.state.is_in_call()).count()
    }

    /// What a seat may send.
    pub(crate) fn may_share_screen(&self, leg: &Leg) -> bool {
        leg.video_allowed && !self.limits.no_screen_share
    }
}
