//! What remains of a call: written once, when it has ended. No address, no media, no content.
use serde::{Deserialize, Serialize};

use crate::call::{CallKind, EndReason, LegState, Media};
use crate::id::{CallId, ConversationId, LinkId, Time, UserId};

/// An ended call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of Call's fields")]
pub struct Record {
    pub call: CallId,
    pub revision: u64,
    pub conversation: Option<ConversationId>,
    pub link: Option<LinkId>,
    pub kind: CallKind,
    pub media: Media,
    pub creator: UserId,
    pub created_at: Time,
    pub answered_at: Option<Time>,
    pub ended_at: Time,
    /// From the first accept to the end; 0 if nobody answered.
    pub duration_ms: u64,
    pub end_reason: EndReason,
    pub legs: Vec<LegRecord>,
    pub end_to_end_encrypted: bool,
    pub ratings: Vec<Rating>,
}

/// One user's part in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of Leg's fields")]
pub struct LegRecord {
    pub user: UserId,
    pub handle: String,
    pub outcome: LegState,
    pub end_reason: Option<EndReason>,
    pub joined_at: Option<Time>,
    pub left_at: Option<Time>,
    /// What this user's own list of calls shows.
    pub shown: Outcome,
    pub quality: Quality,
}

/// How a call stands in one user's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Talked.
    Answered,
    /// Was rung, or silently called, and did not answer.
    Missed,
    /// Said no.
    Declined,
    /// Accepted, but it did not come to be.
    Failed,
    /// Not in the list.
    Nothing,
    /// The caller's own unanswered call.
    NoAnswer,
    /// The caller's own, given up.
    Cancelled,
    /// The caller's own: the other was in a call.
    Busy,
}

/// How well media came to one user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quality {
    /// Share of packets lost, 0 to 1.
    pub loss: f64,
    /// Milliseconds.
    pub round_trip_ms: u32,
    /// Milliseconds of standing pictures per minute.
    pub frozen_ms_per_minute: u32,
}

/// What a user thought of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// Who.
    pub user: UserId,
    /// 1 (bad) to 5 (good).
    pub stars: u8,
}
