//! What remains of a call: written once, when it has ended. No address, no media, no content.
use serde::{Deserialize, Serialize};

use crate::call::{Call, CallKind, EndReason, Leg, LegState, Media};
use crate::id::{CallId, ConversationId, LinkId, Time, UserId};
use crate::view::ShownReason;

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
    /// Said no; for the caller: was told no.
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

impl Call {
    /// What remains of an ended call.
    pub(crate) fn record(&self) -> Record {
        let ended_at = self.ended_at.unwrap_or(self.created_at);
        Record {
            call: self.id.clone(),
            revision: self.revision,
            conversation: self.conversation.clone(),
            link: self.link.clone(),
            kind: self.kind,
            media: self.media,
            creator: self.creator.clone(),
            created_at: self.created_at,
            answered_at: self.answered_at,
            ended_at,
            duration_ms: self.duration_ms(ended_at),
            end_reason: self.end_reason.unwrap_or(EndReason::EndedByServer),
            legs: self.legs.iter().map(|leg| self.leg_record(leg)).collect(),
            end_to_end_encrypted: self.limits.must_encrypt_end_to_end,
            ratings: self.ratings.clone(),
        }
    }

    fn leg_record(&self, leg: &Leg) -> LegRecord {
        let shown = if leg.user == self.creator { self.creators_outcome(leg) } else { outcome(leg) };
        LegRecord {
            user: leg.user.clone(),
            handle: leg.handle.clone(),
            outcome: leg.state,
            end_reason: leg.end_reason,
            joined_at: leg.joined_at,
            left_at: leg.left_at,
            shown,
            quality: leg.quality,
        }
    }

    /// The caller's list follows from what the caller has seen.
    fn creators_outcome(&self, leg: &Leg) -> Outcome {
        if self.end_reason == Some(EndReason::ConnectFailed) {
            return Outcome::Failed;
        }
        if self.answered_at.is_some() {
            return outcome(leg);
        }
        match self.shown_reason() {
            ShownReason::Cancelled => Outcome::Cancelled,
            ShownReason::Declined => Outcome::Declined,
            ShownReason::Busy => Outcome::Busy,
            _ => Outcome::NoAnswer,
        }
    }
}

/// How the call stands in the list of somebody who was invited or came.
fn outcome(leg: &Leg) -> Outcome {
    if leg.joined_at.is_some() {
        return Outcome::Answered;
    }
    match (leg.state, leg.end_reason) {
        (LegState::Suppressed, Some(EndReason::Suppressed)) => Outcome::Missed,
        (LegState::Suppressed, _) => Outcome::Nothing,
        (LegState::Declined, _) => Outcome::Declined,
        (LegState::Missed | LegState::Unreachable | LegState::Busy, _) => Outcome::Missed,
        (LegState::Cancelled, Some(EndReason::Cancelled)) => Outcome::Missed,
        _ if leg.accepted_at.is_some() => Outcome::Failed,
        _ => Outcome::Nothing,
    }
}
