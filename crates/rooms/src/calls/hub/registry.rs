//! Which devices are there, and the log of each. A lock is held for microseconds, and never while anybody waits.
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sluice_calls::{DeviceId, DeviceOffer, UserId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::log::{Log, Word};
use super::settings::DeviceSettings;

/// Users are spread over this many locks: sockets on many threads read while one task tells.
const SHARDS: usize = 16;

type Shard = HashMap<UserId, Vec<Device>>;

pub(super) struct Registry {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    /// Of all logs together: no two words, and no two connections, share a number.
    numbers: AtomicU64,
    kept: AtomicUsize,
    settings: DeviceSettings,
}

struct Device {
    id: DeviceId,
    call_waiting: bool,
    log: Log,
    presence: Presence,
}

enum Presence {
    Here(Connection),
    /// `told`: the calls know that it is gone.
    Away {
        since: Instant,
        told: bool,
    },
}

/// One socket's place.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    number: u64,
    /// Rings when there is something to read, or when another socket of the device has come.
    pub(super) bell: Arc<Notify>,
}

/// A socket has its place.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) connection: Connection,
    /// Its cursor is known: the device goes on from there.
    pub(super) resumes: bool,
}

/// The user has too many devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// What there is to read.
#[derive(Debug)]
pub(super) enum Reading {
    Words(Vec<(u64, Word)>),
    /// Some of it is no longer kept.
    Missing,
    /// Another socket of this device has come.
    Replaced,
}

impl Registry {
    pub(super) fn new(settings: DeviceSettings) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            shards,
            hasher: RandomState::new(),
            numbers: AtomicU64::new(1),
            kept: AtomicUsize::new(0),
            settings,
        }
    }

    fn shard(&self, user: &UserId) -> MutexGuard<'_, Shard> {
        let index = self.hasher.hash_one(user) as usize % SHARDS;
        // Nothing panics while it holds the lock; if it did, the devices of others would still be whole.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a socket of this device would find a place.
    pub(super) fn admits(&self, user: &UserId, device: &DeviceId) -> bool {
        self.shard(user).get(user).is_none_or(|devices| self.has_room(devices, device))
    }

    fn has_room(&self, devices: &[Device], device: &DeviceId) -> bool {
        let others = devices.iter().filter(|other| other.id != *device && !other.is_gone()).count();
        others < self.settings.devices_per_user.max(1)
    }

    /// Gives a socket its place. An older socket of the same device finds out when it reads next.
    pub(super) fn enter(
        &self,
        user: &UserId,
        device: &DeviceId,
        call_waiting: bool,
        position: Option<u64>,
    ) -> Result<Entered, TooMany> {
        let connection = Connection { number: self.number(), bell: Arc::new(Notify::new()) };
        let mut shard = self.shard(user);
        let devices = shard.entry(user.clone()).or_default();
        if !self.has_room(devices, device) {
            return Err(TooMany);
        }
        let here = Presence::Here(connection.clone());
        if let Some(known) = devices.iter_mut().find(|known| known.id == *device) {
            known.call_waiting = call_waiting;
            if let Presence::Here(old) = std::mem::replace(&mut known.presence, here) {
                old.bell.notify_one();
            }
            let resumes = position.is_some_and(|position| known.log.knows(position));
            return Ok(Entered { connection, resumes });
        }
        // Whoever is gone makes room: their cursors are of no use any more.
        if devices.len() >= self.settings.devices_per_user.max(1)
            && let Some(index) = devices.iter().position(Device::is_gone)
        {
            self.kept.fetch_sub(devices.swap_remove(index).log.len(), Ordering::Relaxed);
        }
        devices.push(Device {
            id: device.clone(),
            call_waiting,
            log: Log::new(self.number()),
            presence: here,
        });
        Ok(Entered { connection, resumes: false })
    }

    /// The socket has ended. The device stays known for a while.
    pub(super) fn leave(&self, user: &UserId, device: &DeviceId, connection: &Connection, now: Instant) {
        if let Some(known) = find(&mut self.shard(user), user, device)
            && known.is_at(connection)
        {
            known.presence = Presence::Away { since: now, told: false };
        }
    }

    /// The devices of `user` that have a socket now.
    pub(super) fn offers(&self, user: &UserId) -> Vec<DeviceOffer> {
        let shard = self.shard(user);
        let here = shard.get(user).into_iter().flatten().filter(|device| device.is_here());
        here.map(|device| DeviceOffer {
            device: device.id.clone(),
            call_waiting: device.call_waiting,
            connected: true,
        })
        .collect()
    }

    /// Says `word` to one device, or to all of the user.
    pub(super) fn say(&self, user: &UserId, device: Option<&DeviceId>, word: &Word, now: Instant) {
        let mut shard = self.shard(user);
        let Some(devices) = shard.get_mut(user) else { return };
        for known in devices.iter_mut().filter(|known| device.is_none_or(|device| known.id == *device)) {
            let before = known.log.len();
            if self.kept.load(Ordering::Relaxed) >= self.settings.kept_messages_in_all {
                known.log.clear();
            }
            known.log.push(self.number(), now, word.clone(), self.settings.kept_messages);
            self.kept.fetch_add(known.log.len(), Ordering::Relaxed);
            self.kept.fetch_sub(before, Ordering::Relaxed);
            if let Presence::Here(connection) = &known.presence {
                connection.bell.notify_one();
            }
        }
    }

    /// Where the device's log ends; `None` once another socket has come.
    pub(super) fn end(&self, user: &UserId, device: &DeviceId, connection: &Connection) -> Option<u64> {
        let mut shard = self.shard(user);
        let known = find(&mut shard, user, device).filter(|known| known.is_at(connection));
        known.map(|known| known.log.last())
    }

    /// What was said after `position`.
    pub(super) fn read(
        &self,
        user: &UserId,
        device: &DeviceId,
        connection: &Connection,
        position: u64,
    ) -> Reading {
        let mut shard = self.shard(user);
        match find(&mut shard, user, device).filter(|known| known.is_at(connection)) {
            Some(known) => known.log.after(position).map_or(Reading::Missing, Reading::Words),
            None => Reading::Replaced,
        }
    }

    /// Forgets what is old. Returns the devices that are away for longer than a reconnect takes, until
    /// [`told`](Self::told) is called for them.
    pub(super) fn sweep(&self, now: Instant) -> Vec<(UserId, DeviceId)> {
        let mut vanished = Vec::new();
        let (kept, grace) = (self.settings.kept(), self.settings.grace());
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|user, devices| {
                devices.retain_mut(|device| {
                    let before = device.log.len();
                    if let Some(oldest) = now.checked_sub(kept) {
                        device.log.forget(oldest);
                    }
                    let Presence::Away { since, told } = device.presence else {
                        self.kept.fetch_sub(before - device.log.len(), Ordering::Relaxed);
                        return true;
                    };
                    let away = now.saturating_duration_since(since);
                    if !told && away >= grace {
                        vanished.push((user.clone(), device.id.clone()));
                    }
                    let stays = !told || away < kept;
                    let after = if stays { device.log.len() } else { 0 };
                    self.kept.fetch_sub(before - after, Ordering::Relaxed);
                    stays
                });
                !devices.is_empty()
            });
        }
        vanished
    }

    /// The calls know that the device is gone. False if it came back meanwhile: they must be told that too.
    pub(super) fn told(&self, user: &UserId, device: &DeviceId) -> bool {
        match find(&mut self.shard(user), user, device).map(|known| &mut known.presence) {
            Some(Presence::Here(_)) => false,
            Some(Presence::Away { told, .. }) => {
                *told = true;
                true
            }
            None => true,
        }
    }

    /// Messages kept, for tests and metrics.
    pub(super) fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }
}

fn find<'a>(shard: &'a mut Shard, user: &UserId, device: &DeviceId) -> Option<&'a mut Device> {
    shard.get_mut(user)?.iter_mut().find(|known| known.id == *device)
}

impl Device {
    fn is_here(&self) -> bool {
        matches!(self.presence, Presence::Here(_))
    }

    fn is_gone(&self) -> bool {
        matches!(self.presence, Presence::Away { told: true, .. })
    }

    fn is_at(&self, connection: &Connection) -> bool {
        matches!(&self.presence, Presence::Here(own) if own.number == connection.number)
    }
}
