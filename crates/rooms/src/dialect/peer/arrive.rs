//! A client's WebSocket arrives: the first words to one that joins, and to one that comes back.
use axum::extract::ws::close_code;
use sluice_livekit_proto as livekit;
use sluice_livekit_proto::signal_response::Message as Response;
use tokio::time::Instant;

use super::super::query::Early;
use super::speakers::Speakers;
use super::{Arrival, Peer, convert};
use crate::room::Reason;

impl Peer {
    pub(super) async fn arrive(&mut self, arrival: Arrival) {
        if let Some(old) = self.signal.socket.take() {
            old.close(close_code::NORMAL, "replaced by a newer connection");
        }
        let now = Instant::now();
        let resumes = arrival.intent.resume.is_some();
        if resumes && std::mem::take(&mut self.signal.drop_next_resume) {
            tracing::info!("a resume is dropped, as the client asked for");
            return;
        }
        self.signal.socket = Some(arrival.socket);
        self.signal.claims = Some(arrival.claims);
        self.signal.heard_at = now;
        self.signal.gone_at = None;
        // Answers to offers of the old connection must not reach the new one.
        self.rounds.offer_ids.iter_mut().for_each(|id| *id = None);
        self.rounds.requests.arrived(now);
        if resumes {
            let reason =
                livekit::ReconnectReason::try_from(arrival.intent.reconnect_reason).unwrap_or_default();
            tracing::info!(reason = reason.as_str_name(), "client resumes");
            metrics::counter!("sluice_rooms_resumes_total", "reason" => reason.as_str_name()).increment(1);
            self.greet_again();
        } else {
            tracing::info!(client = self.client().software, "client joins");
            self.greet();
        }
        self.early(arrival.intent.early).await;
    }

    fn greet(&mut self) {
        let settings = self.context.settings.clone();
        let permissions = self.people.me.permissions();
        let others = self.people.others.values().map(|other| convert::participant(other)).collect();
        let info = convert::server_info();
        self.tell(Response::Join(livekit::JoinResponse {
            room: Some(self.room_info()),
            participant: Some(convert::participant(&self.people.me)),
            other_participants: others,
            server_version: info.version.clone(),
            server_info: Some(info),
            ice_servers: convert::ice_servers(&settings),
            subscriber_primary: self.sessions.node_offers(),
            ping_interval: i32::try_from(settings.timings.ping_interval).unwrap_or_default(),
            ping_timeout: i32::try_from(settings.timings.ping_timeout).unwrap_or_default(),
            enabled_publish_codecs: convert::publish_codecs(&settings),
            fast_publish: permissions.can_publish || permissions.can_publish_data,
            ..Default::default()
        }));
        self.refresh_token();
        if self.sessions.node_offers() {
            let next = self.rounds.offers.needed();
            self.proceed(next);
        }
    }

    fn greet_again(&mut self) {
        let settings = self.context.settings.clone();
        self.tell(Response::Reconnect(livekit::ReconnectResponse {
            ice_servers: convert::ice_servers(&settings),
            server_info: Some(convert::server_info()),
            ..Default::default()
        }));
        let missed = std::mem::take(&mut self.people.missed);
        let everybody = std::iter::once(&self.people.me).chain(self.people.others.values());
        let present = everybody.map(|presence| convert::participant(presence));
        // Departures first: somebody may have left and come again.
        let participants = missed.into_iter().chain(present).collect();
        // What the client was told of these may not have reached it.
        self.people.speakers = Speakers::default();
        self.people.qualities.clear();
        self.tell(Response::Update(livekit::ParticipantUpdate { participants }));
        let room = Some(self.room_info());
        self.tell(Response::RoomUpdate(livekit::RoomUpdate { room }));
        self.refresh_token();
        self.tell_speakers();
        for track_id in self.qualities.tracks() {
            self.tell_qualities(&track_id);
        }
        if self.sessions.node_offers() {
            let next = self.rounds.offers.resumed();
            self.proceed(next);
        }
    }

    fn room_info(&self) -> livekit::Room {
        let everybody = || std::iter::once(&self.people.me).chain(self.people.others.values());
        let publishers = everybody().filter(|presence| !presence.tracks.is_empty()).count();
        convert::room(&self.record, everybody().count(), publishers)
    }

    /// What the client sent along, as if it had sent it now.
    async fn early(&mut self, early: Early) {
        if let Some(state) = early.sync_state {
            self.sync(state).await;
        }
        for track in early.tracks {
            self.add_track(track);
        }
        if let Some(offer) = early.offer {
            self.client_offer(offer);
        }
    }

    /// Compares what the client holds with what we do.
    pub(super) async fn sync(&mut self, state: livekit::SyncState) {
        let unknown = state.publish_tracks.iter().filter_map(|published| published.track.as_ref());
        if unknown.into_iter().any(|track| self.publishing.get(&track.sid).is_none()) {
            tracing::info!("the client publishes a track that we do not know");
            return self.end(Reason::Mismatch);
        }
        if let Some(subscription) = state.subscription {
            self.update_subscription(subscription).await;
        }
        if !state.track_sids_disabled.is_empty() {
            let track_sids = state.track_sids_disabled;
            self.track_settings(livekit::UpdateTrackSettings {
                track_sids,
                disabled: true,
                ..Default::default()
            });
        }
    }
}
