//! Events, for those who watch.

use sluice_api::sfu::v1 as api;
use sluice_api::sfu::v1::event::Kind;
use sluice_engine::EventKind;
use sluice_engine::event::{Quality, Speaker};
use sluice_engine::id::ParticipantId;
use sluice_engine::model::{CloseReason, RoomEndReason};

use super::declare::{publication_back, subscription_back};
use super::report::{missing, state_back};

pub(crate) fn event(kind: &EventKind) -> Kind {
    match kind {
        EventKind::Session { session, participant, state, reason } => {
            Kind::SessionChanged(api::SessionChanged {
                session_id: session.to_string(),
                participant_id: participant.to_string(),
                state: state_back(*state).into(),
                reason: close_reason(*reason).into(),
            })
        }
        EventKind::NegotiationNeeded { session, missing: sections } => {
            Kind::NegotiationNeeded(api::NegotiationNeeded {
                session_id: session.to_string(),
                missing: Some(missing(*sections)),
            })
        }
        EventKind::PublicationChanged { session, publication } => {
            Kind::PublicationChanged(api::PublicationChanged {
                session_id: session.to_string(),
                publication: Some(publication_back(publication)),
            })
        }
        EventKind::PublicationEnded { session, publication } => {
            Kind::PublicationEnded(api::PublicationEnded {
                session_id: session.to_string(),
                publication_id: publication.to_string(),
            })
        }
        EventKind::SubscriptionChanged { session, participant, subscription, started } => {
            Kind::SubscriptionChanged(api::SubscriptionChanged {
                session_id: session.to_string(),
                participant_id: participant.to_string(),
                subscription: Some(subscription_back(subscription)),
                started: *started,
            })
        }
        EventKind::WantedLayers { session, publication, layers } => Kind::WantedLayers(api::WantedLayers {
            session_id: session.to_string(),
            publication_id: publication.to_string(),
            layers: layers.iter().copied().map(u32::from).collect(),
        }),
        EventKind::Speakers { speakers, dominant } => Kind::SpeakersChanged(api::SpeakersChanged {
            speakers: speakers.iter().map(speaker).collect(),
            dominant_participant_id: dominant.as_ref().map(ParticipantId::to_string).unwrap_or_default(),
        }),
        EventKind::Quality { session, participant, quality, loss, rtt } => {
            Kind::ConnectionQuality(api::ConnectionQuality {
                session_id: session.to_string(),
                participant_id: participant.to_string(),
                quality: self::quality(*quality).into(),
                loss: *loss,
                rtt_ms: rtt.map_or(0.0, |rtt| rtt.as_secs_f32() * 1_000.0),
            })
        }
        EventKind::RoomEnded { reason } => {
            Kind::RoomEnded(api::RoomEnded { reason: end_reason(*reason).into() })
        }
    }
}

fn speaker(speaker: &Speaker) -> api::Speaker {
    api::Speaker {
        participant_id: speaker.participant.to_string(),
        publication_id: speaker.publication.to_string(),
        level: speaker.level,
    }
}

fn quality(quality: Quality) -> api::Quality {
    match quality {
        Quality::Poor => api::Quality::Poor,
        Quality::Good => api::Quality::Good,
        Quality::Excellent => api::Quality::Excellent,
        Quality::Lost => api::Quality::Lost,
    }
}

fn close_reason(reason: Option<CloseReason>) -> api::SessionCloseReason {
    match reason {
        None => api::SessionCloseReason::Unspecified,
        Some(CloseReason::Deleted) => api::SessionCloseReason::Deleted,
        Some(CloseReason::Peer) => api::SessionCloseReason::Peer,
        Some(CloseReason::Timeout) => api::SessionCloseReason::Timeout,
        Some(CloseReason::DataOverflow) => api::SessionCloseReason::DataOverflow,
        Some(CloseReason::Fault) => api::SessionCloseReason::Fault,
    }
}

fn end_reason(reason: RoomEndReason) -> api::RoomEndReason {
    match reason {
        RoomEndReason::Deleted => api::RoomEndReason::Deleted,
        RoomEndReason::Orphaned => api::RoomEndReason::Orphaned,
        RoomEndReason::Fault => api::RoomEndReason::Fault,
        RoomEndReason::Drained => api::RoomEndReason::Drained,
    }
}
