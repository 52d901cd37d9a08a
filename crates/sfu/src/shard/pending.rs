//! Commands that the engine has not answered yet.

use rustc_hash::FxHashMap;
use sluice_engine::id::RoomId;
use sluice_engine::{Command, CommandError, Reply, Ticket};
use tokio::sync::oneshot;

use super::mailbox::Envelope;
use super::outbox::{Answer, Answered, Outbox, Put};

struct Entry {
    to: oneshot::Sender<Answered>,
    put: Option<Put>,
}

/// Pairs replies with those who wait for them.
#[derive(Default)]
pub(super) struct Pending {
    entries: FxHashMap<Ticket, Entry>,
    last: u64,
}

impl Pending {
    /// Takes a command in; `None` if its caller is gone already.
    pub(super) fn admit(&mut self, envelope: Envelope, outbox: &Outbox) -> Option<(Ticket, Command)> {
        let Envelope { command, to } = envelope;
        let put = Put::of(&command);
        if to.is_closed() {
            if let Some(put) = put {
                outbox.put_withdrawn(put);
            }
            return None;
        }
        self.last += 1;
        let ticket = Ticket(self.last);
        self.entries.insert(ticket, Entry { to, put });
        Some((ticket, command))
    }

    /// Answers a caller; answers the room that is known to exist now.
    pub(super) fn answer(
        &mut self,
        ticket: Ticket,
        result: Result<Reply, CommandError>,
        outbox: &Outbox,
    ) -> Option<RoomId> {
        let Entry { to, put } = self.entries.remove(&ticket)?;
        let exists = match &put {
            Some(Put::Room(room)) if result.is_ok() => Some(room.clone()),
            _ => None,
        };
        outbox.answer(Answer { to, result, put });
        exists
    }

    /// Tells all that the engine is gone.
    pub(super) fn fail_all(&mut self, outbox: &Outbox) {
        let tickets: Vec<_> = self.entries.keys().copied().collect();
        for ticket in tickets {
            self.answer(ticket, Err(CommandError::Fault), outbox);
        }
    }
}
