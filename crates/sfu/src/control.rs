//! The control plane: from calls of the API to commands of shards.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::try_join_all;
use sluice_api::sfu::v1 as api;
use sluice_engine::id::RoomId;
use sluice_engine::model::{RoomEndReason, RoomSettings, SessionState};
use sluice_engine::{Command, Event, EventKind, Reply, RoomAction};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::convert;
use crate::directory::{Directory, Ended};
use crate::events::{EventLog, unix_ms};
use crate::shard::outbox::{Note, Notes, Put};
use crate::shard::{CallError, ShardHandle};
use crate::spread::{Expected, RETRY};
use crate::telemetry;

/// Who the node is.
pub(crate) struct Identity {
    pub(crate) node_id: String,
    pub(crate) started_at: SystemTime,
    /// `udp://ip:port` or `tcp://ip:port`.
    pub(crate) media_addresses: Vec<String>,
}

/// Everything that calls of the API need.
pub(crate) struct Control {
    identity: Identity,
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) directory: Directory,
    /// From this many sessions on a shard a room spreads.
    pub(crate) room_sessions_per_shard: usize,
    /// Held while a room spreads to another shard.
    pub(crate) spreading: tokio::sync::Mutex<()>,
    pub(crate) events: Arc<EventLog>,
    /// Cancelled when the node begins to drain.
    draining: CancellationToken,
    drain_deadline: Mutex<Option<AbortHandle>>,
}

impl Control {
    pub(crate) fn new(
        identity: Identity,
        shards: Vec<ShardHandle>,
        events: EventLog,
        room_sessions_per_shard: usize,
    ) -> Self {
        Control {
            identity,
            shards,
            directory: Directory::default(),
            room_sessions_per_shard,
            spreading: tokio::sync::Mutex::default(),
            events: Arc::new(events),
            draining: CancellationToken::new(),
            drain_deadline: Mutex::default(),
        }
    }

    /// Creates a room on the shard with the least to do, or updates it where it is.
    pub(crate) async fn put_room(
        &self,
        room: RoomId,
        owner_epoch: u64,
        app_state: Option<bytes::Bytes>,
        settings: Option<RoomSettings>,
    ) -> Result<Reply, Status> {
        let choose = |rooms: &[usize]| {
            let load = |&shard: &usize| {
                let counters = self.shards[shard].report.read().counters;
                // A room that is still empty will not stay so.
                rooms[shard] as u64 + counters.sessions
            };
            (0..rooms.len()).filter(|_| !self.is_draining()).min_by_key(load)
        };
        let shard = self.directory.place(&room, self.shards.len(), choose);
        let shard = shard.ok_or_else(|| Status::unavailable("the node drains and takes no new rooms"))?;
        let expected = Expected::new(self, shard, Put::Room(room.clone()));
        let action = RoomAction::Put { app_state, settings: settings.clone() };
        let command = Command::Room { room: room.clone(), owner_epoch, action };
        let mailbox = &self.shards[shard].mailbox;
        let posted = mailbox.post(command).map_err(convert::status)?;
        expected.taken();
        let (reply, _) = mailbox.answer(posted).await.map_err(convert::status)?;
        self.declare(&room, owner_epoch, settings.as_ref()).await?;
        Ok(reply)
    }

    /// Has every shard carry out a command.
    pub(crate) async fn every_shard(&self, command: &Command) -> Result<Vec<Reply>, Status> {
        let calls = self.shards.iter().map(|shard| shard.mailbox.call(command.clone()));
        try_join_all(calls).await.map_err(convert::status)
    }

    /// Stops taking new rooms, and ends the others after `deadline`, if any. Answers how many there are.
    pub(crate) fn drain(self: &Arc<Self>, deadline: Option<Duration>) -> usize {
        self.draining.cancel();
        let deadline_ms = deadline.map_or(0, |deadline| unix_ms(SystemTime::now() + deadline));
        let kind = api::event::Kind::NodeDraining(api::NodeDraining { deadline_ms });
        self.events.append("", SystemTime::now(), kind);
        tracing::info!(?deadline, "draining");
        let timer = deadline.map(|deadline| {
            let control = Arc::clone(self);
            let end = async move {
                tokio::time::sleep(deadline).await;
                control.end_all_rooms().await;
            };
            tokio::spawn(end).abort_handle()
        });
        self.replace_drain_timer(timer);
        self.directory.len()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Comes back once the node drains.
    pub(crate) async fn until_draining(&self) {
        self.draining.cancelled().await;
    }

    /// Forgets the deadline of a drain: the node ends.
    pub(crate) fn stop(&self) {
        self.replace_drain_timer(None);
    }

    fn replace_drain_timer(&self, timer: Option<AbortHandle>) {
        let mut current = self.drain_deadline.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = std::mem::replace(&mut *current, timer) {
            old.abort();
        }
    }

    async fn end_all_rooms(&self) {
        for shard in &self.shards {
            let command = Command::EndAll { reason: RoomEndReason::Drained };
            while let Err(CallError::Full | CallError::Timeout) = shard.mailbox.call(command.clone()).await {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    pub(crate) fn media_addresses(&self) -> &[String] {
        &self.identity.media_addresses
    }

    /// What the node is and how it does.
    pub(crate) fn node(&self) -> api::Node {
        // Rooms are known at once; the rest is of the last second.
        let rooms = u32::try_from(self.directory.len()).unwrap_or(u32::MAX);
        let mut load = api::Load { rooms, ..Default::default() };
        for shard in &self.shards {
            let report = shard.report.read();
            let add = |sum: &mut u32, count: u64| {
                *sum = sum.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
            };
            add(&mut load.sessions, report.counters.sessions);
            add(&mut load.publications, report.counters.publications);
            add(&mut load.subscriptions, report.counters.subscriptions);
            load.packets_in_per_second += report.packets_in_per_second;
            load.packets_out_per_second += report.packets_out_per_second;
            load.shard_busy.push(report.busy);
        }
        api::Node {
            node_id: self.identity.node_id.clone(),
            boot_id: self.events.boot_id().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: unix_ms(self.identity.started_at),
            draining: self.is_draining(),
            load: Some(load),
            media_addresses: self.identity.media_addresses.clone(),
        }
    }

    /// Numbers the shards' events, hands over their replies and keeps the directory, until all shards are gone.
    pub(crate) async fn read_notes(self: Arc<Self>, mut notes: Notes) {
        while let Some(note) = notes.next().await {
            match note {
                Note::Answer(shard, answer) => {
                    if let Some(put) = &answer.put {
                        self.settle(shard, put, answer.result.is_ok());
                    }
                    answer.deliver(self.events.last());
                }
                Note::PutWithdrawn(shard, put) => self.settle(shard, &put, false),
                Note::Lost(count) => {
                    tracing::warn!(count, "events were lost: watchers will fetch snapshots");
                    telemetry::events_lost(count);
                    self.events.skip(count);
                }
                Note::Event(shard, event, at) => self.read_event(shard, &event, at),
            }
        }
    }

    /// What became of a put on a shard.
    pub(crate) fn settle(&self, shard: usize, put: &Put, exists: bool) {
        match put {
            Put::Room(room) => self.directory.settle(room, shard, exists),
            Put::Session(room, session) => self.directory.settle_session(room, session, shard, exists),
        }
    }

    fn read_event(self: &Arc<Self>, shard: usize, event: &Event, at: SystemTime) {
        match &event.kind {
            EventKind::Session { session, state: SessionState::Closed, .. } => {
                self.directory.session_ended(&event.room, session, shard);
            }
            EventKind::RoomEnded { reason } => {
                // The home speaks for the room: its end is the room's.
                let (also, tell) = match self.directory.ended(&event.room, shard) {
                    Ended::Room(branches) => (branches, true),
                    Ended::Branch(home) => (vec![home], false),
                    Ended::Known => (Vec::new(), false),
                };
                for shard in also {
                    self.end_on(&event.room, shard, *reason);
                }
                if !tell {
                    return;
                }
            }
            _ => {}
        }
        telemetry::event();
        self.events.append(event.room.as_str(), at, convert::event(&event.kind));
    }

    /// Shows the shards' figures as metrics.
    pub(crate) fn publish_metrics(&self) {
        telemetry::node(self.events.watchers(), self.is_draining());
        for (index, shard) in self.shards.iter().enumerate() {
            telemetry::shard(index, &shard.report.read());
        }
    }
}
