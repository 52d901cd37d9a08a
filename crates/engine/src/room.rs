//! A room: its owner, its sessions, the publications in it and who speaks.

use std::time::Instant;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use slab::Slab;
use sluice_forward::{ActiveSpeakers, DominantSpeaker};

use crate::demux::SessionKey;
use crate::id::{PublicationId, RoomId, SessionId};
use crate::link::ShardNumber;
use crate::model::RoomSettings;
use crate::publication::Publication;
use crate::section::PublicationKey;

/// A room's dense key.
pub(crate) type RoomKey = usize;

/// A room.
pub(crate) struct Room {
    pub(crate) id: RoomId,
    pub(crate) owner_epoch: u64,
    /// The owner's last sign.
    pub(crate) owner_seen: Instant,
    pub(crate) app_state: Bytes,
    pub(crate) settings: RoomSettings,
    pub(crate) sessions: FxHashMap<SessionId, SessionKey>,
    pub(crate) publications: Slab<Publication>,
    pub(crate) by_publication: FxHashMap<PublicationId, PublicationKey>,
    pub(crate) dominant: DominantSpeaker<PublicationKey>,
    pub(crate) active_speakers: ActiveSpeakers<PublicationKey>,
    pub(crate) speakers_polled: Instant,
    /// The room's other shards.
    pub(crate) shards: Vec<ShardNumber>,
    /// This shard speaks for the room: it says who speaks.
    pub(crate) home: bool,
    /// Media came since the last housekeeping: the next one is soon.
    pub(crate) lively: bool,
}

impl Room {
    pub(crate) fn new(id: RoomId, owner_epoch: u64, settings: RoomSettings, now: Instant) -> Self {
        Room {
            id,
            owner_epoch,
            owner_seen: now,
            app_state: Bytes::new(),
            settings,
            sessions: FxHashMap::default(),
            publications: Slab::new(),
            by_publication: FxHashMap::default(),
            dominant: DominantSpeaker::new(),
            active_speakers: ActiveSpeakers::new(),
            speakers_polled: now,
            shards: Vec::new(),
            home: true,
            lively: false,
        }
    }
}
