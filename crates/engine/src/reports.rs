//! Events: what callers are told, and when something is worth telling.

use std::time::{Duration, Instant};

use sluice_rtp::MediaKind;

use crate::command::MissingSections;
use crate::demux::SessionKey;
use crate::event::{Event, EventKind, Speaker};
use crate::id::PublicationId;
use crate::io::Output;
use crate::model::{CloseReason, RoomEndReason};
use crate::publication::Source;
use crate::room::{Room, RoomKey};
use crate::section::{PublicationKey, SubscriptionKey};
use crate::shard::Shard;

/// How often the list of speakers may change. Shorter makes indicators flicker, longer makes them lag behind the voice.
const SPEAKERS_INTERVAL: Duration = Duration::from_millis(400);

impl Shard {
    fn emit(&mut self, room: RoomKey, kind: EventKind) {
        let room = self.rooms[room].id.clone();
        self.out.push_back(Output::Event(Event { room, kind }));
    }

    /// A session's transport changed.
    pub(crate) fn emit_session(&mut self, key: SessionKey, reason: Option<CloseReason>) {
        let session = &self.sessions[key];
        let kind = EventKind::Session {
            session: session.id.clone(),
            participant: session.participant.clone(),
            state: session.state,
            reason,
        };
        self.emit(session.room, kind);
    }

    pub(crate) fn emit_negotiation_needed(&mut self, key: SessionKey, missing: MissingSections) {
        let session = &self.sessions[key];
        let kind = EventKind::NegotiationNeeded { session: session.id.clone(), missing };
        self.emit(session.room, kind);
    }

    pub(crate) fn emit_publication_ended(&mut self, key: SessionKey, publication: PublicationId) {
        let session = &self.sessions[key];
        let kind = EventKind::PublicationEnded { session: session.id.clone(), publication };
        self.emit(session.room, kind);
    }

    pub(crate) fn emit_room_ended(&mut self, key: RoomKey, reason: RoomEndReason) {
        self.emit(key, EventKind::RoomEnded { reason });
    }

    /// Codec, layers or muting of a publication changed: tell, and let its subscribers follow.
    pub(crate) fn on_publication_changed(&mut self, now: Instant, room: RoomKey, key: PublicationKey) {
        let publication = &self.rooms[room].publications[key];
        let subscribers = publication.subscribers.clone();
        // Of those of other shards these tell.
        if let Some(session) = publication.session() {
            let kind = EventKind::PublicationChanged {
                session: self.sessions[session].id.clone(),
                publication: Box::new(publication.status()),
            };
            self.emit(room, kind);
        }
        for subscriber in subscribers {
            self.allocate(now, subscriber.session);
        }
    }

    /// Tells what a subscription shows now, if that changed.
    pub(crate) fn emit_subscription(&mut self, key: SessionKey, subscription: SubscriptionKey) {
        let session = &mut self.sessions[key];
        let Some(subscription) = session.subscriptions.get_mut(subscription) else { return };
        let now = Some((subscription.layer(), subscription.paused));
        if subscription.reported == now {
            return;
        }
        subscription.reported = now;
        let started = !subscription.started && subscription.layer().is_some();
        subscription.started |= started;
        let kind = EventKind::SubscriptionChanged {
            session: session.id.clone(),
            participant: session.participant.clone(),
            subscription: Box::new(subscription.status()),
            started,
        };
        let room = session.room;
        self.emit(room, kind);
    }

    pub(crate) fn emit_wanted(&mut self, room: RoomKey, key: PublicationKey, layers: Vec<u8>) {
        let publication = &self.rooms[room].publications[key];
        let Some(session) = publication.session() else { return };
        let kind = EventKind::WantedLayers {
            session: self.sessions[session].id.clone(),
            publication: publication.spec.id.clone(),
            layers,
        };
        self.emit(room, kind);
    }

    pub(crate) fn emit_quality(&mut self, key: SessionKey) {
        let session = &self.sessions[key];
        let Some(quality) = session.path.quality else { return };
        let kind = EventKind::Quality {
            session: session.id.clone(),
            participant: session.participant.clone(),
            quality,
            loss: session.path.loss(),
            rtt: session.path.report.rtt,
        };
        self.emit(session.room, kind);
    }

    pub(crate) fn emit_speakers(&mut self, room: RoomKey, now: Instant) {
        let sessions = &self.sessions;
        let held = &mut self.rooms[room];
        let Room { publications, dominant, active_speakers, speakers_polled, home, .. } = held;
        let voices = || {
            let audio = publications.iter().filter(|(_, p)| p.spec.kind == MediaKind::Audio && !p.spec.muted);
            audio.map(|(key, p)| (key, &p.voice))
        };
        let elected = dominant.elect(now, voices());
        if !elected && now.saturating_duration_since(*speakers_polled) < SPEAKERS_INTERVAL {
            return;
        }
        *speakers_polled = now;
        if active_speakers.poll(now, voices()).is_none() && !elected {
            return;
        }
        if !*home {
            return;
        }
        let participant = |key: PublicationKey| match &publications.get(key)?.source {
            Source::Session(session) => sessions.get(*session).map(|session| session.participant.clone()),
            Source::Link { participant, .. } => Some(participant.clone()),
        };
        let speakers = active_speakers
            .current()
            .iter()
            .filter_map(|(key, indicator)| {
                Some(Speaker {
                    participant: participant(*key)?,
                    publication: publications.get(*key)?.spec.id.clone(),
                    level: indicator.level,
                })
            })
            .collect();
        let dominant = dominant.current().and_then(participant);
        self.emit(room, EventKind::Speakers { speakers, dominant });
    }
}
