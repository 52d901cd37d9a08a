//! A room's task: commands in, one after the other; notices out, never waiting.
use std::sync::Arc;

use prost::Message;
use sluice_api::sfu::v1 as sfu;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tracing::Instrument;

use super::roster::{Outbox, Roster};
use super::{
    Change, Command, Entrant, Handle, JoinError, Joined, News, Notice, ROOM_MAILBOX, Reason, Report,
};
use crate::directory::Directory;
use crate::model;
use crate::node::{BackOff, Node, is_transient, now_ms};
use crate::settings::seconds;

/// Attempts to end a room at the node before it is left to an operator: about ten minutes.
const MOST_DELETIONS: u32 = 200;

/// Who joined this long before the node was asked may not have had its sessions yet. Should they be missing for good,
/// its own calls to the node find out.
const NEWCOMER_MS: i64 = 10_000;

/// How a room begins.
pub(crate) enum Beginning {
    New,
    /// After a restart: events up to this one are part of the picture.
    Recovered {
        roster: Box<Roster>,
        sequence: u64,
    },
}

struct Actor {
    record: model::Room,
    roster: Roster,
    node: Node,
    directory: Directory,
    itself: Handle,
    /// When an empty room ends; `None` while somebody is there.
    ends_at: Option<Instant>,
    /// Events up to this one are part of the picture already.
    sequence: u64,
    /// When the node was last asked for its picture, milliseconds since the Unix epoch.
    asked_at_ms: i64,
}

/// Starts a room's task. Commands wait until the room exists at the node; if it cannot be created, joins fail.
pub(crate) fn start(
    record: model::Room,
    beginning: Beginning,
    node: Node,
    directory: Directory,
    stop: CancellationToken,
) -> Handle {
    let (commands, mailbox) = mpsc::channel(ROOM_MAILBOX);
    let handle = Handle { room_id: record.room_id.as_str().into(), commands };
    let span = tracing::info_span!("room", id = record.room_id, name = record.name);
    let itself = handle.clone();
    let (roster, sequence, new) = match beginning {
        Beginning::New => (Roster::default(), 0, true),
        Beginning::Recovered { roster, sequence } => (*roster, sequence, false),
    };
    let empty = if new { record.empty_timeout } else { record.departure_timeout };
    let ends_at = roster.is_empty().then(|| Instant::now() + seconds(empty));
    let actor = Actor { record, roster, node, directory, itself, ends_at, sequence, asked_at_ms: 0 };
    tokio::spawn(actor.run(mailbox, new, stop).instrument(span));
    handle
}

impl Actor {
    async fn run(mut self, mut mailbox: mpsc::Receiver<Command>, new: bool, stop: CancellationToken) {
        metrics::gauge!("sluice_rooms_rooms").increment(1.0);
        let created = if new { self.create().await } else { Ok(()) };
        match created {
            Ok(()) => {
                let outbox = self.roster.settle();
                self.post(outbox);
                self.serve(&mut mailbox, &stop).await;
            }
            Err(error) => self.refuse(&mut mailbox, error).await,
        }
        metrics::gauge!("sluice_rooms_rooms").decrement(1.0);
    }

    async fn create(&self) -> Result<(), JoinError> {
        self.directory.claim(&self.record).await?;
        let app_state = self.record.encode_to_vec().into();
        self.node.put_room(&self.record.room_id, Some(app_state)).await.map_err(|status| {
            tracing::warn!(code = ?status.code(), message = status.message(), "the node did not create the room");
            JoinError::Node(status.message().to_owned())
        })
    }

    /// Nobody gets in: answers those who wait, and cleans up what may have come to be.
    async fn refuse(&mut self, mailbox: &mut mpsc::Receiver<Command>, error: JoinError) {
        self.directory.forget(&self.record.name, &self.record.room_id).await;
        mailbox.close();
        while let Some(command) = mailbox.recv().await {
            if let Command::Join { reply, .. } = command {
                answer(reply, Err(error.clone()));
            }
        }
        self.delete_at_node();
    }

    async fn serve(&mut self, mailbox: &mut mpsc::Receiver<Command>, stop: &CancellationToken) {
        tracing::info!(participants = self.roster.len(), "room begins");
        loop {
            let end = self.ends_at;
            let command = tokio::select! {
                biased;
                // The process goes, the room stays: the node holds everything that the next process needs.
                () = stop.cancelled() => return,
                () = at(end) => break,
                command = mailbox.recv() => command,
            };
            let Some(command) = command else { break };
            if !self.obey(command) {
                break;
            }
            self.watch_emptiness();
        }
        tracing::info!("room ends");
        self.directory.forget(&self.record.name, &self.record.room_id).await;
        self.delete_at_node();
    }

    fn watch_emptiness(&mut self) {
        if !self.roster.is_empty() {
            self.ends_at = None;
        } else if self.ends_at.is_none() {
            self.ends_at = Some(Instant::now() + seconds(self.record.departure_timeout));
        }
    }

    /// False: the room is over.
    fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Join { entrant, reply } => self.join(*entrant, reply),
            Command::Find { participant_id, identity, reply } => {
                let seat = self.roster.seat(&participant_id);
                let door = seat
                    .filter(|seat| seat.presence.participant.identity == identity)
                    .map(|seat| seat.door.clone());
                // Whoever asked may have gone meanwhile: then nobody needs the answer.
                drop(reply.send(door));
            }
            Command::Change { participant_id, change } => {
                self.report_change(&participant_id, &change);
                let outbox = self.roster.change(&participant_id, change);
                self.post(outbox);
            }
            Command::Leave { participant_id, reason } => self.leave(&participant_id, reason),
            Command::Event { sequence, kind } => return self.event(sequence, kind),
            Command::Remove { identity, reason } => self.remove(&identity, reason),
            Command::Mute { identity } => {
                if let Some(seat) = self.roster.find(&identity) {
                    let id = seat.presence.id().to_owned();
                    self.post(vec![(id, Notice::Mute)]);
                }
            }
            Command::Permit { identity, sources } => {
                let outbox = self.roster.permit(&identity, sources);
                self.post(outbox);
            }
            Command::Close => {
                self.dismiss_all(Reason::CallOver);
                return false;
            }
            // Whoever asked may have gone meanwhile.
            Command::Who { reply } => drop(reply.send(self.roster.who())),
            Command::Compare => self.ask_node(),
            Command::Compared(room) => return self.compared(room.map(|room| *room)),
        }
        true
    }

    fn join(&mut self, entrant: Entrant, reply: oneshot::Sender<Result<Joined, JoinError>>) {
        let most = usize::try_from(self.record.max_participants).unwrap_or(usize::MAX);
        let admission = match self.roster.join(entrant, most) {
            Ok(admission) => admission,
            Err(error) => return answer(reply, Err(error)),
        };
        if let Some(door) = admission.evicted {
            metrics::counter!("sluice_rooms_leaves_total", "reason" => Reason::Duplicate.as_str())
                .increment(1);
            metrics::gauge!("sluice_rooms_participants").decrement(1.0);
            // A mailbox that is full or closed belongs to a task that is ending anyway.
            drop(door.notices.try_send(Notice::Leave(Reason::Duplicate)));
        }
        metrics::gauge!("sluice_rooms_participants").increment(1.0);
        let id = admission.presence.id().to_owned();
        let joined = Joined {
            room: self.record.clone(),
            me: admission.presence,
            others: self.roster.visible_to(&id),
            wanted: self.roster.seat(&id).map_or_else(|| Arc::from([]), |seat| seat.wanted.clone()),
        };
        answer(reply, Ok(joined));
        self.post(admission.outbox);
    }

    fn leave(&mut self, participant_id: &str, reason: Reason) {
        if self.roster.seat(participant_id).is_none() {
            return;
        }
        metrics::counter!("sluice_rooms_leaves_total", "reason" => reason.as_str()).increment(1);
        metrics::gauge!("sluice_rooms_participants").decrement(1.0);
        self.report_leave(participant_id, reason);
        let outbox = self.roster.leave(participant_id, reason);
        self.post(outbox);
    }

    /// Out at once; its task ends by itself.
    fn remove(&mut self, identity: &str, reason: Reason) {
        let Some(seat) = self.roster.find(identity) else { return };
        let id = seat.presence.id().to_owned();
        // As for duplicates: a task that cannot take this is ending anyway.
        drop(seat.door.notices.try_send(Notice::Leave(reason)));
        self.leave(&id, reason);
    }

    fn report_change(&self, participant_id: &str, change: &Change) {
        let news = match change {
            Change::Active => News::Up,
            Change::Lost => News::Lost,
            _ => return,
        };
        self.report(participant_id, news);
    }

    fn report_leave(&self, participant_id: &str, reason: Reason) {
        if let Some(news) = News::of(reason) {
            self.report(participant_id, news);
        }
    }

    fn report(&self, participant_id: &str, news: News) {
        let Some(seat) = self.roster.seat(participant_id) else { return };
        let identity = seat.presence.participant.identity.clone();
        self.directory.report(Report { room: self.record.name.clone(), identity, news });
    }

    fn event(&mut self, sequence: u64, kind: sfu::event::Kind) -> bool {
        if sequence <= self.sequence {
            return true;
        }
        self.sequence = sequence;
        if let sfu::event::Kind::RoomEnded(event) = &kind {
            tracing::warn!(reason = ?event.reason(), "the node ended the room");
            let deleted = event.reason() == sfu::RoomEndReason::Deleted;
            self.dismiss_all(if deleted { Reason::RoomDeleted } else { Reason::RoomLost });
            return false;
        }
        let outbox = self.roster.event(kind);
        self.post(outbox);
        true
    }

    fn dismiss_all(&mut self, reason: Reason) {
        for id in self.roster.ids() {
            if let Some(seat) = self.roster.seat(&id) {
                // As for duplicates: a task that cannot take this is ending anyway.
                drop(seat.door.notices.try_send(Notice::Leave(reason)));
            }
            self.report_leave(&id, reason);
            metrics::counter!("sluice_rooms_leaves_total", "reason" => reason.as_str()).increment(1);
            metrics::gauge!("sluice_rooms_participants").decrement(1.0);
        }
    }

    /// Hands notices over. A participant whose mailbox is full or gone is given up, which makes more notices.
    fn post(&mut self, mut outbox: Outbox) {
        while !outbox.is_empty() {
            let mut lost = Vec::new();
            for (id, notice) in outbox.drain(..) {
                let Some(seat) = self.roster.seat(&id) else { continue };
                if seat.door.notices.try_send(notice).is_err() && !lost.contains(&id) {
                    lost.push(id);
                }
            }
            for id in lost {
                tracing::warn!(participant = id, "a participant's task does not keep up: given up");
                metrics::counter!("sluice_rooms_leaves_total", "reason" => Reason::Overloaded.as_str())
                    .increment(1);
                metrics::gauge!("sluice_rooms_participants").decrement(1.0);
                self.report_leave(&id, Reason::Overloaded);
                outbox.extend(self.roster.leave(&id, Reason::Overloaded));
            }
        }
    }

    fn ask_node(&mut self) {
        self.asked_at_ms = now_ms();
        // Another boot counts from the start; what comes before the answer is taken as it comes.
        self.sequence = 0;
        let (node, room) = (self.node.clone(), self.itself.clone());
        let task = async move {
            let mut back_off = BackOff::default();
            let answer = loop {
                match node.get_room(&room.room_id).await {
                    Ok(answer) => break answer,
                    Err(status) if is_transient(&status) => tokio::time::sleep(back_off.next()).await,
                    Err(status) => {
                        tracing::error!(code = ?status.code(), message = status.message(), "no snapshot of the room");
                        return;
                    }
                }
            };
            if room.commands.send(Command::Compared(answer.map(Box::new))).await.is_err() {
                tracing::debug!("the room ended before it was compared");
            }
        };
        tokio::spawn(task.in_current_span());
    }

    fn compared(&mut self, room: Option<sfu::Room>) -> bool {
        let Some(room) = room else {
            tracing::warn!("the node lost the room: everybody has to join anew");
            self.dismiss_all(Reason::RoomLost);
            return false;
        };
        self.sequence = self.sequence.max(room.event_sequence);
        let mut outbox = Outbox::new();
        for id in self.roster.ids() {
            let joined = self.roster.seat(&id).map(|seat| seat.presence.participant.joined_at_ms);
            if joined.is_none_or(|joined| joined > self.asked_at_ms - NEWCOMER_MS) {
                continue;
            }
            let of_id = room.sessions.iter().filter(|session| session.participant_id == id);
            let sessions: Arc<[sfu::Session]> = of_id.cloned().collect();
            outbox.push((id, Notice::Compare(sessions)));
        }
        self.post(outbox);
        true
    }

    fn delete_at_node(&self) {
        let (node, room_id) = (self.node.clone(), self.record.room_id.clone());
        let task = async move {
            let mut back_off = BackOff::default();
            for _ in 0..MOST_DELETIONS {
                match node.delete_room(&room_id).await {
                    Ok(()) => return,
                    Err(status) if matches!(status.code(), Code::NotFound | Code::FailedPrecondition) => {
                        return;
                    }
                    Err(status) => {
                        tracing::warn!(code = ?status.code(), message = status.message(), "room not deleted");
                        tokio::time::sleep(back_off.next()).await;
                    }
                }
            }
            tracing::error!("the room stays at the node: delete it by hand");
        };
        tokio::spawn(task.in_current_span());
    }
}

/// Whoever asked may have gone meanwhile: the participant's task then ends by itself.
fn answer(reply: oneshot::Sender<Result<Joined, JoinError>>, answer: Result<Joined, JoinError>) {
    drop(reply.send(answer));
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
