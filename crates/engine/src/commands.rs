//! Commands: what callers declare, put into effect.

use std::time::Instant;

use bytes::Bytes;
use rand::RngExt;
use slab::Slab;
use sluice_rtp::MediaKind;

use crate::command::{Command, CommandError, Reply, RoomAction};
use crate::data::DataPlane;
use crate::demux::SessionKey;
use crate::id::{ParticipantId, PublicationId, RoomId, SessionId};
use crate::model::*;
use crate::publication::{Layer, Publication, Source, Subscriber};
use crate::room::{Room, RoomKey};
use crate::section::{PublicationKey, Sections};
use crate::session::{Path, Session, Subscription};
use crate::shard::Shard;
use crate::timers::Timer;
use crate::transport::{Start, Transport};

type Outcome = Result<Reply, CommandError>;

impl Shard {
    /// Does what a caller asks.
    pub(crate) fn execute(&mut self, now: Instant, command: Command) -> Outcome {
        match command {
            Command::Room { room, owner_epoch, action } => self.on_room(now, room, owner_epoch, action),
            Command::ListRooms => {
                Ok(Reply::Rooms(self.rooms.iter().map(|(_, room)| summary(room)).collect()))
            }
            Command::KeepAlive { owner_epoch } => {
                let mut renewed = 0;
                for (_, room) in self.rooms.iter_mut().filter(|(_, r)| r.owner_epoch == owner_epoch) {
                    room.owner_seen = now;
                    renewed += usize::from(room.home);
                }
                Ok(Reply::Count(renewed))
            }
            Command::EndAll { reason } => {
                let rooms: Vec<_> = self.rooms.iter().map(|(key, _)| key).collect();
                for room in &rooms {
                    self.end_room(*room, reason);
                }
                Ok(Reply::Count(rooms.len()))
            }
        }
    }

    fn on_room(&mut self, now: Instant, id: RoomId, epoch: u64, action: RoomAction) -> Outcome {
        let Some(&key) = self.rooms_by_id.get(&id) else {
            return match action {
                RoomAction::Put { app_state, settings } => {
                    self.create_room(now, id, epoch, app_state, settings)
                }
                RoomAction::Delete | RoomAction::End { .. } => Ok(Reply::Done),
                _ => Err(CommandError::NotFound(format!("room {id}"))),
            };
        };
        let room = &mut self.rooms[key];
        if matches!(action, RoomAction::Get | RoomAction::GetStats { .. }) {
            return self.on_query(now, key, action);
        }
        if epoch != 0 && epoch < room.owner_epoch {
            return Err(CommandError::StaleOwner { given: epoch, current: room.owner_epoch });
        }
        if epoch != 0 {
            room.owner_epoch = epoch;
            room.owner_seen = now;
        }
        match action {
            RoomAction::Put { app_state, settings } => {
                let app_state = self.checked_state(app_state)?;
                let room = &mut self.rooms[key];
                room.app_state = app_state.unwrap_or_else(|| room.app_state.clone());
                room.settings = settings.unwrap_or_else(|| room.settings.clone());
                Ok(Reply::Created(false))
            }
            RoomAction::Delete => {
                self.end_room(key, RoomEndReason::Deleted);
                Ok(Reply::Done)
            }
            RoomAction::End { reason } => {
                self.end_room(key, reason);
                Ok(Reply::Done)
            }
            RoomAction::Host { home, shards, greet } => {
                self.host(key, home, &shards, greet);
                Ok(Reply::Done)
            }
            RoomAction::PutSession { session, participant, settings, app_state, elsewhere } => {
                self.put_session(now, key, (session, participant), settings, app_state, elsewhere)
            }
            RoomAction::DeleteSession { session } => {
                if let Some(&session) = self.rooms[key].sessions.get(&session) {
                    self.close_session(session, CloseReason::Deleted);
                }
                Ok(Reply::Done)
            }
            RoomAction::SetMuted { publication, muted } => self.set_muted(now, key, &publication, muted),
            RoomAction::SendData { label, payload, destinations } => {
                if payload.len() > self.config.limits.message_bytes {
                    return Err(CommandError::Invalid("payload is longer than a data message may be".into()));
                }
                let receivers = self.deliver(now, key, None, (&label, true, &payload), &destinations);
                Ok(Reply::Count(receivers))
            }
            RoomAction::RequestKeyFrame { publication } => self.request_key_frame(now, key, &publication),
            action => self.on_session(now, key, action),
        }
    }

    fn on_session(&mut self, now: Instant, room: RoomKey, action: RoomAction) -> Outcome {
        match action {
            RoomAction::SetPublications { session, publications } => {
                let key = self.session_key(room, &session)?;
                self.set_publications(now, key, publications)?;
            }
            RoomAction::SetSubscriptions { session, subscriptions } => {
                let key = self.session_key(room, &session)?;
                self.set_subscriptions(now, key, subscriptions)?;
            }
            RoomAction::Negotiate { session, step } => {
                let key = self.session_key(room, &session)?;
                return self.negotiate(now, key, step).map(Reply::Negotiated);
            }
            RoomAction::AddCandidates { session, candidates } => {
                let key = self.session_key(room, &session)?;
                self.add_candidates(key, &candidates)?;
            }
            RoomAction::Put { .. }
            | RoomAction::Delete
            | RoomAction::End { .. }
            | RoomAction::Host { .. }
            | RoomAction::Get
            | RoomAction::PutSession { .. }
            | RoomAction::DeleteSession { .. }
            | RoomAction::SetMuted { .. }
            | RoomAction::SendData { .. }
            | RoomAction::RequestKeyFrame { .. }
            | RoomAction::GetStats { .. } => {
                return Err(CommandError::Precondition("not an action of a session".into()));
            }
        }
        Ok(Reply::Done)
    }

    fn on_query(&mut self, now: Instant, key: RoomKey, action: RoomAction) -> Outcome {
        let room = &self.rooms[key];
        let wanted = match action {
            RoomAction::GetStats { session: Some(session) } => Some(self.session_key(key, &session)?),
            RoomAction::GetStats { session: None } => None,
            _ => {
                let mut sessions: Vec<_> = room.sessions.values().copied().collect();
                sessions.sort_by(|a, b| self.sessions[*a].id.cmp(&self.sessions[*b].id));
                return Ok(Reply::Room(Box::new(RoomSnapshot {
                    room: room.id.clone(),
                    owner_epoch: room.owner_epoch,
                    app_state: room.app_state.clone(),
                    settings: room.settings.clone(),
                    sessions: sessions
                        .into_iter()
                        .map(|s| self.sessions[s].snapshot(&room.publications))
                        .collect(),
                })));
            }
        };
        let keys = room.sessions.values().copied().filter(|s| wanted.is_none_or(|w| w == *s));
        Ok(Reply::Stats(keys.map(|s| self.sessions[s].stats(&room.publications, now)).collect()))
    }

    fn create_room(
        &mut self,
        now: Instant,
        id: RoomId,
        epoch: u64,
        app_state: Option<Bytes>,
        settings: Option<RoomSettings>,
    ) -> Outcome {
        if self.rooms.len() >= self.config.limits.rooms {
            return Err(CommandError::Exhausted(format!(
                "the shard holds {} rooms already",
                self.rooms.len()
            )));
        }
        let app_state = self.checked_state(app_state)?.unwrap_or_default();
        let mut room = Room::new(id.clone(), epoch, settings.unwrap_or_default(), now);
        room.app_state = app_state;
        let key = self.rooms.insert(room);
        self.rooms_by_id.insert(id, key);
        self.timers.set(Timer::Room(key), now);
        Ok(Reply::Created(true))
    }

    fn checked_state(&self, app_state: Option<Bytes>) -> Result<Option<Bytes>, CommandError> {
        let most = self.config.limits.app_state_bytes;
        match app_state {
            Some(state) if state.len() > most => {
                Err(CommandError::Invalid(format!("app_state is longer than {most} bytes")))
            }
            other => Ok(other),
        }
    }

    fn put_session(
        &mut self,
        now: Instant,
        room: RoomKey,
        (id, participant): (SessionId, ParticipantId),
        settings: SessionSettings,
        app_state: Option<Bytes>,
        elsewhere: usize,
    ) -> Outcome {
        let app_state = self.checked_state(app_state)?;
        if let Some(&key) = self.rooms[room].sessions.get(&id) {
            let session = &mut self.sessions[key];
            if settings.offerer != session.settings.offerer {
                return Err(CommandError::Invalid("settings.offerer cannot be changed".into()));
            }
            session.settings = SessionSettings { ice_lite: session.settings.ice_lite, ..settings };
            session.participant = participant;
            session.app_state = app_state.unwrap_or_else(|| session.app_state.clone());
            return Ok(Reply::Created(false));
        }
        let most = self.rooms[room].settings.max_sessions.min(self.config.limits.sessions_per_room);
        if self.rooms[room].sessions.len() + elsewhere >= most {
            return Err(CommandError::Exhausted(format!("the room holds {most} sessions already")));
        }
        if settings.data.open.len() > self.config.limits.channels {
            return Err(CommandError::Invalid("settings.data.open lists too many channels".into()));
        }
        let ice_lite = settings.ice_lite.unwrap_or(self.config.ice_lite);
        let credentials = self.credentials();
        let ufrag = credentials.ufrag.clone();
        let transport = Transport::new(
            now,
            &self.config,
            &self.shared,
            Start { ice_lite, credentials, to_open: settings.data.open.clone(), ssrc: self.rng.random() },
        )
        .map_err(|e| CommandError::Precondition(e.to_string()))?;
        let key = self.sessions.insert(Box::new(Session {
            id: id.clone(),
            participant,
            room,
            settings,
            app_state: app_state.unwrap_or_default(),
            state: SessionState::New,
            down_since: now,
            dirty: false,
            transport,
            addresses: Vec::new(),
            ufrags: Vec::new(),
            sections: Sections::default(),
            sections_offered: Vec::new(),
            negotiation_announced: false,
            payload_types: sluice_sdp::PayloadTypes::default(),
            places: sluice_sdp::Places::default(),
            publications: Vec::new(),
            subscriptions: Slab::new(),
            path: Path::new(now),
            data: DataPlane::new(now),
        }));
        self.rooms[room].sessions.insert(id, key);
        self.name_session(key, ufrag);
        self.touch(key);
        Ok(Reply::Created(true))
    }

    fn set_publications(
        &mut self,
        now: Instant,
        key: SessionKey,
        specs: Vec<PublicationSpec>,
    ) -> Result<(), CommandError> {
        let session = &self.sessions[key];
        let room_key = session.room;
        let room = &self.rooms[room_key];
        if specs.len() > self.config.limits.publications_per_session {
            return Err(CommandError::Exhausted("publications: too many for one session".into()));
        }
        for spec in &specs {
            if let Some(&other) = room.by_publication.get(&spec.id)
                && room.publications[other].session().is_some_and(|session| session != key)
            {
                return Err(CommandError::Invalid(format!(
                    "publication {} belongs to another session",
                    spec.id
                )));
            }
        }
        let gone: Vec<_> = session
            .publications
            .iter()
            .copied()
            .filter(|k| specs.iter().all(|spec| spec.id != room.publications[*k].spec.id))
            .collect();
        for publication in gone {
            self.remove_publication(key, publication);
        }
        for spec in specs {
            self.put_publication(now, key, spec);
        }
        self.claim_sections(now, key);
        for publication in self.sessions[key].publications.clone() {
            self.announce(room_key, publication);
        }
        Ok(())
    }

    fn put_publication(&mut self, now: Instant, key: SessionKey, spec: PublicationSpec) {
        let room_key = self.sessions[key].room;
        self.forget_linked(room_key, &spec.id);
        let room = &mut self.rooms[room_key];
        if let Some(&present) = room.by_publication.get(&spec.id) {
            let publication = &mut room.publications[present];
            let muted = publication.spec.muted != spec.muted;
            publication.redeclare(spec);
            if muted {
                self.on_publication_changed(now, room_key, present);
            }
            return;
        }
        let id = spec.id.clone();
        let publication = room.publications.insert(Publication::new(spec, Source::Session(key), now));
        room.by_publication.insert(id.clone(), publication);
        self.sessions[key].publications.push(publication);
        self.find_subscribers(room_key, publication, &id);
    }

    fn set_subscriptions(
        &mut self,
        now: Instant,
        key: SessionKey,
        specs: Vec<SubscriptionSpec>,
    ) -> Result<(), CommandError> {
        if specs.len() > self.config.limits.subscriptions_per_session {
            return Err(CommandError::Exhausted("subscriptions: too many for one session".into()));
        }
        let room_key = self.sessions[key].room;
        let gone: Vec<_> = self.sessions[key]
            .subscriptions
            .iter()
            .filter(|(_, s)| specs.iter().all(|spec| spec.publication != s.spec.publication))
            .map(|(k, _)| k)
            .collect();
        for subscription in gone {
            self.remove_subscription(key, subscription);
        }
        for spec in specs {
            let present = self.sessions[key]
                .subscriptions
                .iter_mut()
                .find(|(_, s)| s.spec.publication == spec.publication);
            if let Some((_, present)) = present {
                present.spec = spec;
                continue;
            }
            let publication = self.rooms[room_key].by_publication.get(&spec.publication).copied();
            let own = publication.is_some_and(|p| self.is_own(key, room_key, p));
            let subscription = self.sessions[key]
                .subscriptions
                .insert(Subscription::new(spec, publication.filter(|_| !own)));
            self.attach(room_key, key, subscription);
        }
        self.allocate(now, key);
        self.check_negotiation(key);
        Ok(())
    }

    fn set_muted(&mut self, now: Instant, room: RoomKey, id: &PublicationId, muted: bool) -> Outcome {
        let key = self.publication_key(room, id)?;
        let publication = &mut self.rooms[room].publications[key];
        if publication.spec.muted != muted {
            publication.spec.muted = muted;
            self.on_publication_changed(now, room, key);
            self.announce(room, key);
        }
        Ok(Reply::Done)
    }

    fn request_key_frame(&mut self, now: Instant, room: RoomKey, id: &PublicationId) -> Outcome {
        let key = self.publication_key(room, id)?;
        let publication = &self.rooms[room].publications[key];
        if publication.mid.is_none() || publication.spec.kind != MediaKind::Video {
            return Err(CommandError::Precondition(format!("publication {id} sends no video")));
        }
        self.request_key_frames(now, room, key, |_, layer| layer.active);
        Ok(Reply::Done)
    }

    /// Asks the publisher for key frames of some layers, on behalf of somebody who is no subscriber here.
    pub(crate) fn request_key_frames(
        &mut self,
        now: Instant,
        room: RoomKey,
        key: PublicationKey,
        of: impl Fn(usize, &Layer) -> bool,
    ) {
        let publication = &mut self.rooms[room].publications[key];
        let (Some(session), Some(mid)) = (publication.session(), publication.mid) else { return };
        let rtt = self.sessions[session].path.report.rtt.unwrap_or_default();
        let layers = publication.layers.iter_mut().enumerate();
        for (_, layer) in layers.filter(|(index, layer)| of(*index, layer)) {
            // The caller waits like a subscriber, but only for this one request.
            let caller = Subscriber { session, subscription: usize::MAX };
            layer.key_frames.wait(caller);
            if layer.key_frames.poll(now, rtt) {
                self.sessions[session].transport.request_key_frame(mid, layer.rid);
                layer.count_key_frame_request();
                self.counters.key_frame_requests += 1;
            }
            layer.key_frames.give_up(caller);
        }
        self.touch(session);
    }

    fn add_candidates(&mut self, key: SessionKey, candidates: &[String]) -> Result<(), CommandError> {
        if candidates.len() > self.config.limits.candidates {
            return Err(CommandError::Exhausted("candidates: too many".into()));
        }
        let session = &mut self.sessions[key];
        for text in candidates {
            let candidate = text
                .parse::<sluice_sdp::Candidate>()
                .map_err(|e| CommandError::Invalid(format!("candidates: {e}")))?;
            // A name can only be resolved on the peer's own network; its checks will show the address.
            if candidate.address.is_none() {
                continue;
            }
            if let Err(error) = session.transport.add_candidate(text) {
                tracing::debug!(session = %session.id, %error, "candidate ignored");
            }
        }
        self.touch(key);
        Ok(())
    }

    pub(crate) fn session_key(&self, room: RoomKey, id: &SessionId) -> Result<SessionKey, CommandError> {
        self.rooms[room]
            .sessions
            .get(id)
            .copied()
            .ok_or_else(|| CommandError::NotFound(format!("session {id}")))
    }

    /// A publication of a session of this shard.
    fn publication_key(&self, room: RoomKey, id: &PublicationId) -> Result<usize, CommandError> {
        let room = &self.rooms[room];
        let found = room.by_publication.get(id).copied();
        let found = found.filter(|key| room.publications[*key].session().is_some());
        found.ok_or_else(|| CommandError::NotFound(format!("publication {id}")))
    }
}

fn summary(room: &Room) -> RoomSummary {
    RoomSummary {
        room: room.id.clone(),
        owner_epoch: room.owner_epoch,
        sessions: room.sessions.len(),
        publications: room.publications.iter().filter(|(_, p)| p.session().is_some()).count(),
    }
}
