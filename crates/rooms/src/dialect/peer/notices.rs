//! What the room and the node tell a participant.
use std::sync::Arc;

use livekit::signal_response::Message as Response;
use sluice_api::sfu::v1 as sfu;
use sluice_livekit_proto as livekit;
use tokio::time::Instant;

use super::{Peer, convert};
use crate::room::{Change, Notice, Presence, Reason};

/// Departures that a client which is away a moment shall hear of: more than any room holds.
const MOST_MISSED: usize = 10_000;

impl Peer {
    pub(super) async fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Present(presences) => {
                self.present(&presences);
                self.withdraw().await;
            }
            Notice::Mute => self.mute_microphone().await,
            Notice::Gone(presence, reason) => self.gone(&presence, reason),
            Notice::Wanted(wanted) => {
                self.subscribing.want(wanted);
                self.declare_subscriptions();
            }
            Notice::Allowed { participant_id, track_id, allowed } => {
                self.tell(Response::SubscriptionPermissionUpdate(livekit::SubscriptionPermissionUpdate {
                    participant_sid: participant_id,
                    track_sid: track_id,
                    allowed,
                }));
            }
            Notice::Speaking(speakers) => {
                self.people.speaking = speakers;
                self.tell_speakers();
            }
            Notice::Quality { participant_id, quality } => self.quality(participant_id, quality),
            Notice::FirstSubscriber(track_id) => {
                // Older clients cannot read it.
                if self.client().protocol == 0 || self.client().protocol >= 10 {
                    let track_sid = track_id;
                    self.tell(Response::TrackSubscribed(livekit::TrackSubscribed { track_sid }));
                }
            }
            Notice::Media(kind) => self.media(*kind).await,
            Notice::Compare(sessions) => self.compare(&sessions).await,
            Notice::Leave(reason) => self.end(reason),
        }
    }

    fn present(&mut self, presences: &[Arc<Presence>]) {
        let mut layers_changed = false;
        for presence in presences {
            if presence.id() == self.id() {
                self.people.me = presence.clone();
                if self.record_is_outdated() {
                    self.remember();
                }
                continue;
            }
            let known = self.people.others.insert(presence.id().to_owned(), presence.clone());
            // Wishes are made of layers: a track that is wanted already may have other ones now.
            layers_changed |= known.is_some_and(|known| {
                presence.tracks.iter().any(|track| {
                    self.subscribing.wants(&track.track_id)
                        && known.track(&track.track_id).is_some_and(|known| known.layers != track.layers)
                })
            });
        }
        let participants = presences.iter().map(|presence| convert::participant(presence)).collect();
        self.tell(Response::Update(livekit::ParticipantUpdate { participants }));
        if layers_changed {
            self.declare_subscriptions();
        }
    }

    fn gone(&mut self, presence: &Presence, reason: Reason) {
        self.people.others.remove(presence.id());
        self.people.qualities.remove(presence.id());
        for track in &presence.tracks {
            self.subscribing.forget(&track.track_id);
        }
        let gone = convert::gone(presence, reason);
        if self.signal.socket.is_none() && self.people.missed.len() < MOST_MISSED {
            self.people.missed.push(gone.clone());
        }
        let participants = vec![gone];
        self.tell(Response::Update(livekit::ParticipantUpdate { participants }));
    }

    /// Tells who speaks, as far as the client does not know it.
    pub(super) fn tell_speakers(&mut self) {
        let me = self.people.me.id();
        let (subscribing, people) = (&self.subscribing, &mut self.people.speakers);
        let audible = |speaker: &sfu::Speaker| {
            speaker.participant_id == me || subscribing.wants(&speaker.publication_id)
        };
        let speakers = people.update(&self.people.speaking, audible);
        if !speakers.is_empty() {
            self.tell(Response::SpeakersChanged(livekit::SpeakersChanged { speakers }));
        }
    }

    fn quality(&mut self, participant_id: String, quality: sfu::Quality) {
        if self.people.qualities.insert(participant_id.clone(), quality) == Some(quality) {
            return;
        }
        let (quality, score) = convert::quality(quality);
        let update = livekit::ConnectionQualityInfo {
            participant_sid: participant_id,
            quality: quality.into(),
            score,
        };
        self.tell(Response::ConnectionQuality(livekit::ConnectionQualityUpdate { updates: vec![update] }));
    }

    /// An event of one's own sessions.
    async fn media(&mut self, kind: sfu::event::Kind) {
        use sfu::event::Kind;
        match kind {
            Kind::SessionChanged(event) => self.session_changed(&event).await,
            Kind::NegotiationNeeded(event) => self.negotiation_needed(event),
            Kind::PublicationChanged(event) => {
                if let Some(publication) = event.publication {
                    self.publication_changed(&publication).await;
                }
            }
            Kind::PublicationEnded(event) => {
                if self.publishing.remove(&event.publication_id) {
                    self.unpublished(event.publication_id).await;
                }
            }
            Kind::SubscriptionChanged(event) => {
                if let Some(subscription) = event.subscription {
                    self.subscription_changed(&subscription);
                }
            }
            Kind::WantedLayers(event) => {
                if self.qualities.wanted(&event.publication_id, event.layers, Instant::now()) {
                    self.tell_qualities(&event.publication_id);
                }
            }
            // The room's own affairs, which it does not pass on.
            Kind::SpeakersChanged(_)
            | Kind::ConnectionQuality(_)
            | Kind::RoomEnded(_)
            | Kind::NodeDraining(_) => {}
        }
    }

    async fn session_changed(&mut self, event: &sfu::SessionChanged) {
        tracing::info!(session = event.session_id, state = ?event.state(), reason = ?event.reason(), "session");
        let primary = event.session_id == self.sessions.primary();
        match event.state() {
            sfu::SessionState::Connected if primary => self.say(Change::Active).await,
            sfu::SessionState::Disconnected if primary => self.say(Change::Lost).await,
            sfu::SessionState::Closed if primary => {
                let reason = match event.reason() {
                    sfu::SessionCloseReason::DataOverflow => Reason::Overloaded,
                    _ => Reason::MediaLost,
                };
                self.end(reason);
            }
            // The client may offer again: then the session comes back.
            sfu::SessionState::Closed => self.sessions.publisher_exists = false,
            _ => {}
        }
    }

    async fn publication_changed(&mut self, publication: &sfu::Publication) {
        if let Some(track) = self.publishing.reported(publication) {
            if self.people.me.track(&track.track_id).is_none() {
                self.qualities.begun(&track.track_id, Instant::now());
            }
            self.say(Change::Track(track)).await;
        }
    }

    fn subscription_changed(&mut self, subscription: &sfu::Subscription) {
        let track_sid = subscription.publication_id.clone();
        if subscription.pause_reason() == sfu::PauseReason::Codec {
            let err = livekit::SubscriptionError::SeCodecUnsupported.into();
            self.tell(Response::SubscriptionResponse(livekit::SubscriptionResponse { track_sid, err }));
            return;
        }
        let Some(state) = self.subscribing.reported(subscription) else { return };
        let Some((owner, _)) = self.find_track(&track_sid) else { return };
        if !self.client().allow_pause {
            return;
        }
        let participant_sid = owner.id().to_owned();
        let stream_states =
            vec![livekit::StreamStateInfo { participant_sid, track_sid, state: state.into() }];
        self.tell(Response::StreamStateUpdate(livekit::StreamStateUpdate { stream_states }));
    }

    /// Events were lost: takes the node's word on our sessions.
    async fn compare(&mut self, sessions: &[sfu::Session]) {
        let Some(primary) = sessions.iter().find(|session| session.session_id == self.sessions.primary())
        else {
            return self.end(Reason::MediaLost);
        };
        if primary.state() == sfu::SessionState::Connected {
            self.say(Change::Active).await;
        }
        let publisher = self.sessions.publisher.clone();
        self.sessions.publisher_exists = sessions.iter().any(|session| session.session_id == publisher);
        let publications = || sessions.iter().flat_map(|session| &session.publications);
        for track_id in self.people.me.tracks.iter().map(|track| track.track_id.clone()).collect::<Vec<_>>() {
            let gone = !publications().any(|publication| publication.publication_id == track_id);
            if gone && self.publishing.remove(&track_id) {
                self.unpublished(track_id).await;
            }
        }
        for publication in publications() {
            self.publication_changed(publication).await;
        }
        // Whether a round is needed was perhaps said among the lost events.
        if let Some(session_id) = self.sessions.subscriber.clone() {
            self.negotiation_needed(sfu::NegotiationNeeded { session_id, missing: None });
        }
    }
}
