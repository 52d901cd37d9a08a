//! The way out of a shard for what nobody waits for: events, and what the directory of rooms must know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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
    level: Arc<Level>,
}

#[derive(Default)]
struct Level {
    waiting: AtomicUsize,
    lost: AtomicU64,
}

/// The end of the one task that reads all shards' notes.
pub(crate) struct Notes {
    notes: UnboundedReceiver<Note>,
    level: Arc<Level>,
}

pub(crate) fn outbox() -> (Outbox, Notes) {
    let (sender, receiver) = unbounded_channel();
    let level = Arc::<Level>::default();
    (Outbox { notes: sender, level: level.clone() }, Notes { notes: receiver, level })
}

impl Outbox {
    pub(crate) fn event(&self, event: Event) {
        let is_end = matches!(event.kind, EventKind::RoomEnded { .. });
        if self.level.waiting.load(Ordering::Relaxed) >= QUEUE && !is_end {
            self.level.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.send(Note::Event(event, SystemTime::now()));
    }

    pub(crate) fn put_settled(&self, room: RoomId, exists: bool) {
        self.send(Note::PutSettled { room, exists });
    }

    fn send(&self, note: Note) {
        self.level.waiting.fetch_add(1, Ordering::Relaxed);
        // The reader is gone only when the node is; then nobody wants to know.
        let _ = self.notes.send(note);
    }
}

impl Notes {
    /// The next note and how many events were lost lately; `None` once all shards are gone.
    pub(crate) async fn next(&mut self) -> Option<(Note, u64)> {
        let note = self.notes.recv().await?;
        self.level.waiting.fetch_sub(1, Ordering::Relaxed);
        Some((note, self.level.lost.swap(0, Ordering::Relaxed)))
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

    #[tokio::test]
    async fn a_full_queue_loses_events_but_never_what_the_directory_needs() {
        let (outbox, mut notes) = outbox();
        for _ in 0..QUEUE + 5 {
            outbox.event(speakers());
        }
        outbox.put_settled(room(), true);
        outbox.event(Event { room: room(), kind: EventKind::RoomEnded { reason: RoomEndReason::Deleted } });
        drop(outbox);
        let (_, lost) = notes.next().await.unwrap();
        assert_eq!(lost, 5);
        let mut rest = Vec::new();
        while let Some((note, lost)) = notes.next().await {
            assert_eq!(lost, 0);
            rest.push(note);
        }
        assert_eq!(rest.len(), QUEUE + 1);
        assert!(matches!(rest[QUEUE - 1], Note::PutSettled { exists: true, .. }));
        assert!(
            matches!(&rest[QUEUE], Note::Event(event, _) if matches!(event.kind, EventKind::RoomEnded { .. }))
        );
    }
}
