//! Which room lives on which shards, and which of its sessions on which of them.
//!
//! Control only: no packet ever comes here. Rooms and sessions appear when a caller puts them and disappear when their shard says
//! that they ended, in the order in which the shard did so.
//!
//! A room has a home shard, which speaks for it. A room with many sessions has branches on other shards as well.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use sluice_engine::id::{RoomId, SessionId};
use sluice_engine::model::RoomSettings;

/// Something that was put on a shard: it is there as long as the shard says so, or a put is on its way.
#[derive(Debug, Default)]
struct Presence {
    /// The shard said that it exists, and not yet that it ended.
    exists: bool,
    /// Puts that are on their way to the shard.
    puts: u32,
}

impl Presence {
    fn settle(&mut self, exists: bool) {
        self.puts = self.puts.saturating_sub(1);
        self.exists |= exists;
    }

    fn is_over(&self) -> bool {
        !self.exists && self.puts == 0
    }
}

#[derive(Debug)]
struct Entry {
    home: usize,
    presence: Presence,
    branches: Vec<Branch>,
    seats: HashMap<SessionId, Seat>,
    owner_epoch: u64,
    settings: Option<RoomSettings>,
}

#[derive(Debug)]
struct Branch {
    shard: usize,
    /// The shard has the room, and the others know.
    open: bool,
}

/// Where a session is.
#[derive(Debug)]
struct Seat {
    shard: usize,
    presence: Presence,
}

/// Where to put a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) shard: usize,
    /// The room must be opened there first.
    pub(crate) closed: bool,
    /// Sessions of the room on other shards.
    pub(crate) elsewhere: usize,
}

/// Whether a branch can be opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// It is open.
    Open,
    /// It is closed, and this is what it takes to open it.
    Closed(Opening),
    /// It is no branch (any more), or the room is gone.
    Gone,
}

/// What became of an opening.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    Yes,
    /// The room has another owner or other settings by now: they must be told.
    Outdated,
    Gone,
}

/// What the end of a room on one shard means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The room ended; these branches must end too.
    Room(Vec<usize>),
    /// A branch ended by itself: the room is broken, and must end at its home.
    Branch(usize),
    /// Nothing new.
    Known,
}

/// What it takes to open a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    /// The home and the open branches.
    pub(crate) shards: Vec<usize>,
    pub(crate) owner_epoch: u64,
    pub(crate) settings: Option<RoomSettings>,
}

/// The rooms of a node.
#[derive(Default)]
pub(crate) struct Directory {
    rooms: RwLock<BTreeMap<RoomId, Entry>>,
}

impl Directory {
    /// The shards of a room: its home, then its branches.
    pub(crate) fn shards(&self, room: &RoomId) -> Option<Vec<usize>> {
        self.read(room, |entry| {
            let open = entry.branches.iter().filter(|branch| branch.open);
            std::iter::once(entry.home).chain(open.map(|branch| branch.shard)).collect()
        })
    }

    /// The shard of a session: that of its room's home if it is unknown.
    pub(crate) fn find_session(&self, room: &RoomId, session: &SessionId) -> Option<usize> {
        self.read(room, |entry| entry.seats.get(session).map_or(entry.home, |seat| seat.shard))
    }

    /// The shard to put a room on: where it is, else what `choose` says, given the number of rooms of each shard;
    /// `None` if `choose` refuses. Each success must be followed by one [`Directory::settle`] of that shard.
    pub(crate) fn place(
        &self,
        room: &RoomId,
        shards: usize,
        choose: impl FnOnce(&[usize]) -> Option<usize>,
    ) -> Option<usize> {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = rooms.get_mut(room) {
            entry.presence.puts += 1;
            return Some(entry.home);
        }
        let mut counts = vec![0; shards];
        for entry in rooms.values() {
            counts[entry.home] += 1;
        }
        let home = choose(&counts)?;
        let entry = Entry {
            home,
            presence: Presence { exists: false, puts: 1 },
            branches: Vec::new(),
            seats: HashMap::new(),
            owner_epoch: 0,
            settings: None,
        };
        rooms.insert(room.clone(), entry);
        Some(home)
    }

    /// A put of a room came to its end on a shard; `exists` if the shard has the room now. Branches do not count.
    pub(crate) fn settle(&self, room: &RoomId, shard: usize, exists: bool) {
        self.change(room, |entry| {
            if entry.home == shard {
                entry.presence.settle(exists);
            }
        });
    }

    /// Remembers what branches must be told, and whether they must be told now because the room has a newer owner or other
    /// settings.
    pub(crate) fn declare(
        &self,
        room: &RoomId,
        owner_epoch: u64,
        settings: Option<&RoomSettings>,
    ) -> Vec<usize> {
        self.change(room, |entry| {
            let newer = owner_epoch > entry.owner_epoch;
            entry.owner_epoch = entry.owner_epoch.max(owner_epoch);
            if let Some(settings) = settings {
                entry.settings = Some(settings.clone());
            }
            let open = entry.branches.iter().filter(|branch| branch.open && (newer || settings.is_some()));
            open.map(|branch| branch.shard).collect()
        })
        .unwrap_or_default()
    }

    /// The shard to put a session on: where it is, else the first of the room's shards that has less than `most` of the room's
    /// sessions, else what `choose` says, given the shards of the room; if it knows none, the one with the least of them.
    ///
    /// Each success must be followed by one [`Directory::settle_session`] of that shard.
    pub(crate) fn seat(
        &self,
        room: &RoomId,
        session: &SessionId,
        most: usize,
        choose: impl FnOnce(&[usize]) -> Option<usize>,
    ) -> Option<Place> {
        self.change(room, |entry| {
            let shard = match entry.seats.get(session) {
                Some(seat) => seat.shard,
                None => entry.choose_seat(most, choose),
            };
            let seat = entry.seats.entry(session.clone());
            seat.or_insert(Seat { shard, presence: Presence::default() }).presence.puts += 1;
            Place {
                shard,
                closed: entry.branches.iter().any(|branch| branch.shard == shard && !branch.open),
                elsewhere: entry.seats.values().filter(|seat| seat.shard != shard).count(),
            }
        })
    }

    /// A put of a session came to its end on a shard; `exists` if the shard has the session now.
    pub(crate) fn settle_session(&self, room: &RoomId, session: &SessionId, shard: usize, exists: bool) {
        self.change_seat(room, session, |seat| {
            if seat.shard == shard {
                seat.presence.settle(exists);
            }
        });
    }

    /// A session ended on a shard.
    pub(crate) fn session_ended(&self, room: &RoomId, session: &SessionId, shard: usize) {
        self.change_seat(room, session, |seat| seat.presence.exists &= seat.shard != shard);
    }

    /// Whether a branch is open, and what it takes to open it.
    pub(crate) fn door(&self, room: &RoomId, shard: usize) -> Door {
        let door = self.read(room, |entry| {
            let branch = entry.branches.iter().find(|branch| branch.shard == shard);
            match branch {
                Some(branch) if branch.open => Door::Open,
                Some(_) => Door::Closed(entry.opening(shard)),
                None => Door::Gone,
            }
        });
        door.unwrap_or(Door::Gone)
    }

    /// A branch was opened as was asked for.
    pub(crate) fn opened(&self, room: &RoomId, shard: usize, as_asked: &Opening) -> Opened {
        let opened = self.change(room, |entry| {
            let outdated = entry.opening(shard) != *as_asked;
            match entry.branches.iter_mut().find(|branch| branch.shard == shard) {
                None => Opened::Gone,
                Some(_) if outdated => Opened::Outdated,
                Some(branch) => {
                    branch.open = true;
                    Opened::Yes
                }
            }
        });
        opened.unwrap_or(Opened::Gone)
    }

    /// A branch could not be opened: it is none.
    pub(crate) fn not_opened(&self, room: &RoomId, shard: usize) {
        self.change(room, |entry| entry.branches.retain(|branch| branch.shard != shard || branch.open));
    }

    /// The room ended on a shard.
    pub(crate) fn ended(&self, room: &RoomId, shard: usize) -> Ended {
        self.change(room, |entry| {
            if shard == entry.home {
                entry.presence.exists = false;
                entry.seats.retain(|_, seat| seat.presence.puts > 0 && seat.shard == shard);
                return Ended::Room(entry.branches.drain(..).map(|branch| branch.shard).collect());
            }
            let before = entry.branches.len();
            entry.branches.retain(|branch| branch.shard != shard);
            if entry.branches.len() < before { Ended::Branch(entry.home) } else { Ended::Known }
        })
        .unwrap_or(Ended::Known)
    }

    pub(crate) fn len(&self) -> usize {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn read<T>(&self, room: &RoomId, read: impl FnOnce(&Entry) -> T) -> Option<T> {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        rooms.get(room).map(read)
    }

    fn change<T>(&self, room: &RoomId, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        let entry = rooms.get_mut(room)?;
        let result = change(entry);
        if entry.presence.is_over() {
            rooms.remove(room);
        }
        Some(result)
    }

    fn change_seat(&self, room: &RoomId, session: &SessionId, change: impl FnOnce(&mut Seat)) {
        self.change(room, |entry| {
            let Some(seat) = entry.seats.get_mut(session) else { return };
            change(seat);
            if seat.presence.is_over() {
                entry.seats.remove(session);
            }
        });
    }
}

impl Entry {
    fn opening(&self, shard: usize) -> Opening {
        let branches = self.branches.iter().filter(|branch| branch.open && branch.shard != shard);
        let branches = branches.map(|branch| branch.shard);
        Opening {
            shards: std::iter::once(self.home).chain(branches).collect(),
            owner_epoch: self.owner_epoch,
            settings: self.settings.clone(),
        }
    }

    fn choose_seat(&mut self, most: usize, choose: impl FnOnce(&[usize]) -> Option<usize>) -> usize {
        let branches = self.branches.iter().map(|branch| branch.shard);
        let shards: Vec<_> = std::iter::once(self.home).chain(branches).collect();
        let seated = |shard: usize| self.seats.values().filter(|seat| seat.shard == shard).count();
        if let Some(&free) = shards.iter().find(|&&shard| seated(shard) < most) {
            return free;
        }
        if let Some(new) = choose(&shards) {
            self.branches.push(Branch { shard: new, open: false });
            return new;
        }
        shards.iter().copied().min_by_key(|&shard| seated(shard)).unwrap_or(self.home)
    }
}

#[cfg(test)]
mod tests;
