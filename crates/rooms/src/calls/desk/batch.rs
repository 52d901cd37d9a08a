//! What is done together: requests and timers, applied to the model, and what then waits for the write.
use std::time::Instant;

use sluice_calls::{Action, Answer, Request, Switchboard, Time, Transition};
use tokio::sync::oneshot;

use super::{Look, Mail, Trouble};
use crate::calls::documents::{Documents, Remember};
use crate::store::{Change, StoreError};

/// Calls whose timers fire in one batch: the write stays within a few MiB.
const MOST_TIMERS: usize = 256;

type Reply = oneshot::Sender<Result<Answer, Trouble>>;

/// One batch.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) transitions: Vec<Transition>,
    pub(super) replies: Vec<(Reply, Result<Answer, Trouble>)>,
    pub(super) looks: Vec<Look>,
    /// Creations, and the id of the call that each made.
    memories: Vec<(Remember, String)>,
}

impl Batch {
    /// Timers first: a request at a deadline's edge finds the deadline done.
    pub(super) fn apply(board: &mut Switchboard, now: Time, mail: impl Iterator<Item = Mail>) -> Self {
        let mut batch = Self { transitions: board.tick(now, MOST_TIMERS), ..Self::default() };
        for mail in mail {
            match mail {
                Mail::Ask { request, remember, reply } => batch.ask(board, now, request, remember, reply),
                Mail::Look(look) => batch.looks.push(look),
            }
        }
        batch
    }

    fn ask(
        &mut self,
        board: &mut Switchboard,
        now: Time,
        request: Request,
        remember: Option<Remember>,
        reply: Reply,
    ) {
        let kind = name(&request.action);
        let began = Instant::now();
        let result = board.handle(now, request);
        metrics::histogram!("sluice_calls_model_seconds", "action" => kind).record(began.elapsed());
        let answer = result.map_err(Trouble::from).map(|outcome| {
            if let (Some(remember), Some(call)) = (remember, &outcome.answer.call)
                && !outcome.transitions.is_empty()
            {
                self.memories.push((remember, call.id.to_string()));
            }
            self.transitions.extend(outcome.transitions);
            outcome.answer
        });
        self.replies.push((reply, answer));
    }

    /// All writes, in order.
    pub(super) fn changes(&self, documents: &Documents, now: Time) -> Result<Vec<Change>, StoreError> {
        let mut changes = documents.changes(&self.transitions)?;
        for (remember, made) in &self.memories {
            changes.extend(documents.remember(now, remember, made)?);
        }
        Ok(changes)
    }
}

/// For metrics: few, and fixed.
pub(super) fn name(action: &Action) -> &'static str {
    match action {
        Action::Create(_) => "create",
        Action::Ack { .. } => "ack",
        Action::Accept { .. } => "accept",
        Action::Decline { .. } => "decline",
        Action::Cancel { .. } => "cancel",
        Action::Join { .. } => "join",
        Action::JoinLink(_) => "join_link",
        Action::Leave { .. } => "leave",
        Action::End { .. } => "end",
        Action::Invite { .. } => "invite",
        Action::CancelInvite { .. } => "cancel_invite",
        Action::RequestUpgrade { .. } => "request_upgrade",
        Action::RespondUpgrade { .. } => "respond_upgrade",
        Action::Hold { .. } => "hold",
        Action::Transfer { .. } => "transfer",
        Action::Moderate { .. } => "moderate",
        Action::Admit { .. } => "admit",
        Action::Rate { .. } => "rate",
        Action::DeviceAppeared { .. } => "device_appeared",
        Action::DeviceVanished { .. } => "device_vanished",
        Action::Media { .. } => "media",
        Action::Quality { .. } => "quality",
    }
}
