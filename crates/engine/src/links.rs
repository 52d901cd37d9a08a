//! Rooms that live on several shards: what this one tells the others, and what it hears from them.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use sluice_rtp::MediaKind;

use crate::demux::SessionKey;
use crate::id::PublicationId;
use crate::io::Output;
use crate::link::{LinkMessage, LinkedData, LinkedPacket, LinkedPublication, ShardNumber, Told};
use crate::publication::{Publication, Source};
use crate::room::RoomKey;
use crate::section::PublicationKey;
use crate::shard::Shard;
use crate::transport::{MediaPacket, Rid};

/// Another shard that wants packets of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkSubscriber {
    pub(crate) shard: ShardNumber,
    /// It gets the layers up to this one.
    pub(crate) highest: u8,
}

impl Shard {
    /// The room lives on these shards too. Those that are new, and the one to greet, hear of every publication here.
    pub(crate) fn host(
        &mut self,
        room: RoomKey,
        home: bool,
        shards: &[ShardNumber],
        greet: Option<ShardNumber>,
    ) {
        let held = &mut self.rooms[room];
        held.home = home;
        let unknown = |shard: &&ShardNumber| !held.shards.contains(shard) || greet == Some(**shard);
        let new: Vec<_> = shards.iter().filter(unknown).copied().collect();
        held.shards.extend(&new);
        held.shards.sort_unstable();
        held.shards.dedup();
        let keys: Vec<_> = held.publications.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.announce_to(room, key, &new);
        }
    }

    /// Tells the room's other shards of a publication of this one, as it is now.
    pub(crate) fn announce(&mut self, room: RoomKey, key: PublicationKey) {
        let shards = self.rooms[room].shards.clone();
        self.announce_to(room, key, &shards);
    }

    fn announce_to(&mut self, room: RoomKey, key: PublicationKey, shards: &[ShardNumber]) {
        let held = &mut self.rooms[room];
        let Some(publication) = held.publications.get_mut(key).filter(|_| !shards.is_empty()) else { return };
        let Source::Session(session) = publication.source else { return };
        let number = *publication.number.get_or_insert_with(|| {
            self.last_number += 1;
            self.last_number
        });
        self.numbered.insert(number, (room, key));
        let told = LinkedPublication {
            room: held.id.clone(),
            number,
            participant: self.sessions[session].participant.clone(),
            // Its layers in our order: they go by their places in it.
            spec: publication.status().spec,
            section: publication
                .mid
                .map(|mid| (mid, publication.layers.iter().filter_map(|layer| layer.rid).collect())),
        };
        for &shard in shards {
            self.tell(shard, Told::Publication(Box::new(told.clone())));
        }
    }

    /// Tells the room's other shards that a publication of this one ended.
    pub(crate) fn retract(&mut self, room: RoomKey, publication: &Publication) {
        let Some(number) = publication.number else { return };
        self.numbered.remove(&number);
        for shard in self.rooms[room].shards.clone() {
            self.tell(shard, Told::PublicationEnded { number });
        }
    }

    /// Gives a packet to the other shards that want its layer.
    pub(crate) fn carry(&mut self, room: RoomKey, key: PublicationKey, packet: MediaPacket, layer: u8) {
        let publication = &self.rooms[room].publications[key];
        if publication.links.iter().all(|link| link.highest < layer) {
            return;
        }
        let (Some(number), Some(payload)) = (publication.number, publication.payload) else { return };
        let packet = Arc::new(LinkedPacket { number, payload, packet });
        for link in publication.links.iter().filter(|link| layer <= link.highest) {
            self.counters.link_packets_out += 1;
            self.out.push_back(Output::Link(link.shard, LinkMessage(Told::Packet(packet.clone()))));
        }
    }

    /// Gives a sender report to the other shards that want the publication.
    pub(crate) fn carry_report(
        &mut self,
        room: RoomKey,
        key: PublicationKey,
        rid: Option<Rid>,
        wall_clock: SystemTime,
        timestamp: u32,
    ) {
        let publication = &self.rooms[room].publications[key];
        let Some(number) = publication.number else { return };
        for link in &publication.links {
            let told = Told::SenderReport { number, rid, wall_clock, timestamp };
            self.out.push_back(Output::Link(link.shard, LinkMessage(told)));
        }
    }

    /// Gives a data message of a session to the room's other shards.
    pub(crate) fn relay(
        &mut self,
        from: SessionKey,
        message: (&str, bool, &bytes::Bytes),
        destinations: &[String],
    ) {
        let session = &self.sessions[from];
        let room = &self.rooms[session.room];
        let (label, binary, payload) = message;
        for &shard in &room.shards {
            let told = LinkedData {
                room: room.id.clone(),
                sender: session.participant.clone(),
                label: label.to_owned(),
                binary,
                payload: payload.clone(),
                destinations: destinations.to_vec(),
            };
            self.out.push_back(Output::Link(shard, LinkMessage(Told::Data(Box::new(told)))));
        }
    }

    /// Tells the publisher's shard which layers anybody here wants, if that changed.
    pub(crate) fn report_link_wish(&mut self, room: RoomKey, key: PublicationKey) {
        let held = &self.rooms[room];
        let publication = &held.publications[key];
        let Source::Link { shard, number, .. } = publication.source else { return };
        let highest = match publication.spec.kind {
            // The home shard hears everybody: it says who speaks.
            MediaKind::Audio => (held.home || !publication.subscribers.is_empty()).then_some(0),
            MediaKind::Video => self.highest_wanted(publication),
        };
        let layers: Vec<u8> = highest.map(|highest| (0..=highest).collect()).unwrap_or_default();
        if publication.wanted.as_ref() != Some(&layers) {
            self.rooms[room].publications[key].wanted = Some(layers);
            self.tell(shard, Told::Want { number, highest });
        }
    }

    /// Has the publisher's shard ask for a key frame.
    pub(crate) fn ask_over_link(&mut self, room: RoomKey, key: PublicationKey, layer: u8) {
        if let Source::Link { shard, number, .. } = self.rooms[room].publications[key].source {
            self.tell(shard, Told::KeyFrame { number, layer });
        }
    }

    fn tell(&mut self, shard: ShardNumber, told: Told) {
        self.out.push_back(Output::Link(shard, LinkMessage(told)));
    }

    /// The room that a message is about.
    pub(crate) fn room_of(&self, from: ShardNumber, message: &LinkMessage) -> Option<RoomKey> {
        let linked = |number: u64| self.linked.get(&(from, number)).map(|(room, _)| *room);
        match &message.0 {
            Told::Publication(told) => self.rooms_by_id.get(&told.room).copied(),
            Told::Data(told) => self.rooms_by_id.get(&told.room).copied(),
            Told::Packet(told) => linked(told.number),
            Told::PublicationEnded { number } | Told::SenderReport { number, .. } => linked(*number),
            Told::Want { number, .. } | Told::KeyFrame { number, .. } => {
                self.numbered.get(number).map(|(room, _)| *room)
            }
        }
    }

    /// Takes in what another shard says.
    pub(crate) fn on_link(&mut self, now: Instant, from: ShardNumber, message: LinkMessage) {
        match message.0 {
            Told::Publication(told) => self.put_linked(now, from, *told),
            Told::PublicationEnded { number } => {
                if let Some((room, key)) = self.linked.remove(&(from, number)) {
                    self.remove_linked(room, key);
                }
            }
            Told::Packet(linked) => {
                let Some(&(room, key)) = self.linked.get(&(from, linked.number)) else {
                    self.counters.link_packets_unknown += 1;
                    return;
                };
                self.counters.link_packets_in += 1;
                let publication = &mut self.rooms[room].publications[key];
                if let Some(arrival) = publication.receive(&linked.packet, |_| Some(linked.payload)) {
                    self.distribute(now, room, key, &linked.packet, &arrival);
                }
            }
            Told::SenderReport { number, rid, wall_clock, timestamp } => {
                if let Some(&(room, key)) = self.linked.get(&(from, number)) {
                    self.rooms[room].publications[key].on_sender_report(rid, wall_clock, timestamp);
                }
            }
            Told::Want { number, highest } => {
                let Some(&(room, key)) = self.numbered.get(&number) else { return };
                let links = &mut self.rooms[room].publications[key].links;
                links.retain(|link| link.shard != from);
                links.extend(highest.map(|highest| LinkSubscriber { shard: from, highest }));
                self.report_wanted(room, key);
            }
            Told::KeyFrame { number, layer } => {
                if let Some(&(room, key)) = self.numbered.get(&number) {
                    self.request_key_frames(now, room, key, |index, _| index == usize::from(layer));
                }
            }
            Told::Data(told) => {
                if let Some(&room) = self.rooms_by_id.get(&told.room) {
                    let message = (told.label.as_str(), told.binary, &told.payload);
                    self.deliver(now, room, Some(&told.sender), message, &told.destinations);
                }
            }
        }
    }

    /// A publication of another shard, new or as it is now.
    fn put_linked(&mut self, now: Instant, from: ShardNumber, told: LinkedPublication) {
        let Some(&room) = self.rooms_by_id.get(&told.room) else { return };
        let id = told.spec.id.clone();
        let mut was_muted = told.spec.muted;
        let key = match self.linked.get(&(from, told.number)) {
            Some(&(_, key)) => {
                let publication = &mut self.rooms[room].publications[key];
                was_muted = publication.spec.muted;
                publication.redeclare(told.spec);
                key
            }
            None => {
                // Another shard's that has ended, of which the word has not come yet.
                self.forget_linked(room, &id);
                if self.rooms[room].by_publication.contains_key(&id) {
                    tracing::warn!(publication = %id, "another shard has a publication of this id; it is ignored");
                    return;
                }
                let source = Source::Link { shard: from, number: told.number, participant: told.participant };
                let held = &mut self.rooms[room];
                let key = held.publications.insert(Publication::new(told.spec, source, now));
                held.by_publication.insert(id.clone(), key);
                self.linked.insert((from, told.number), (room, key));
                self.find_subscribers(room, key, &id);
                key
            }
        };
        let publication = &mut self.rooms[room].publications[key];
        let was_bound = publication.mid.is_some();
        let laid_out = match told.section {
            Some((mid, rids)) => publication.bind(mid, &rids, now),
            None => {
                publication.unbind();
                false
            }
        };
        let is_bound = publication.mid.is_some();
        if laid_out || was_bound != is_bound || was_muted != publication.spec.muted {
            self.on_publication_changed(now, room, key);
        }
        match (was_bound, is_bound) {
            (true, false) => self.rest_subscribers(room, key),
            (false, true) => self.check_subscribers(room, key),
            _ => {}
        }
        self.report_link_wish(room, key);
    }

    /// Forgets a publication of another shard, if this id is one.
    pub(crate) fn forget_linked(&mut self, room: RoomKey, id: &PublicationId) {
        let held = &self.rooms[room];
        let Some(&key) = held.by_publication.get(id) else { return };
        if let Source::Link { shard, number, .. } = held.publications[key].source {
            self.linked.remove(&(shard, number));
            self.remove_linked(room, key);
        }
    }

    fn remove_linked(&mut self, room: RoomKey, key: PublicationKey) {
        let held = &mut self.rooms[room];
        let publication = held.publications.remove(key);
        held.by_publication.remove(&publication.spec.id);
        self.detach(publication.subscribers);
    }

    /// The room ends here: what it knows of other shards is forgotten.
    pub(crate) fn forget_links(&mut self, room: RoomKey) {
        self.linked.retain(|_, (of, _)| *of != room);
        self.numbered.retain(|_, (of, _)| *of != room);
    }
}
