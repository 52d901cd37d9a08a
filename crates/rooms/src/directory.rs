//! Which rooms there are: finds the task of a room by its name or id, and starts one when somebody comes first.
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluice_api::sfu::v1 as sfu;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::model;
use crate::node::{Node, now_ms};
use crate::room::actor::{self, Beginning};
use crate::room::{Command, Door, Entrant, Handle, JoinError, Joined, Report};
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// A room that ends just when somebody joins is replaced by a new one; more often than this is no coincidence.
const ATTEMPTS: u32 = 5;
/// A room takes its commands at once; one that does not is stuck.
const PATIENCE: Duration = Duration::from_secs(2);

/// All rooms of this process. Clones share them.
#[derive(Clone)]
pub(crate) struct Directory(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    node: Node,
    store: Arc<dyn Store>,
    stop: CancellationToken,
    /// Before rooms are recovered from the node, a join could create one that exists already.
    ready: AtomicBool,
    rooms: Mutex<Rooms>,
    /// Who follows what becomes of participants, if anybody.
    reports: Option<mpsc::Sender<Report>>,
}

#[derive(Default)]
struct Rooms {
    by_name: HashMap<String, Handle>,
    by_id: HashMap<Arc<str>, Handle>,
}

impl Directory {
    pub(crate) fn new(
        settings: Arc<Settings>,
        node: Node,
        store: Arc<dyn Store>,
        stop: CancellationToken,
        reports: Option<mpsc::Sender<Report>>,
    ) -> Self {
        let (ready, rooms) = (AtomicBool::new(false), Mutex::default());
        Self(Arc::new(Inner { settings, node, store, stop, ready, rooms, reports }))
    }

    /// Tells whoever follows; never waits.
    pub(crate) fn report(&self, report: Report) {
        let Some(reports) = &self.0.reports else { return };
        if let Err(error) = reports.try_send(report) {
            metrics::counter!("sluice_rooms_reports_dropped_total").increment(1);
            tracing::error!(%error, "what became of a participant is not told");
        }
    }

    /// Has something done to a room; false if there is no such room, or it is stuck.
    pub(crate) async fn command(&self, name: &str, command: Command) -> bool {
        let Some(handle) = self.rooms().by_name.get(name).cloned() else { return false };
        handle.commands.send_timeout(command, PATIENCE).await.is_ok()
    }

    /// Who is in the room, and whose media is up. Nobody, if there is no such room.
    pub(crate) async fn who(&self, name: &str) -> Vec<(String, bool)> {
        let (reply, answer) = oneshot::channel();
        if !self.command(name, Command::Who { reply }).await {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// Names of all rooms.
    pub(crate) fn names(&self) -> Vec<String> {
        self.rooms().by_name.keys().cloned().collect()
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        // Nothing panics while the lock is held.
        self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rooms are recovered: joins may come.
    pub(crate) fn open(&self) {
        self.0.ready.store(true, Ordering::Release);
    }

    /// Whether it is known which rooms there are.
    pub(crate) fn ready(&self) -> Result<(), JoinError> {
        if self.0.ready.load(Ordering::Acquire) { Ok(()) } else { Err(JoinError::Starting) }
    }

    /// Whether a join could work now.
    pub(crate) fn check(&self, name: &str) -> Result<(), JoinError> {
        self.ready()?;
        let rooms = self.rooms();
        if rooms.by_name.contains_key(name) {
            return Ok(());
        }
        if !self.0.settings.auto_create {
            return Err(JoinError::NoRoom);
        }
        if rooms.by_name.len() >= self.0.settings.limits.rooms {
            return Err(JoinError::TooManyRooms);
        }
        Ok(())
    }

    /// Lets somebody into the room `name`, which is created if need be.
    pub(crate) async fn join(&self, name: &str, entrant: Entrant) -> Result<(Handle, Joined), JoinError> {
        for _ in 0..ATTEMPTS {
            self.check(name)?;
            let handle = self.find_or_start(name);
            let (reply, answer) = oneshot::channel();
            let command = Command::Join { entrant: Box::new(entrant.clone()), reply };
            if handle.commands.send(command).await.is_ok()
                && let Ok(answer) = answer.await
            {
                return answer.map(|joined| (handle, joined));
            }
            // The room ended before it saw us; its task removes itself, but perhaps not yet.
            self.remove(name, &handle.room_id);
        }
        Err(JoinError::Node("the room keeps ending".into()))
    }

    /// The participant that wants to come back, if it is still there.
    pub(crate) async fn find(&self, name: &str, participant_id: &str, identity: &str) -> Option<Door> {
        let handle = self.rooms().by_name.get(name).cloned()?;
        let (reply, answer) = oneshot::channel();
        let (participant_id, identity) = (participant_id.into(), identity.into());
        handle.commands.send(Command::Find { participant_id, identity, reply }).await.ok()?;
        answer.await.ok().flatten()
    }

    fn find_or_start(&self, name: &str) -> Handle {
        let mut rooms = self.rooms();
        if let Some(handle) = rooms.by_name.get(name) {
            return handle.clone();
        }
        let timings = &self.0.settings.timings;
        let record = model::Room {
            room_id: crate::id::room(),
            name: name.into(),
            metadata: String::new(),
            created_at_ms: now_ms(),
            empty_timeout: timings.empty,
            departure_timeout: timings.departure,
            max_participants: u32::try_from(self.0.settings.limits.participants).unwrap_or(u32::MAX),
        };
        self.start(&mut rooms, record, Beginning::New)
    }

    fn start(&self, rooms: &mut Rooms, record: model::Room, beginning: Beginning) -> Handle {
        let name = record.name.clone();
        let handle = actor::start(record, beginning, self.0.node.clone(), self.clone(), self.0.stop.clone());
        rooms.by_name.insert(name, handle.clone());
        rooms.by_id.insert(handle.room_id.clone(), handle.clone());
        handle
    }

    /// Goes on with a room that the node holds.
    pub(crate) fn resume(&self, record: model::Room, beginning: Beginning) -> Handle {
        self.start(&mut self.rooms(), record, beginning)
    }

    /// Takes the name in the store. An older claim of the same process's rooms is replaced.
    pub(crate) async fn claim(&self, record: &model::Room) -> Result<(), JoinError> {
        let key = store_key(&record.name);
        let store = &self.0.store;
        let unavailable = |error: StoreError| JoinError::Node(error.to_string());
        let present = store.get(&key).await.map_err(unavailable)?;
        let value = bytes::Bytes::copy_from_slice(record.room_id.as_bytes());
        store.put(&key, value, present.map(|document| document.revision)).await.map_err(unavailable)?;
        Ok(())
    }

    /// A room is over.
    pub(crate) async fn forget(&self, name: &str, room_id: &str) {
        self.remove(name, room_id);
        let key = store_key(name);
        let result = match self.0.store.get(&key).await {
            Ok(Some(document)) if document.value == room_id.as_bytes() => {
                self.0.store.delete(&key, document.revision).await
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::warn!(%error, "the room's name stays in the store until somebody uses it again");
        }
    }

    fn remove(&self, name: &str, room_id: &str) {
        let mut rooms = self.rooms();
        if rooms.by_name.get(name).is_some_and(|handle| &*handle.room_id == room_id) {
            rooms.by_name.remove(name);
        }
        rooms.by_id.remove(room_id);
    }

    /// Hands an event of the node to its room.
    pub(crate) async fn deliver(&self, event: sfu::Event) {
        let Some(kind) = event.kind else { return };
        if let sfu::event::Kind::NodeDraining(draining) = &kind {
            tracing::warn!(deadline_ms = draining.deadline_ms, "the node takes no more rooms");
            return;
        }
        let Some(handle) = self.rooms().by_id.get(event.room_id.as_str()).cloned() else { return };
        let command = Command::Event { sequence: event.sequence, kind };
        if handle.commands.send_timeout(command, PATIENCE).await.is_err() {
            metrics::counter!("sluice_rooms_events_dropped_total").increment(1);
            tracing::error!(room = event.room_id, "a room takes no events");
        }
    }

    /// Events were lost: every room looks at the node's picture.
    pub(crate) fn compare_all(&self) {
        for handle in self.rooms().by_id.values() {
            if handle.commands.try_send(Command::Compare).is_err() {
                tracing::error!(room = %handle.room_id, "a room cannot be compared with the node");
            }
        }
    }
}

/// Names may hold anything; keys may not.
fn store_key(name: &str) -> String {
    use base64::Engine;
    format!("rooms/{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(name))
}
