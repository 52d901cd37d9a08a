//! Which room lives on which shard.
//!
//! Control only: no packet ever comes here. Rooms appear when a caller puts them and disappear when their shard says
//! that they ended, in the order in which the shard did so.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use sluice_engine::id::RoomId;

#[derive(Debug)]
struct Entry {
    shard: usize,
    /// The shard said that the room exists, and not yet that it ended.
    exists: bool,
    /// Puts that are on their way to the shard.
    puts: u32,
}

/// The rooms of a node.
#[derive(Default)]
pub(crate) struct Directory {
    rooms: RwLock<BTreeMap<RoomId, Entry>>,
}

impl Directory {
    /// The shard of a room.
    pub(crate) fn find(&self, room: &RoomId) -> Option<usize> {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        rooms.get(room).map(|entry| entry.shard)
    }

    /// The shard to put a room on: where it is, else what `choose` says, given the number of rooms of each shard;
    /// `None` if `choose` refuses. Each success must be followed by one [`Directory::settle`].
    pub(crate) fn place(
        &self,
        room: &RoomId,
        shards: usize,
        choose: impl FnOnce(&[usize]) -> Option<usize>,
    ) -> Option<usize> {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = rooms.get_mut(room) {
            entry.puts += 1;
            return Some(entry.shard);
        }
        let mut counts = vec![0; shards];
        for entry in rooms.values() {
            counts[entry.shard] += 1;
        }
        let shard = choose(&counts)?;
        rooms.insert(room.clone(), Entry { shard, exists: false, puts: 1 });
        Some(shard)
    }

    /// A put came to its end; `exists` if the shard has the room now.
    pub(crate) fn settle(&self, room: &RoomId, exists: bool) {
        self.change(room, |entry| {
            entry.puts = entry.puts.saturating_sub(1);
            entry.exists |= exists;
        });
    }

    /// The room ended.
    pub(crate) fn ended(&self, room: &RoomId) {
        self.change(room, |entry| entry.exists = false);
    }

    pub(crate) fn len(&self) -> usize {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn change(&self, room: &RoomId, change: impl FnOnce(&mut Entry)) {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = rooms.get_mut(room) else { return };
        change(entry);
        if !entry.exists && entry.puts == 0 {
            rooms.remove(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomId {
        RoomId::new(name).unwrap()
    }

    fn least(counts: &[usize]) -> Option<usize> {
        (0..counts.len()).min_by_key(|&shard| counts[shard])
    }

    #[test]
    fn rooms_spread_and_stay_where_they_are() {
        let directory = Directory::default();
        for (name, shard) in [("a", 0), ("b", 1), ("a", 0), ("c", 0)] {
            assert_eq!(directory.place(&room(name), 2, least), Some(shard), "{name}");
            directory.settle(&room(name), true);
        }
        assert_eq!((directory.find(&room("b")), directory.find(&room("d"))), (Some(1), None));
    }

    #[test]
    fn a_room_that_was_refused_leaves_nothing_behind() {
        let directory = Directory::default();
        assert_eq!(directory.place(&room("a"), 2, |_| None), None);
        directory.place(&room("a"), 2, least);
        directory.settle(&room("a"), false);
        assert_eq!(directory.len(), 0);
    }

    #[test]
    fn a_room_put_again_while_its_end_is_on_its_way_stays() {
        let directory = Directory::default();
        directory.place(&room("a"), 2, least);
        directory.settle(&room("a"), true);
        // Deleted on the shard; before its end is known here, the next put goes to the same shard.
        assert_eq!(directory.place(&room("a"), 2, |_| Some(1)), Some(0));
        directory.ended(&room("a"));
        assert_eq!(directory.find(&room("a")), Some(0));
        directory.settle(&room("a"), true);
        assert_eq!(directory.find(&room("a")), Some(0));
        directory.ended(&room("a"));
        assert_eq!(directory.find(&room("a")), None);
    }
}
