//! Publications and subscriptions as they come, find each other, and go.

use std::time::Instant;

use crate::demux::SessionKey;
use crate::egress::Egress;
use crate::id::{ParticipantId, PublicationId};
use crate::io::Output;
use crate::model::{CloseReason, PauseReason, RoomEndReason, SessionState};
use crate::negotiation::claim;
use crate::publication::{Publication, Source, Subscriber};
use crate::room::RoomKey;
use crate::section::{PublicationKey, SubscriptionKey, Use};
use crate::shard::Shard;
use crate::timers::Timer;
use crate::transport::{Mid, Polled, Rid};

use rand::RngExt;

impl Shard {
    /// Whether a publication belongs to the participant of a session: nobody hears themselves.
    pub(crate) fn is_own(&self, session: SessionKey, room: RoomKey, publication: PublicationKey) -> bool {
        self.participant_of(&self.rooms[room].publications[publication])
            == Some(&self.sessions[session].participant)
    }

    /// Who sends a publication.
    pub(crate) fn participant_of<'a>(&'a self, publication: &'a Publication) -> Option<&'a ParticipantId> {
        match &publication.source {
            Source::Session(session) => self.sessions.get(*session).map(|session| &session.participant),
            Source::Link { participant, .. } => Some(participant),
        }
    }

    /// Subscriptions that were declared before their publication.
    pub(crate) fn find_subscribers(&mut self, room: RoomKey, key: PublicationKey, id: &PublicationId) {
        let sessions: Vec<_> = self.rooms[room].sessions.values().copied().collect();
        for session in sessions {
            if self.is_own(session, room, key) {
                continue;
            }
            let waiting =
                self.sessions[session].subscriptions.iter().find(|(_, s)| s.spec.publication == *id);
            if let Some((subscription, _)) = waiting {
                self.sessions[session].subscriptions[subscription].publication = Some(key);
                self.attach(room, session, subscription);
                self.check_negotiation(session);
            }
        }
    }

    /// Enters a subscription with its publication.
    pub(crate) fn attach(&mut self, room: RoomKey, session: SessionKey, subscription: SubscriptionKey) {
        if let Some(key) = self.sessions[session].subscriptions[subscription].publication {
            self.rooms[room].publications[key].subscribers.push(Subscriber { session, subscription });
            self.report_link_wish(room, key);
        }
    }

    /// Ends a publication: its subscribers' sections rest.
    pub(crate) fn remove_publication(&mut self, session: SessionKey, key: PublicationKey) {
        self.unbind_publication(key, session);
        let room_key = self.sessions[session].room;
        self.sessions[session].publications.retain(|k| *k != key);
        let room = &mut self.rooms[room_key];
        let publication = room.publications.remove(key);
        room.by_publication.remove(&publication.spec.id);
        for section in self.sessions[session].sections.iter_mut() {
            if section.used == Use::Publication(key) {
                section.used = Use::Unclaimed;
            }
        }
        self.retract(room_key, &publication);
        self.detach(publication.subscribers);
    }

    /// The publication of these subscribers is gone.
    pub(crate) fn detach(&mut self, subscribers: Vec<Subscriber>) {
        for subscriber in subscribers {
            let Some(other) = self.sessions.get_mut(subscriber.session) else { continue };
            if let Some(subscription) = other.subscriptions.get_mut(subscriber.subscription) {
                subscription.publication = None;
                subscription.started = false;
            }
            self.release_section(subscriber.session, subscriber.subscription);
            self.check_negotiation(subscriber.session);
        }
    }

    /// A section of the peer carries the publication from now on.
    pub(crate) fn bind_publication(
        &mut self,
        now: Instant,
        session: SessionKey,
        key: PublicationKey,
        mid: Mid,
        rids: &[Rid],
    ) {
        let room_key = self.sessions[session].room;
        let publication = &mut self.rooms[room_key].publications[key];
        let new = publication.mid.is_none();
        let laid_out = publication.bind(mid, rids, now);
        if laid_out && !new {
            self.announce(room_key, key);
        }
        if !new {
            return;
        }
        self.on_publication_changed(now, room_key, key);
        self.check_subscribers(room_key, key);
        self.announce(room_key, key);
    }

    /// Subscribers may need sections for a publication.
    pub(crate) fn check_subscribers(&mut self, room: RoomKey, key: PublicationKey) {
        for subscriber in self.rooms[room].publications[key].subscribers.clone() {
            self.check_negotiation(subscriber.session);
        }
    }

    /// Subscribers' sections of a publication rest.
    pub(crate) fn rest_subscribers(&mut self, room: RoomKey, key: PublicationKey) {
        for subscriber in self.rooms[room].publications[key].subscribers.clone() {
            self.release_section(subscriber.session, subscriber.subscription);
            self.check_negotiation(subscriber.session);
        }
    }

    /// The section that carried the publication was taken away.
    pub(crate) fn unbind_publication(&mut self, key: PublicationKey, session: SessionKey) {
        let room_key = self.sessions[session].room;
        let publication = &mut self.rooms[room_key].publications[key];
        if publication.mid.is_none() {
            return;
        }
        publication.unbind();
        let id = publication.spec.id.clone();
        self.emit_publication_ended(session, id);
        self.rest_subscribers(room_key, key);
        self.announce(room_key, key);
    }

    /// Sections that came before their declaration find their publication.
    pub(crate) fn claim_sections(&mut self, now: Instant, key: SessionKey) {
        let mut bound = Vec::new();
        let session = &self.sessions[key];
        let room = &self.rooms[session.room];
        let mut taken = Vec::new();
        for section in session.sections.iter().filter(|s| s.used == Use::Unclaimed) {
            if let Some(publication) = claim(session, room, section.kind, &section.track, &taken) {
                taken.push(publication);
                bound.push((section.mid, publication, section.rids.clone()));
            }
        }
        for (mid, publication, rids) in bound {
            if let Some(section) = self.sessions[key].sections.get_mut(mid) {
                section.used = Use::Publication(publication);
            }
            self.bind_publication(now, key, publication, mid, &rids);
        }
    }

    /// Ends a subscription.
    pub(crate) fn remove_subscription(&mut self, session: SessionKey, key: SubscriptionKey) {
        self.release_section(session, key);
        let subscription = self.sessions[session].subscriptions.remove(key);
        let room = self.sessions[session].room;
        if let Some(publication) = subscription.publication
            && let Some(publication) = self.rooms[room].publications.get_mut(publication)
        {
            publication.subscribers.retain(|s| *s != Subscriber { session, subscription: key });
        }
    }

    /// The section of a subscription rests; its stream waits for the next owner.
    fn release_section(&mut self, session: SessionKey, key: SubscriptionKey) {
        let session = &mut self.sessions[session];
        let egress = session.subscriptions.get_mut(key).and_then(|s| {
            s.paused = Some(PauseReason::NotNegotiated);
            s.egress.take()
        });
        session.sections_offered.retain(|(_, _, subscription)| *subscription != key);
        for section in session.sections.iter_mut().filter(|s| s.used == Use::Subscription(key)) {
            section.used = Use::Leaving;
        }
        if let Some(mut egress) = egress {
            egress.switcher.set_target(None);
            if let Some(section) = session.sections.get_mut(egress.mid) {
                section.spare = Some(Box::new(egress));
            }
        }
    }

    /// Gives each subscription that has a section its outgoing stream.
    pub(crate) fn refresh_subscriptions(&mut self, now: Instant, key: SessionKey) {
        let session = &mut self.sessions[key];
        let room = &self.rooms[session.room];
        let owners: Vec<_> = session
            .sections
            .iter()
            .filter_map(|s| match s.used {
                Use::Subscription(subscription) if s.peer_receives => Some((s.mid, subscription)),
                _ => None,
            })
            .collect();
        for (mid, key) in owners {
            let Some(subscription) = session.subscriptions.get_mut(key) else { continue };
            let Some(publication) = subscription.publication.and_then(|p| room.publications.get(p)) else {
                continue;
            };
            if subscription.egress.is_some() {
                continue;
            }
            let codec = publication.likely_codec();
            let spare = session.sections.get_mut(mid).and_then(|s| s.spare.take());
            subscription.egress = match spare {
                Some(mut egress) => {
                    egress.new_source(codec);
                    Some(*egress)
                }
                None => session.transport.out_stream(mid).map(|stream| {
                    // Half of the range: a receiver that misses the first packets must not see a wrap-around.
                    Egress::new(mid, stream, codec, self.rng.random_range(0..0x8000), now)
                }),
            };
        }
        self.allocate(now, key);
    }

    /// Ends a session and everything of it.
    pub(crate) fn close_session(&mut self, key: SessionKey, reason: CloseReason) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.state = SessionState::Closed;
        if reason == CloseReason::Timeout {
            self.counters.sessions_timed_out += 1;
        }
        session.transport.close();
        // What remains to be said to the peer: goodbye.
        loop {
            match session.transport.poll() {
                Ok(Polled::Transmit(transmit)) => self.out.push_back(Output::Transmit(transmit)),
                Ok(Polled::Event(_)) => {}
                Ok(Polled::Idle(_)) | Err(_) => break,
            }
        }
        for publication in session.publications.clone() {
            self.remove_publication(key, publication);
        }
        let subscriptions: Vec<_> = self.sessions[key].subscriptions.iter().map(|(k, _)| k).collect();
        for subscription in subscriptions {
            self.remove_subscription(key, subscription);
        }
        self.emit_session(key, Some(reason));
        let session = self.sessions.remove(key);
        self.demux.remove(key, &session.addresses, &session.ufrags);
        self.timers.clear(Timer::Session(key));
        let room = &mut self.rooms[session.room];
        room.sessions.remove(&session.id);
        tracing::debug!(room = %room.id, session = %session.id, ?reason, "session closed");
    }

    /// Ends a room with all its sessions.
    pub(crate) fn end_room(&mut self, key: RoomKey, reason: RoomEndReason) {
        let sessions: Vec<_> = self.rooms[key].sessions.values().copied().collect();
        let why = if reason == RoomEndReason::Fault { CloseReason::Fault } else { CloseReason::Deleted };
        for session in sessions {
            self.close_session(session, why);
        }
        self.emit_room_ended(key, reason);
        self.forget_links(key);
        let room = self.rooms.remove(key);
        self.rooms_by_id.remove(&room.id);
        self.timers.clear(Timer::Room(key));
        tracing::info!(room = %room.id, ?reason, "room ended");
    }
}
