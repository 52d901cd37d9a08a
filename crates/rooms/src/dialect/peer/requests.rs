//! What the client asks for.
use livekit::request_response::Reason as Answer;
use livekit::signal_request::Message as Request;
use livekit::signal_response::Message as Response;
use serde::Deserialize;
use sluice_api::sfu::v1 as sfu;
use sluice_livekit_proto as livekit;

use super::Peer;
use super::convert;
use crate::model;
use crate::node::now_ms;
use crate::node::steps::Step;
use crate::room::{Change, Reason};

/// Rules and track ids that one request may hold.
const MOST_ENTRIES: usize = 4_096;
/// Choices by hand that the next process shall know: the node stores 64 KiB for a participant.
const MOST_REMEMBERED: usize = 512;

/// RTCIceCandidateInit, as far as we need it.
#[derive(Deserialize)]
struct CandidateInit {
    #[serde(default)]
    candidate: String,
}

impl Peer {
    pub(super) async fn request(&mut self, request: Request) {
        metrics::counter!("sluice_rooms_signal_messages_total", "direction" => "in").increment(1);
        match request {
            Request::Offer(offer) => self.client_offer(offer),
            Request::Answer(answer) => self.client_answer(answer),
            Request::Trickle(trickle) => self.trickle(trickle),
            Request::AddTrack(request) => self.add_track(request),
            Request::Mute(request) => self.mute(request).await,
            Request::Subscription(request) => self.update_subscription(request).await,
            Request::TrackSetting(settings) => self.track_settings(settings),
            Request::Leave(_) => self.end(Reason::ClientLeft),
            Request::SubscriptionPermission(request) => self.subscription_permission(request).await,
            Request::SyncState(state) => self.sync(state).await,
            Request::Simulate(request) => self.simulate(request),
            Request::Ping(_) => self.tell(Response::Pong(now_ms())),
            Request::PingReq(ping) => self.tell(Response::PongResp(livekit::Pong {
                last_ping_timestamp: ping.timestamp,
                timestamp: now_ms(),
            })),
            Request::UpdateMetadata(request) => self.update_metadata(request).await,
            Request::UpdateAudioTrack(request) => self.update_audio_track(request).await,
            Request::UpdateVideoTrack(request) => self.update_video_track(request).await,
            // Adaptive stream and dynacast made it useless.
            Request::UpdateLayers(_) => {}
        }
    }

    fn trickle(&mut self, trickle: livekit::TrickleRequest) {
        let Ok(init) = serde_json::from_str::<CandidateInit>(&trickle.candidate_init) else {
            metrics::counter!("sluice_rooms_malformed_candidates_total").increment(1);
            return;
        };
        // Empty: the end of candidates, of which an ICE-lite peer has no use.
        if init.candidate.is_empty() {
            return;
        }
        let target = trickle.target();
        if target == livekit::SignalTarget::Subscriber && self.sessions.node_offers() {
            if let Some(session) = self.sessions.subscriber.clone() {
                self.add_candidates(session, vec![init.candidate]);
            }
        } else if self.sessions.publisher_exists {
            self.add_candidates(self.sessions.publisher.clone(), vec![init.candidate]);
        } else {
            self.sessions.hold_candidate(init.candidate);
        }
    }

    pub(super) fn add_track(&mut self, request: livekit::AddTrackRequest) {
        let permissions = self.people.me.permissions();
        let most = self.context.settings.limits.tracks;
        match self.publishing.add(&request, &permissions, most, crate::id::track()) {
            Ok(track) => {
                // The node must know the track before it sees the offer that carries it.
                if self.sessions.publisher_exists {
                    self.declare_publications();
                }
                let track = Some(convert::track(&track));
                self.tell(Response::TrackPublished(livekit::TrackPublishedResponse {
                    cid: request.cid,
                    track,
                }));
            }
            Err(reason) => {
                tracing::info!(reason = reason.as_str_name(), cid = request.cid, "track refused");
                let request = livekit::request_response::Request::AddTrack(request);
                self.answer(0, reason, Some(request));
            }
        }
    }

    fn answer(
        &mut self,
        request_id: u32,
        reason: Answer,
        request: Option<livekit::request_response::Request>,
    ) {
        let message = String::new();
        let reason = reason.into();
        self.tell(Response::RequestResponse(livekit::RequestResponse {
            request_id,
            reason,
            message,
            request,
        }));
    }

    pub(super) async fn mute(&mut self, request: livekit::MuteTrackRequest) {
        let Some((track, announced)) =
            self.publishing.amend(&request.sid, |track| track.muted = request.muted)
        else {
            return;
        };
        if self.sessions.publisher_exists {
            let scope = self.scope();
            self.push(Step::SetMuted(sfu::SetMutedRequest {
                room_id: scope.room_id,
                owner_epoch: scope.epoch,
                publication_id: request.sid.clone(),
                muted: request.muted,
            }));
        }
        if announced {
            self.say(Change::Track(track)).await;
        }
        if !request.muted {
            self.tell_qualities(&request.sid);
        }
    }

    pub(super) async fn update_subscription(&mut self, request: livekit::UpdateSubscription) {
        let nested = request.participant_tracks.into_iter().flat_map(|tracks| tracks.track_sids);
        let track_ids: Vec<String> =
            request.track_sids.into_iter().chain(nested).take(MOST_ENTRIES).collect();
        if track_ids.is_empty() {
            return;
        }
        let memory = &mut self.people.memory;
        let automatic = memory.client.as_ref().is_some_and(|client| client.auto_subscribe);
        let (chosen, other) = if request.subscribe {
            (&mut memory.subscribed, &mut memory.unsubscribed)
        } else {
            (&mut memory.unsubscribed, &mut memory.subscribed)
        };
        other.retain(|id| !track_ids.contains(id));
        // Only what differs from the rule needs to be remembered.
        if automatic != request.subscribe {
            chosen.retain(|id| !track_ids.contains(id));
            chosen.extend(track_ids.iter().cloned());
            let surplus = chosen.len().saturating_sub(MOST_REMEMBERED);
            chosen.drain(..surplus);
        }
        self.remember();
        self.say(Change::Choose { track_ids, subscribe: request.subscribe }).await;
    }

    pub(super) fn track_settings(&mut self, mut settings: livekit::UpdateTrackSettings) {
        settings.track_sids.truncate(MOST_ENTRIES);
        if self.subscribing.set(&settings) {
            self.declare_subscriptions();
        }
    }

    async fn subscription_permission(&mut self, request: livekit::SubscriptionPermission) {
        let rule = |rule: livekit::TrackPermission| model::AccessRule {
            participant_id: rule.participant_sid,
            identity: rule.participant_identity,
            all_tracks: rule.all_tracks,
            track_ids: rule.track_sids.into_iter().take(MOST_ENTRIES).collect(),
        };
        let rules = request.track_permissions.into_iter().take(MOST_ENTRIES).map(rule).collect();
        let access = (!request.all_participants).then_some(model::Access { rules });
        self.people.memory.access.clone_from(&access);
        self.remember();
        self.say(Change::Access(access)).await;
    }

    async fn update_metadata(&mut self, request: livekit::UpdateParticipantMetadata) {
        let limits = &self.context.settings.limits;
        let attributes: usize = request.attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
        let present = self.people.me.participant.attributes.iter();
        let kept: usize = present
            .filter(|(key, _)| !request.attributes.contains_key(*key))
            .map(|(key, value)| key.len() + value.len())
            .sum();
        let answer = if !self.people.me.permissions().can_update_metadata {
            Answer::NotAllowed
        } else if request.name.len() > limits.name_bytes
            || request.metadata.len() > limits.metadata_bytes
            || attributes + kept > limits.metadata_bytes
        {
            Answer::LimitExceeded
        } else {
            Answer::Ok
        };
        let echo = livekit::request_response::Request::UpdateMetadata(request.clone());
        self.answer(request.request_id, answer, Some(echo));
        if answer == Answer::Ok {
            let given = |text: String| (!text.is_empty()).then_some(text);
            self.say(Change::Profile {
                name: given(request.name),
                metadata: given(request.metadata),
                attributes: request.attributes.into_iter().collect(),
            })
            .await;
        }
    }

    async fn update_audio_track(&mut self, request: livekit::UpdateLocalAudioTrack) {
        let mut features = request.features;
        features.truncate(16);
        self.amend_track(&request.track_sid, |track| track.audio_features = features).await;
    }

    async fn update_video_track(&mut self, request: livekit::UpdateLocalVideoTrack) {
        self.amend_track(&request.track_sid, |track| {
            (track.width, track.height) = (request.width, request.height);
        })
        .await;
    }

    async fn amend_track(&mut self, track_id: &str, amend: impl FnOnce(&mut model::Track)) {
        let Some((track, announced)) = self.publishing.amend(track_id, amend) else { return };
        self.declare_publications();
        if announced {
            self.say(Change::Track(track)).await;
        }
    }

    /// Faults on order, so that applications can test how they recover.
    fn simulate(&mut self, request: livekit::SimulateScenario) {
        use livekit::leave_request::Action;
        use livekit::simulate_scenario::Scenario;
        tracing::info!(?request, "simulated fault");
        match request.scenario {
            Some(Scenario::ServerLeave(true)) => self.end(Reason::Simulated),
            // As after a real one: everything is gone, and the client finds out when it comes back.
            Some(Scenario::NodeFailure(true)) => {
                self.detach("simulated");
                self.end(Reason::SignalLost);
            }
            Some(Scenario::LeaveRequestFullReconnect(true)) => self.end(Reason::Mismatch),
            Some(Scenario::Migration(true)) => {
                let leave = convert::leave_request(livekit::DisconnectReason::Migration, Action::Resume);
                self.tell(Response::Leave(leave));
                self.detach("simulated");
            }
            Some(
                Scenario::DisconnectSignalOnResume(true) | Scenario::DisconnectSignalOnResumeNoMessages(true),
            ) => {
                self.signal.drop_next_resume = true;
            }
            _ => {}
        }
    }
}
