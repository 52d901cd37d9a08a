//! The model of calls: who rings whom, who answered on which device, when a ring is over, what each side may know.
//!
//! It moves no media and does no IO. The [`Switchboard`] holds every live call of one owner:
//!
//! **`handle(now, request)` and `tick(now)` return transitions; a transition is true only once its call is stored.**
//! The driver writes [`Transition::call`] (with [`Transition::events`]) to its store, and only then answers, notifies and
//! acts. After a crash it gives the stored calls back with [`Switchboard::restore`], and every timer goes on at its own
//! deadline.
//!
//! Time, ids and seeds are arguments. docs/calls.md tells the model by scenario.
#![forbid(unsafe_code)]

mod book;
mod call;
mod change;
mod create;
mod disguise;
mod id;
mod invite;
mod lobby;
mod moderation;
mod outcome;
mod presence;
mod record;
mod request;
mod retry;
mod ringing;
mod settings;
mod settle;
mod switchboard;
mod timers;
mod transfer;
mod upgrade;
mod view;

pub use call::{
    Call, CallKind, CallState, CallTimers, DeviceLeg, DeviceState, Done, EndReason, Leg, LegInner, LegState,
    Limits, Mask, Media, SeatTaken, StopReason, Upgrade, Verdict,
};
pub use id::{CallId, ConversationId, DeviceId, LinkId, RequestId, Time, UserId};
pub use outcome::{
    Answer, Effect, Event, EventKind, Notice, NoticeKind, Outcome, Push, Reason, Refusal, Seat, Transition,
};
pub use record::{LegRecord, Outcome as RecordOutcome, Quality, Rating, Record};
pub use request::{Action, Create, DeviceOffer, Invitee, LinkEntry, MediaState, Moderation, Party, Request};
pub use settings::Settings;
pub use switchboard::Switchboard;
pub use view::{CallView, Member, Ring, Shown, ShownReason};
