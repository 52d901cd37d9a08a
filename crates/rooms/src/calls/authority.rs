//! Who may ring whom: the product's permission hook, or the built-in policy; and rate limits.
use sluice_calls::{CallId, CallKind, ConversationId, Invitee, Limits, Media, Party, UserId};

use super::desk::Trouble;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) caller: Party,
    pub(crate) callees: Vec<(UserId, String)>,
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) media: Media,
    pub(crate) kind: CallKind,
    /// Set when people are invited into a call that goes on.
    pub(crate) call: Option<CallId>,
}

/// What the callees' side says, one invitee per callee, in order.
#[derive(Debug, Clone)]
pub(crate) struct Permission {
    pub(crate) invitees: Vec<Invitee>,
    pub(crate) limits: Limits,
}

/// Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Authority {}

impl Authority {
    /// Rate limits first, then the hook or the built-in policy.
    pub(crate) async fn authorize(&self, question: Question) -> Result<Permission, Trouble> {
        let _ = question;
        unimplemented!()
    }
}
