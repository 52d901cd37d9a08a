//! The task itself.
use std::time::{Duration, Instant};

use sluice_calls::{Call, CallId, Effect, EventKind, Settings, Switchboard, Time, Transition};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::{Mail, Mailbox, Trouble};
use crate::calls::authority::Authority;
use crate::calls::documents::Documents;
use crate::calls::hub::Hub;
use crate::node::BackOff;
use crate::store::{Change, Position, StoreError};

/// Requests written together. More would make the first of them wait longer than a write takes.
const MOST_REQUESTS: usize = 1_024;
/// Deadlines are of the wall clock, which may be set: look at it this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What the task works with.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) documents: Documents,
    pub(crate) hub: Hub,
    /// Hears of answers: they end a row of redials.
    pub(crate) authority: Authority,
    /// What is to be done to rooms, in order.
    pub(crate) effects: mpsc::Sender<(CallId, Effect)>,
    /// Where the log ends.
    pub(crate) last: watch::Sender<Position>,
    pub(crate) clock: fn() -> Time,
}

/// The owner of the live calls.
pub(crate) struct Task {
    parts: Parts,
    board: Switchboard,
    mailbox: Mailbox,
    /// Never goes back, whatever the clock does.
    now: Time,
}

impl Task {
    /// With the calls that the store holds.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn load(parts: Parts, mailbox: Mailbox) -> Result<Self, StoreError> {
        let board = restore(&parts).await?;
        let position = parts.documents.store.span().await?.last;
        parts.last.send_replace(position);
        let now = (parts.clock)();
        Ok(Self { parts, board, mailbox, now })
    }

    /// Runs until `stop`, or until nobody can ask any more.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut mail = Vec::new();
        loop {
            let wait = self.wait();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                count = self.mailbox.0.recv_many(&mut mail, MOST_REQUESTS) => if count == 0 { return },
                () = tokio::time::sleep(wait) => {}
            }
            self.advance();
            let batch = Batch::apply(&mut self.board, self.now, mail.drain(..));
            if !self.settle(batch, &stop).await {
                return;
            }
        }
    }

    fn advance(&mut self) {
        self.now = self.now.max((self.parts.clock)());
    }

    fn wait(&self) -> Duration {
        let now = self.now.max((self.parts.clock)());
        let next = self.board.next_deadline().map(|at| Duration::from_millis(at.ms_since(now)));
        next.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP)
    }

    /// Writes the batch, then tells. False: told to stop meanwhile.
    async fn settle(&mut self, batch: Batch, stop: &CancellationToken) -> bool {
        // The batch holds what is not Sync, and must not be borrowed across the write.
        let changes = batch.changes(&self.parts.documents, self.now);
        match self.write(changes).await {
            Ok(()) => {
                let Batch { transitions, replies, looks, .. } = batch;
                for (reply, answer) in replies {
                    // Whoever asked may have gone meanwhile.
                    drop(reply.send(answer));
                }
                self.tell(&transitions).await;
                looks.into_iter().for_each(|look| look(Ok(&self.board)));
                true
            }
            Err(error) => self.recover(batch, error, stop).await,
        }
    }

    async fn write(&self, changes: Result<Vec<Change>, StoreError>) -> Result<(), StoreError> {
        let changes = changes?;
        if changes.is_empty() {
            return Ok(());
        }
        metrics::histogram!("sluice_calls_batch_changes").record(changes.len() as f64);
        let began = Instant::now();
        let answers = self.parts.documents.store.commit(changes).await?;
        metrics::histogram!("sluice_calls_commit_seconds").record(began.elapsed());
        let mut last = Position::default();
        for answer in answers {
            last = last.max(answer?.position);
        }
        self.parts.last.send_if_modified(|position| {
            let grown = last > *position;
            *position = last.max(*position);
            grown
        });
        Ok(())
    }

    /// Devices first, then rooms: nobody waits for a room.
    async fn tell(&self, transitions: &[Transition]) {
        for transition in transitions {
            for notice in &transition.notices {
                self.parts.hub.deliver(notice, &transition.call);
            }
        }
        for transition in transitions {
            count(transition);
            for event in &transition.events {
                if let EventKind::LegAccepted(user) = &event.kind {
                    let by = transition.call.leg(user).and_then(|leg| leg.invited_by.as_ref());
                    self.parts.authority.answered(by.unwrap_or(&transition.call.creator), user);
                }
            }
            for effect in &transition.effects {
                if self.parts.effects.send((transition.call.id.clone(), effect.clone())).await.is_err() {
                    tracing::debug!("rooms are gone: the server stops");
                }
            }
        }
    }

    /// The model is ahead of the store: starts anew from what is written, once that works.
    async fn recover(&mut self, batch: Batch, error: StoreError, stop: &CancellationToken) -> bool {
        metrics::counter!("sluice_calls_store_failures_total").increment(1);
        tracing::error!(%error, "the store cannot be written: calls stand still");
        let trouble = Trouble::from(error);
        for (reply, _) in batch.replies {
            // As everywhere: whoever asked may have gone.
            drop(reply.send(Err(trouble.clone())));
        }
        refuse(batch.looks.into_iter().map(Mail::Look), &trouble);
        let mut back_off = BackOff::default();
        loop {
            let again = tokio::time::sleep(back_off.next());
            tokio::pin!(again);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return false,
                    mail = self.mailbox.0.recv() => match mail {
                        Some(mail) => refuse(std::iter::once(mail), &trouble),
                        None => return false,
                    },
                    () = &mut again => break,
                }
            }
            match self.rebuild(&batch.transitions).await {
                Ok(written) => {
                    tracing::warn!("the store works again");
                    self.tell(&written).await;
                    return true;
                }
                Err(error) => tracing::warn!(%error, "the store still fails"),
            }
        }
    }

    /// A new switchboard; returns those transitions that were written after all.
    async fn rebuild(&mut self, transitions: &[Transition]) -> Result<Vec<Transition>, StoreError> {
        let documents = &self.parts.documents;
        // A store that reads but cannot write is of no use: this changes nothing else.
        documents.probe().await?;
        let mut written = Vec::new();
        for transition in transitions {
            let id = &transition.call.id;
            let revision = match documents.stored(id).await? {
                Some(call) => Some(call.revision),
                None => documents.ended(id).await?.map(|ended| ended.call.revision),
            };
            if revision.is_some_and(|revision| revision >= transition.call.revision) {
                written.push(transition.clone());
            }
        }
        let position = documents.store.span().await?.last;
        self.board = restore(&self.parts).await?;
        self.parts.last.send_replace(position);
        Ok(written)
    }
}

async fn restore(parts: &Parts) -> Result<Switchboard, StoreError> {
    let mut board = Switchboard::new(parts.settings.clone(), rand::random());
    let live: Vec<Call> = parts.documents.live().await?;
    if !live.is_empty() {
        tracing::info!(calls = live.len(), "calls go on");
    }
    metrics::gauge!("sluice_calls_live").set(live.len() as f64);
    live.into_iter().for_each(|call| board.restore(call));
    Ok(board)
}

fn refuse(mail: impl Iterator<Item = Mail>, trouble: &Trouble) {
    for mail in mail {
        match mail {
            // Whoever asked may have gone meanwhile.
            Mail::Ask { reply, .. } => drop(reply.send(Err(trouble.clone()))),
            Mail::Look(look) => look(Err(trouble.clone())),
        }
    }
}

fn count(transition: &Transition) {
    if let Some(record) = &transition.record {
        let reason = crate::calls::convert::enums::end_reason(record.end_reason).as_str_name();
        metrics::counter!("sluice_calls_ended_total", "reason" => reason).increment(1);
        metrics::gauge!("sluice_calls_live").decrement(1.0);
    } else if transition.call.revision == 1 {
        metrics::gauge!("sluice_calls_live").increment(1.0);
    }
}

/// The clock of deadlines, which outlive this process.
pub(crate) fn wall_clock() -> Time {
    Time(u64::try_from(crate::node::now_ms()).unwrap_or_default())
}
