//! The product in one place: the world behind a lock, and whom to tell when it changes.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rand::distr::{Alphanumeric, SampleString as _};
use tokio::sync::Notify;

use crate::calls::Calls;
use crate::disk::Disk;
use crate::feed::Feed;
use crate::origin::Origins;
use crate::world::{Change, World, sample, view};
use crate::{Settings, StartError};

pub(crate) struct App {
    world: Mutex<World>,
    pub(crate) feed: Feed,
    pub(crate) calls: Calls,
    pub(crate) origins: Origins,
    pub(crate) webhook_secret: String,
    pub(crate) hook_secret: Option<String>,
    pub(crate) disk: Option<Disk>,
    /// The world differs from the disk.
    pub(crate) dirty: Notify,
    /// A webhook spoke of a call that we do not know.
    pub(crate) lost: Notify,
}

impl App {
    pub(crate) fn new(settings: Settings) -> Result<Self, StartError> {
        let calls = Calls::new(&settings.calls, &settings.calls_token)?;
        let disk = settings.data.map(Disk::open).transpose()?;
        let kept = disk.as_ref().map(Disk::read).transpose()?.flatten();
        let world = kept.unwrap_or_else(|| sample::world(now_ms()));
        if settings.webhook_secret.is_empty() {
            tracing::warn!("no webhook is believed: the demo has no secret to check them with");
        }
        Ok(Self {
            world: Mutex::new(world),
            feed: Feed::default(),
            calls,
            origins: Origins::new(settings.addresses),
            webhook_secret: settings.webhook_secret,
            hook_secret: settings.hook_secret,
            disk,
            dirty: Notify::new(),
            lost: Notify::new(),
        })
    }

    /// To look at the world. Nothing is awaited while the guard lives.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        // A panic elsewhere leaves the world as it was between two assignments, which is still a world.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world, and tells everybody who may know: in the order of the changes, hence under the lock.
    pub(crate) fn change<T>(&self, how: impl FnOnce(&mut World, &mut Vec<Change>) -> T) -> T {
        let mut world = self.world();
        let mut changes = Vec::new();
        let result = how(&mut world, &mut changes);
        for change in changes {
            self.tell(&world, change);
        }
        drop(world);
        self.dirty.notify_one();
        result
    }

    fn tell(&self, world: &World, change: Change) {
        match change {
            Change::Message(thread, message) => {
                let Some(thread) = world.threads.get(&thread) else { return };
                let Some(message) = thread.messages.iter().find(|known| known.id == message) else { return };
                for member in &thread.members {
                    let seen = || view::message(thread, message, member);
                    self.feed.send(member, "message", seen);
                }
            }
            Change::Thread(thread) => {
                let Some(thread) = world.threads.get(&thread) else { return };
                for member in &thread.members {
                    self.feed.send(member, "thread", || view::thread(world, thread, member));
                }
            }
            Change::ThreadFor(thread, member) => {
                let Some(thread) = world.threads.get(&thread) else { return };
                self.feed.send(&member, "thread", || view::thread(world, thread, &member));
            }
            Change::Settings(person) => {
                let Some(account) = world.accounts.get(&person) else { return };
                self.feed.send(&person, "settings", || Some(account.settings));
            }
            Change::Person(person) => {
                for viewer in self.feed.listeners() {
                    self.feed.send(&viewer, "person", || view::profile(world, &viewer, &person));
                }
            }
            Change::Relation(viewer, person) => {
                self.feed.send(&viewer, "person", || view::profile(world, &viewer, &person));
            }
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Letters and digits that nobody can guess, if there are twenty or more.
pub(crate) fn random_text(characters: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), characters)
}
