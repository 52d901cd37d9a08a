//! The way out of a shard: events and replies in the order in which they came about.
//!
//! Replies go the same way as events so that whoever gets one may know which events were before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use sluice_engine::id::{RoomId, SessionId};
use sluice_engine::model::SessionState;
use sluice_engine::{Command, CommandError, Event, EventKind, Reply, RoomAction};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// Events that may wait to be numbered. They are numbered within microseconds; a backlog means that the machine is out
/// of processor time, and then a gap (which watchers are told of) is better than memory without end.
const QUEUE: usize = 65_536;

/// What a shard says.
#[derive(Debug)]
pub(crate) enum Note {
    /// For everybody who watches, from this shard.
    Event(usize, Event, SystemTime),
    /// So many events should have come here.
    Lost(u64),
    /// For the caller of a command of this shard.
    Answer(usize, Answer),
    /// A command that creates or updates this on a shard was withdrawn before it began.
    PutWithdrawn(usize, Put),
}

/// What a command creates or updates, for the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Put {
    Room(RoomId),
    Session(RoomId, SessionId),
}

impl Put {
    pub(crate) fn of(command: &Command) -> Option<Self> {
        match command {
            Command::Room { room, action: RoomAction::Put { .. }, .. } => Some(Put::Room(room.clone())),
            Command::Room { room, action: RoomAction::PutSession { session, .. }, .. } => {
                Some(Put::Session(room.clone(), session.clone()))
            }
            _ => None,
        }
    }
}

/// A reply on its way to its caller.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) to: oneshot::Sender<Answered>,
    pub(crate) result: Result<Reply, CommandError>,
    pub(crate) put: Option<Put>,
}

/// What a caller gets.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) result: Result<Reply, CommandError>,
    /// The node's last event before this reply.
    pub(crate) event_sequence: u64,
}

impl Answer {
    /// Hands the reply over. A caller that is gone needs none.
    pub(crate) fn deliver(self, event_sequence: u64) {
        let _ = self.to.send(Answered { result: self.result, event_sequence });
    }
}

/// A shard's end.
///
/// Never blocks. Events are dropped and counted when [`QUEUE`] wait; the ends of rooms and sessions, which the directory must know,
/// and replies are never dropped, and are bounded by the rooms, the sessions and the command queue.
#[derive(Clone)]
pub(crate) struct Outbox {
    shard: usize,
    notes: UnboundedSender<Note>,
    waiting: Arc<AtomicUsize>,
    lost: u64,
}

/// The end of the one task that reads all shards' notes.
pub(crate) struct Notes {
    notes: UnboundedReceiver<Note>,
    waiting: Arc<AtomicUsize>,
}

pub(crate) fn outbox() -> (Outbox, Notes) {
    let (sender, receiver) = unbounded_channel();
    let waiting = Arc::<AtomicUsize>::default();
    (
        Outbox { shard: 0, notes: sender, waiting: waiting.clone(), lost: 0 },
        Notes { notes: receiver, waiting },
    )
}

impl Outbox {
    /// The end of one shard.
    pub(crate) fn of_shard(&self, shard: usize) -> Self {
        Outbox { shard, lost: 0, ..self.clone() }
    }

    pub(crate) fn event(&mut self, event: Event) {
        let is_end = matches!(
            event.kind,
            EventKind::RoomEnded { .. } | EventKind::Session { state: SessionState::Closed, .. }
        );
        if self.is_full() && !is_end {
            self.lost += 1;
            return;
        }
        self.mend();
        self.send(Note::Event(self.shard, event, SystemTime::now()));
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.send(Note::Answer(self.shard, answer));
    }

    pub(crate) fn put_withdrawn(&self, put: Put) {
        self.send(Note::PutWithdrawn(self.shard, put));
    }

    /// Says that events were lost, as soon as there is room: a gap must not wait for the next event.
    pub(crate) fn mend(&mut self) {
        if self.lost > 0 && !self.is_full() {
            let lost = std::mem::take(&mut self.lost);
            self.send(Note::Lost(lost));
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= QUEUE
    }

    fn send(&self, note: Note) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // The reader is gone only when the node is; then nobody wants to know.
        let _ = self.notes.send(note);
    }
}

impl Notes {
    /// The next note; `None` once all shards are gone.
    pub(crate) async fn next(&mut self) -> Option<Note> {
        let note = self.notes.recv().await?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_engine::model::RoomEndReason;

    fn room() -> RoomId {
        RoomId::new("r").unwrap()
    }

    fn speakers() -> Event {
        Event { room: room(), kind: EventKind::Speakers { speakers: Vec::new(), dominant: None } }
    }

    fn ended() -> Event {
        Event { room: room(), kind: EventKind::RoomEnded { reason: RoomEndReason::Deleted } }
    }

    #[tokio::test]
    async fn a_full_queue_loses_events_but_never_what_the_directory_needs() {
        let (mut outbox, mut notes) = outbox();
        for _ in 0..QUEUE + 5 {
            outbox.event(speakers());
        }
        outbox.put_withdrawn(Put::Room(room()));
        outbox.event(ended());
        outbox.mend();
        for _ in 0..QUEUE {
            assert!(matches!(notes.next().await, Some(Note::Event(..))));
        }
        assert!(matches!(notes.next().await, Some(Note::PutWithdrawn(..))));
        let end = notes.next().await.unwrap();
        assert!(matches!(end, Note::Event(_, event, _) if matches!(event.kind, EventKind::RoomEnded { .. })));
        // There is room again: the gap is told where it is, once.
        outbox.event(speakers());
        outbox.mend();
        drop(outbox);
        assert!(matches!(notes.next().await, Some(Note::Lost(5))));
        assert!(matches!(notes.next().await, Some(Note::Event(..))));
        assert!(notes.next().await.is_none());
    }

    #[tokio::test]
    async fn a_gap_does_not_wait_for_the_next_event() {
        let (mut outbox, mut notes) = outbox();
        for _ in 0..QUEUE + 1 {
            outbox.event(speakers());
        }
        for _ in 0..QUEUE {
            notes.next().await;
        }
        outbox.mend();
        assert!(matches!(notes.next().await, Some(Note::Lost(1))));
    }
}
