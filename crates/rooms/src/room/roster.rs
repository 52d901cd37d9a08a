//! The state of a room, without time, tasks or network: commands in, notices for participants out.
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sluice_api::sfu::v1 as sfu;

use super::access::may_subscribe;
use super::{Change, Door, Entrant, JoinError, Notice, Presence, Reason};
use crate::model::{Access, Client, Participant, Track};

/// Notices, in the order in which they must be handed over.
pub(crate) type Outbox = Vec<(String, Notice)>;

/// A participant's seat in the room.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) presence: Arc<Presence>,
    pub(crate) client: Client,
    /// Tracks chosen by hand: yes or no.
    pub(crate) choices: HashMap<String, bool>,
    pub(crate) access: Option<Access>,
    pub(crate) door: Door,
    /// What it was last told to want.
    pub(crate) wanted: Arc<[String]>,
}

impl Seat {
    fn chooses(&self, track_id: &str) -> bool {
        self.choices.get(track_id).copied().unwrap_or(self.client.auto_subscribe)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Roster {
    seats: BTreeMap<String, Seat>,
    by_identity: HashMap<String, String>,
    /// Tracks that had a subscriber once.
    heard: HashSet<String>,
    /// Who speaks, as last told by the node: newcomers hear of it too.
    speaking: Arc<[sfu::Speaker]>,
    /// The last known quality of each session.
    quality: HashMap<String, sfu::Quality>,
}

/// What follows from somebody's coming.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) presence: Arc<Presence>,
    /// The one who had the same identity: to be told to leave.
    pub(crate) evicted: Option<Door>,
    pub(crate) outbox: Outbox,
}

/// The participant that a session belongs to: sessions are named `PA_x` or `PA_x.part`.
pub(crate) fn owner(session_id: &str) -> &str {
    session_id.split_once('.').map_or(session_id, |(participant, _)| participant)
}

impl Roster {
    pub(crate) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn seat(&self, participant_id: &str) -> Option<&Seat> {
        self.seats.get(participant_id)
    }

    /// Whoever has this identity.
    pub(crate) fn find(&self, identity: &str) -> Option<&Seat> {
        self.seats.get(self.by_identity.get(identity)?)
    }

    /// Identities, and whether media was up.
    pub(crate) fn who(&self) -> Vec<(String, bool)> {
        let participants = self.seats.values().map(|seat| &seat.presence.participant);
        participants.map(|participant| (participant.identity.clone(), participant.active)).collect()
    }

    /// Changes what somebody may publish; its own task sees to what it publishes now.
    pub(crate) fn permit(&mut self, identity: &str, sources: Vec<i32>) -> Outbox {
        let mut outbox = Outbox::new();
        let Some(id) = self.by_identity.get(identity).cloned() else { return outbox };
        self.amend(&id, &mut outbox, |presence| {
            let permissions = presence.participant.permissions.get_or_insert_default();
            permissions.can_publish = !sources.is_empty();
            permissions.sources = sources;
        });
        outbox
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.seats.keys().cloned().collect()
    }

    /// Takes a seat back after a restart, as the node remembers it.
    pub(crate) fn restore(&mut self, seat: Seat) {
        let participant = &seat.presence.participant;
        self.by_identity.insert(participant.identity.clone(), participant.participant_id.clone());
        self.seats.insert(participant.participant_id.clone(), seat);
    }

    /// What everybody shall get, for participants that were just restored.
    pub(crate) fn settle(&mut self) -> Outbox {
        let mut outbox = Outbox::new();
        for id in self.ids() {
            let others = self.visible_to(&id);
            outbox.push((id, Notice::Present(others)));
        }
        self.want_again(&mut outbox);
        outbox
    }

    /// Gives somebody a seat; one with the same identity loses its own.
    pub(crate) fn join(&mut self, entrant: Entrant, most: usize) -> Result<Admission, JoinError> {
        let mut outbox = Outbox::new();
        let mut evicted = None;
        let known = self.by_identity.get(&entrant.participant.identity).cloned();
        if known.is_none() && self.seats.len() >= most {
            return Err(JoinError::Full);
        }
        if let Some(old) = known {
            evicted = self.seats.get(&old).map(|seat| seat.door.clone());
            outbox.extend(self.leave(&old, Reason::Duplicate));
        }
        let id = entrant.participant.participant_id.clone();
        let presence = Arc::new(Presence { participant: entrant.participant, tracks: Vec::new() });
        self.by_identity.insert(presence.participant.identity.clone(), id.clone());
        let seat = Seat {
            presence: presence.clone(),
            client: entrant.client,
            choices: HashMap::new(),
            access: None,
            door: entrant.door,
            wanted: Arc::from([]),
        };
        self.seats.insert(id.clone(), seat);
        self.tell_others(&id, &mut outbox, |_| Notice::Present(vec![presence.clone()]));
        let wanted = self.wanted_by(&id);
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.wanted = wanted;
        }
        Ok(Admission { presence, evicted, outbox })
    }

    /// The others, as far as this one may see them.
    pub(crate) fn visible_to(&self, participant_id: &str) -> Vec<Arc<Presence>> {
        let others = self.seats.iter().filter(|(id, seat)| *id != participant_id && !hidden(&seat.presence));
        others.map(|(_, seat)| seat.presence.clone()).collect()
    }

    /// Takes somebody's seat away and tells the others.
    pub(crate) fn leave(&mut self, participant_id: &str, reason: Reason) -> Outbox {
        let mut outbox = Outbox::new();
        let Some(seat) = self.seats.remove(participant_id) else { return outbox };
        if self.by_identity.get(&seat.presence.participant.identity).is_some_and(|id| id == participant_id) {
            self.by_identity.remove(&seat.presence.participant.identity);
        }
        self.quality.retain(|session, _| owner(session) != participant_id);
        for track in &seat.presence.tracks {
            self.forget_track(&track.track_id);
        }
        let mut gone = Presence::clone(&seat.presence);
        gone.participant.version += 1;
        let gone = Arc::new(gone);
        if !hidden(&gone) {
            for id in self.seats.keys() {
                outbox.push((id.clone(), Notice::Gone(gone.clone(), reason)));
            }
        }
        self.want_again(&mut outbox);
        outbox
    }

    pub(crate) fn change(&mut self, participant_id: &str, change: Change) -> Outbox {
        let mut outbox = Outbox::new();
        let Some(seat) = self.seats.get_mut(participant_id) else { return outbox };
        match change {
            Change::Active => {
                if !seat.presence.participant.active {
                    self.amend(participant_id, &mut outbox, |presence| presence.participant.active = true);
                }
            }
            // Others see it by its tracks and its quality.
            Change::Lost => {}
            Change::Track(track) => {
                self.amend(participant_id, &mut outbox, |presence| put_track(presence, track));
                self.want_again(&mut outbox);
            }
            Change::TrackEnded(track_id) => {
                self.forget_track(&track_id);
                self.amend(participant_id, &mut outbox, |presence| {
                    presence.tracks.retain(|track| track.track_id != track_id);
                });
                self.want_again(&mut outbox);
            }
            Change::Profile { name, metadata, attributes } => {
                self.amend(participant_id, &mut outbox, |presence| {
                    set_profile(&mut presence.participant, name, metadata, attributes);
                });
            }
            Change::Access(access) => self.set_access(participant_id, access, &mut outbox),
            Change::Choose { track_ids, subscribe } => {
                seat.choices.extend(track_ids.into_iter().map(|id| (id, subscribe)));
                self.drop_stale_choices(participant_id);
                self.want_again(&mut outbox);
            }
        }
        outbox
    }

    /// An event of the node. What concerns one participant's sessions goes to that participant.
    pub(crate) fn event(&mut self, kind: sfu::event::Kind) -> Outbox {
        use sfu::event::Kind;
        let mut outbox = Outbox::new();
        let session = match &kind {
            Kind::SessionChanged(event) => &event.session_id,
            Kind::NegotiationNeeded(event) => &event.session_id,
            Kind::PublicationChanged(event) => &event.session_id,
            Kind::PublicationEnded(event) => &event.session_id,
            Kind::WantedLayers(event) => &event.session_id,
            Kind::SubscriptionChanged(event) => {
                if event.started {
                    self.first_subscriber(event, &mut outbox);
                }
                &event.session_id
            }
            Kind::SpeakersChanged(event) => {
                let speakers: Arc<[sfu::Speaker]> = event.speakers.clone().into();
                self.speaking = speakers.clone();
                let ids = self.seats.keys();
                return ids.map(|id| (id.clone(), Notice::Speaking(speakers.clone()))).collect();
            }
            Kind::ConnectionQuality(event) => {
                self.quality_changed(event, &mut outbox);
                return outbox;
            }
            Kind::RoomEnded(_) | Kind::NodeDraining(_) => return outbox,
        };
        let participant = owner(session).to_owned();
        if self.seats.contains_key(&participant) {
            let begins = matches!(&kind, Kind::SubscriptionChanged(event) if event.started);
            outbox.push((participant.clone(), Notice::Media(Box::new(kind))));
            if begins && !self.speaking.is_empty() {
                outbox.push((participant, Notice::Speaking(self.speaking.clone())));
            }
        }
        outbox
    }

    fn first_subscriber(&mut self, event: &sfu::SubscriptionChanged, outbox: &mut Outbox) {
        let Some(subscription) = &event.subscription else { return };
        let track_id = &subscription.publication_id;
        let publisher = self.seats.iter().find(|(_, seat)| seat.presence.track(track_id).is_some());
        if let Some((publisher, _)) = publisher
            && self.heard.insert(track_id.clone())
        {
            outbox.push((publisher.clone(), Notice::FirstSubscriber(track_id.clone())));
        }
    }

    /// A participant is as well off as its worst session; itself and its subscribers hear of it.
    fn quality_changed(&mut self, event: &sfu::ConnectionQuality, outbox: &mut Outbox) {
        let participant = owner(&event.session_id);
        let Some(seat) = self.seats.get(participant) else { return };
        self.quality.insert(event.session_id.clone(), event.quality());
        let of_participant = self.quality.iter().filter(|(session, _)| owner(session) == participant);
        let rank = |quality: sfu::Quality| match quality {
            sfu::Quality::Lost => 0,
            sfu::Quality::Poor => 1,
            sfu::Quality::Good => 2,
            sfu::Quality::Excellent | sfu::Quality::Unspecified => 3,
        };
        let Some(quality) = of_participant.map(|(_, quality)| *quality).min_by_key(|quality| rank(*quality))
        else {
            return;
        };
        for (id, other) in &self.seats {
            let concerned = id == participant
                || seat
                    .presence
                    .tracks
                    .iter()
                    .any(|track| other.wanted.binary_search(&track.track_id).is_ok());
            if concerned {
                let notice = Notice::Quality { participant_id: participant.to_owned(), quality };
                outbox.push((id.clone(), notice));
            }
        }
    }

    fn forget_track(&mut self, track_id: &str) {
        self.heard.remove(track_id);
        for seat in self.seats.values_mut() {
            seat.choices.remove(track_id);
        }
    }

    /// Choices may come before their track, but a client must not fill our memory with them.
    fn drop_stale_choices(&mut self, participant_id: &str) {
        const MOST: usize = 10_000;
        let Some(seat) = self.seats.get(participant_id) else { return };
        if seat.choices.len() <= MOST {
            return;
        }
        let known: HashSet<String> = self
            .seats
            .values()
            .flat_map(|seat| &seat.presence.tracks)
            .map(|track| track.track_id.clone())
            .collect();
        if let Some(seat) = self.seats.get_mut(participant_id) {
            seat.choices.retain(|id, _| known.contains(id));
        }
    }

    fn amend(&mut self, participant_id: &str, outbox: &mut Outbox, amend: impl FnOnce(&mut Presence)) {
        let Some(seat) = self.seats.get_mut(participant_id) else { return };
        let presence = Arc::make_mut(&mut seat.presence);
        amend(presence);
        presence.participant.version += 1;
        let presence = seat.presence.clone();
        outbox.push((participant_id.to_owned(), Notice::Present(vec![presence.clone()])));
        self.tell_others(participant_id, outbox, |_| Notice::Present(vec![presence.clone()]));
    }

    fn tell_others(&self, about: &str, outbox: &mut Outbox, notice: impl Fn(&Seat) -> Notice) {
        if self.seats.get(about).is_none_or(|seat| hidden(&seat.presence)) {
            return;
        }
        for (id, seat) in &self.seats {
            if id != about {
                outbox.push((id.clone(), notice(seat)));
            }
        }
    }

    fn set_access(&mut self, participant_id: &str, access: Option<Access>, outbox: &mut Outbox) {
        let Some(seat) = self.seats.get_mut(participant_id) else { return };
        let before = std::mem::replace(&mut seat.access, access.clone());
        let presence = seat.presence.clone();
        for (id, other) in self.seats.iter().filter(|(id, _)| *id != participant_id) {
            for track in &presence.tracks {
                let subscriber = &other.presence.participant;
                let allowed = may_subscribe(access.as_ref(), subscriber, &track.track_id);
                if allowed != may_subscribe(before.as_ref(), subscriber, &track.track_id) {
                    let (participant_id, track_id) = (participant_id.to_owned(), track.track_id.clone());
                    outbox.push((id.clone(), Notice::Allowed { participant_id, track_id, allowed }));
                }
            }
        }
        self.want_again(outbox);
    }

    /// Tells everybody whose tracks to get have changed.
    fn want_again(&mut self, outbox: &mut Outbox) {
        for id in self.ids() {
            let wanted = self.wanted_by(&id);
            let Some(seat) = self.seats.get_mut(&id) else { continue };
            if seat.wanted != wanted {
                seat.wanted = wanted.clone();
                outbox.push((id, Notice::Wanted(wanted)));
            }
        }
    }

    fn wanted_by(&self, participant_id: &str) -> Arc<[String]> {
        let Some(me) = self.seats.get(participant_id) else { return Arc::from([]) };
        if !me.presence.permissions().can_subscribe {
            return Arc::from([]);
        }
        let mut wanted = Vec::new();
        for (_, other) in
            self.seats.iter().filter(|(id, seat)| *id != participant_id && !hidden(&seat.presence))
        {
            let tracks = other.presence.tracks.iter().map(|track| &track.track_id);
            wanted.extend(
                tracks
                    .filter(|id| {
                        me.chooses(id) && may_subscribe(other.access.as_ref(), &me.presence.participant, id)
                    })
                    .cloned(),
            );
        }
        wanted.sort_unstable();
        wanted.into()
    }
}

fn hidden(presence: &Presence) -> bool {
    presence.participant.permissions.as_ref().is_some_and(|permissions| permissions.hidden)
}

fn put_track(presence: &mut Presence, track: Arc<Track>) {
    match presence.tracks.iter_mut().find(|known| known.track_id == track.track_id) {
        Some(known) => *known = track,
        None => presence.tracks.push(track),
    }
}

fn set_profile(
    participant: &mut Participant,
    name: Option<String>,
    metadata: Option<String>,
    attributes: Vec<(String, String)>,
) {
    if let Some(name) = name {
        participant.name = name;
    }
    if let Some(metadata) = metadata {
        participant.metadata = metadata;
    }
    for (key, value) in attributes {
        if value.is_empty() {
            participant.attributes.remove(&key);
        } else {
            participant.attributes.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests;
