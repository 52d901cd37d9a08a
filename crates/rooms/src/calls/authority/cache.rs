//! What the hook has said: fresh answers, and for the case that it fails the pairs that it last let ring.
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use sluice_api::calls::v1::CalleeDevice;
use sluice_calls::{CallKind, ConversationId, Limits, Media, Time, UserId, Verdict};

use super::Question;
use super::settings::HookSettings;

/// Longest that an answer may be reused.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What the hook said of one callee, with the limits of the answer in which it stood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) verdict: Verdict,
    pub(super) hide_busy: bool,
    /// Empty: that of the question.
    pub(super) handle: String,
    /// Empty: all that are connected.
    pub(super) devices: Vec<CalleeDevice>,
    pub(super) limits: Limits,
}

/// What was asked, but for the device: an answer holds for the user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    caller: UserId,
    callee: UserId,
    media: Media,
    kind: CallKind,
    conversation: Option<ConversationId>,
}

impl Asked {
    fn new(question: &Question, callee: &UserId) -> Self {
        Self {
            caller: question.caller.user.clone(),
            callee: callee.clone(),
            media: question.media,
            kind: question.kind,
            conversation: question.conversation.clone(),
        }
    }
}

/// Both memories, bounded.
pub(super) struct Memory {
    /// With the time until which it may be reused.
    answers: Cache<Asked, (Time, Arc<Said>)>,
    /// With the time until which it counts.
    rings: Cache<(UserId, UserId), (Time, Arc<Said>)>,
    ring_memory_ms: u64,
}

impl Memory {
    pub(super) fn new(settings: &HookSettings) -> Self {
        let bound = settings.remembered;
        Self {
            answers: Cache::builder().max_capacity(bound).time_to_live(LONGEST).build(),
            rings: Cache::builder().max_capacity(bound).time_to_live(LONGEST).build(),
            ring_memory_ms: settings.ring_memory_s * 1_000,
        }
    }

    /// An answer that may be reused.
    pub(super) fn answer(&self, now: Time, question: &Question, callee: &UserId) -> Option<Arc<Said>> {
        let (until, said) = self.answers.get(&Asked::new(question, callee))?;
        (now < until).then_some(said)
    }

    /// The RING of this pair, if that is what was said last, less than the ring memory ago.
    pub(super) fn ring(&self, now: Time, question: &Question, callee: &UserId) -> Option<Arc<Said>> {
        let (until, said) = self.rings.get(&(question.caller.user.clone(), callee.clone()))?;
        (now < until).then_some(said)
    }

    pub(super) fn keep(&self, now: Time, question: &Question, callee: &UserId, ttl_s: u32, said: &Arc<Said>) {
        let ttl = Duration::from_secs(ttl_s.into()).min(LONGEST);
        let asked = Asked::new(question, callee);
        if ttl.is_zero() {
            self.answers.invalidate(&asked);
        } else {
            let until = now.after_ms(ttl.as_secs() * 1_000);
            self.answers.insert(asked, (until, said.clone()));
        }
        let pair = (question.caller.user.clone(), callee.clone());
        if said.verdict == Verdict::Ring {
            self.rings.insert(pair, (now.after_ms(self.ring_memory_ms), said.clone()));
        } else {
            self.rings.invalidate(&pair);
        }
    }
}
