//! The way out of a shard for what nobody waits for: events, and what the directory of rooms must know.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use sluice_engine::id::RoomId;
use sluice_engine::{Event, EventKind};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Events that may wait to be numbered. They are numbered within microseconds; a backlog means that the machine is out
/// of processor time, and then a gap (which watchers are told of) is better than memory without end.
const QUEUE: usize = 65_536;

/// What a shard says.
#[derive(Debug)]
pub(crate) enum Note {
    /// For everybody who watches.
    Event(Event, SystemTime),
    /// So many events should have come here.
    Lost(u64),
    /// A command that creates or updates a room was answered or withdrawn.
    PutSettled {
        room: RoomId,
        /// The room exists now; otherwise nothing is known.
        exists: bool,
    },
}

/// A shard's end.
///
/// Never blocks. Events are dropped and counted when [`QUEUE`] wait; notes for the directory are never dropped, and are
/// bounded by the rooms and by the command queue.
#[derive(Clone)]
pub(crate) struct Outbox {
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
    (Outbox { notes: sender, waiting: waiting.clone(), lost: 0 }, Notes { notes: receiver, waiting })
}

impl Outbox {
    pub(crate) fn event(&mut self, event: Event) {
        let is_end = matches!(event.kind, EventKind::RoomEnded { .. });
        if self.is_full() && !is_end {
            self.lost += 1;
            return;
        }
        self.mend();
        self.send(Note::Event(event, SystemTime::now()));
    }

    pub(crate) fn put_settled(&self, room: RoomId, exists: bool) {
        self.send(Note::PutSettled { room, exists });
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
        outbox.put_settled(room(), true);
        outbox.event(ended());
        outbox.mend();
        for _ in 0..QUEUE {
            assert!(matches!(notes.next().await, Some(Note::Event(..))));
        }
        assert!(matches!(notes.next().await, Some(Note::PutSettled { exists: true, .. })));
        let end = notes.next().await.unwrap();
        assert!(matches!(end, Note::Event(event, _) if matches!(event.kind, EventKind::RoomEnded { .. })));
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
