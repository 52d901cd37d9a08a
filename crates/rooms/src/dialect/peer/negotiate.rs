//! Offers and answers between the client and the node, and what the node's calls bring back.
use sluice_api::sfu::v1 as sfu;
use sluice_api::sfu::v1::negotiate_request::Step as Round;
use sluice_livekit_proto as livekit;
use sluice_livekit_proto::signal_response::Message as Response;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::rounds::{Missing, Next};
use super::{Peer, convert};
use crate::node::steps::{Done, Step};
use crate::room::{Change, Command, Reason};

/// A client's offers that may wait for the node.
const MOST_OFFERS: usize = 8;

impl Peer {
    /// The client offers on its own PeerConnection.
    pub(super) fn client_offer(&mut self, offer: livekit::SessionDescription) {
        if self.rounds.offer_ids.len() >= MOST_OFFERS {
            tracing::warn!("the client offers faster than the node answers");
            return self.end(Reason::Overloaded);
        }
        if !self.sessions.publisher_exists {
            let request = self.sessions.put_publisher(self.scope(), &self.people.me, self.client());
            self.sessions.publisher_exists = true;
            self.push(Step::PutSession(request));
            if !self.publishing.is_empty() {
                self.declare_publications();
            }
        }
        self.rounds.offer_ids.push_back(Some(offer.id));
        self.rounds.requests.offered();
        self.negotiate(self.sessions.publisher.clone(), Round::RemoteOffer(offer.sdp));
        let early = std::mem::take(&mut self.sessions.early_candidates);
        if !early.is_empty() {
            self.add_candidates(self.sessions.publisher.clone(), early);
        }
    }

    /// The client answers the node's offer.
    pub(super) fn client_answer(&mut self, answer: livekit::SessionDescription) {
        let Some(session) =
            self.sessions.subscriber.clone().filter(|_| self.rounds.offers.answered(answer.id))
        else {
            metrics::counter!("sluice_rooms_stale_answers_total").increment(1);
            return;
        };
        self.negotiate(session, Round::RemoteAnswer(answer.sdp));
    }

    pub(super) fn proceed(&mut self, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Create { ice_restart } => {
                let Some(session) = self.sessions.subscriber.clone() else { return };
                self.negotiate(session, Round::CreateOffer(sfu::CreateOffer { ice_restart }));
            }
            Next::Send { id, sdp } => self.tell(Response::Offer(livekit::SessionDescription {
                r#type: "offer".into(),
                sdp,
                id,
                ..Default::default()
            })),
        }
    }

    fn negotiate(&mut self, session_id: String, round: Round) {
        let scope = self.scope();
        self.push(Step::Negotiate(sfu::NegotiateRequest {
            room_id: scope.room_id,
            owner_epoch: scope.epoch,
            session_id,
            step: Some(round),
        }));
    }

    pub(super) fn add_candidates(&mut self, session_id: String, candidates: Vec<String>) {
        let scope = self.scope();
        self.push(Step::AddCandidates(sfu::AddCandidatesRequest {
            room_id: scope.room_id,
            owner_epoch: scope.epoch,
            session_id,
            candidates,
        }));
    }

    /// The session's description no longer matches what is declared.
    pub(super) fn negotiation_needed(&mut self, event: sfu::NegotiationNeeded) {
        if self.sessions.subscriber.as_ref() != Some(&event.session_id) {
            return;
        }
        if !self.sessions.node_offers() {
            if let Some(missing) = self.rounds.requests.needed(event.missing.into(), Instant::now()) {
                self.tell_missing(missing);
            }
        } else if self.signal.socket.is_some() {
            let next = self.rounds.offers.needed();
            self.proceed(next);
        }
        // A client that comes back to a session on which the node offers gets an offer in any case.
    }

    pub(super) fn tell_missing(&mut self, missing: Missing) {
        let (num_audios, num_videos) = (missing.audio, missing.video);
        let requirement = livekit::MediaSectionsRequirement { num_audios, num_videos };
        self.tell(Response::MediaSectionsRequirement(requirement));
    }

    /// A call to the node ended.
    pub(super) async fn done(&mut self, done: Done) {
        let Done { step, result } = done;
        match (step, result) {
            (Step::Negotiate(request), Ok(Some(response))) => match request.step {
                Some(Round::RemoteOffer(_)) => self.offer_answered(response).await,
                Some(Round::CreateOffer(_)) => {
                    let next = self.rounds.offers.created(response.sdp, Instant::now());
                    self.proceed(next);
                }
                Some(Round::RemoteAnswer(_)) => {
                    let next = self.rounds.offers.applied();
                    self.proceed(next);
                }
                None => {}
            },
            (_, Ok(_)) => {}
            (step, Err(status)) => self.failed(&step, &status).await,
        }
    }

    /// The node answered an offer of the client.
    async fn offer_answered(&mut self, response: sfu::NegotiateResponse) {
        let missing = self.rounds.requests.answered(response.missing.into(), Instant::now());
        if let Some(Some(id)) = self.rounds.offer_ids.pop_front() {
            let mid_to_track_id = convert::mid_to_track_id(&response.bindings);
            self.tell(Response::Answer(livekit::SessionDescription {
                r#type: "answer".into(),
                sdp: response.sdp,
                id,
                mid_to_track_id,
            }));
        }
        let bound = self.publishing.bind(&response.bindings);
        for track in bound.begun {
            tracing::info!(track = track.track_id, name = track.name, "track published");
            self.qualities.begun(&track.track_id, Instant::now());
            self.say(Change::Track(track)).await;
        }
        for track_id in bound.ended {
            self.unpublished(track_id).await;
        }
        if let Some(missing) = missing {
            self.tell_missing(missing);
        }
    }

    /// A track is no longer published: tells everybody.
    pub(super) async fn unpublished(&mut self, track_id: String) {
        tracing::info!(track = track_id, "track unpublished");
        self.qualities.forget(&track_id);
        self.declare_publications();
        let track_sid = track_id.clone();
        self.tell(Response::TrackUnpublished(livekit::TrackUnpublishedResponse { track_sid }));
        self.say(Change::TrackEnded(track_id)).await;
    }

    async fn failed(&mut self, step: &Step, status: &Status) {
        let what = match step {
            Step::PutSession(_) => "session",
            Step::SetPublications(_) => "publications",
            Step::SetSubscriptions(_) => "subscriptions",
            Step::SetMuted(_) => "mute",
            Step::Negotiate(_) => "negotiation",
            Step::AddCandidates(_) => "candidates",
        };
        tracing::warn!(what, code = ?status.code(), message = status.message(), "the node refused");
        if status.code() == Code::FailedPrecondition
            && let Step::Negotiate(request) = step
            && request.step == Some(Round::CreateOffer(sfu::CreateOffer { ice_restart: false }))
        {
            let next = self.rounds.offers.refused();
            return self.proceed(next);
        }
        match (step, status.code()) {
            // A candidate for a session that just ended, or one that the node cannot use: others may do.
            (Step::AddCandidates(_), _) => {}
            // A track that just ended.
            (Step::SetMuted(_), Code::NotFound) => {}
            (Step::Negotiate(_), Code::InvalidArgument) => self.end(Reason::NoAnswer),
            (_, Code::NotFound) => {
                // Our session is gone, perhaps with the whole room.
                if self.room.commands.send(Command::Compare).await.is_err() {
                    tracing::debug!("the room has ended");
                }
                self.end(Reason::Mismatch);
            }
            _ => self.end(Reason::Mismatch),
        }
    }
}
