//! What the engine reports, for callers.

use sluice_api::sfu::v1 as api;
use sluice_engine::command::{Binding, Carries, MissingSections};
use sluice_engine::model::{RoomSnapshot, RoomSummary, SessionSnapshot, SessionState};
use sluice_engine::stats::{LayerStats, PublicationStats, SessionStats, SubscriptionStats};
use sluice_rtp::Bitrate;

use super::declare::{codec_back, kind_back, pause_back, publication_back, subscription_back};
use super::session::{room_settings_back, session_settings_back};

pub(crate) fn summary(room: &RoomSummary) -> api::RoomSummary {
    api::RoomSummary {
        room_id: room.room.to_string(),
        owner_epoch: room.owner_epoch,
        sessions: count(room.sessions),
        publications: count(room.publications),
    }
}

/// `event_sequence` is the last event that the snapshot includes.
pub(crate) fn room(room: &RoomSnapshot, event_sequence: u64) -> api::Room {
    api::Room {
        room_id: room.room.to_string(),
        owner_epoch: room.owner_epoch,
        app_state: room.app_state.clone(),
        settings: Some(room_settings_back(&room.settings)),
        sessions: room.sessions.iter().map(session).collect(),
        event_sequence,
    }
}

fn session(session: &SessionSnapshot) -> api::Session {
    api::Session {
        session_id: session.session.to_string(),
        participant_id: session.participant.to_string(),
        settings: Some(session_settings_back(&session.settings)),
        app_state: session.app_state.clone(),
        state: state_back(session.state).into(),
        publications: session.publications.iter().map(publication_back).collect(),
        subscriptions: session.subscriptions.iter().map(subscription_back).collect(),
    }
}

pub(super) fn state_back(state: SessionState) -> api::SessionState {
    match state {
        SessionState::New => api::SessionState::New,
        SessionState::Connected => api::SessionState::Connected,
        SessionState::Disconnected => api::SessionState::Disconnected,
        SessionState::Closed => api::SessionState::Closed,
    }
}

pub(crate) fn bindings(bindings: Vec<Binding>) -> Vec<api::Binding> {
    let binding = |binding: Binding| {
        let carries = match binding.carries {
            Carries::Publication(id) => api::binding::Carries::PublicationId(id.to_string()),
            Carries::Subscription(id) => api::binding::Carries::SubscriptionPublicationId(id.to_string()),
        };
        api::Binding { mid: binding.mid, carries: Some(carries) }
    };
    bindings.into_iter().map(binding).collect()
}

pub(crate) fn missing(missing: MissingSections) -> api::MissingSections {
    api::MissingSections { audio: missing.audio, video: missing.video }
}

pub(crate) fn stats(stats: &SessionStats) -> api::SessionStats {
    api::SessionStats {
        session_id: stats.session.to_string(),
        participant_id: stats.participant.to_string(),
        state: state_back(stats.state).into(),
        transport: stats.transport.to_owned(),
        bytes_received: stats.bytes_received,
        bytes_sent: stats.bytes_sent,
        rtt_ms: stats.rtt.map(|rtt| rtt.as_secs_f32() * 1_000.0),
        estimate: stats.estimate.map(Bitrate::as_bps),
        allocated: stats.allocated.as_bps(),
        publications: stats.publications.iter().map(publication_stats).collect(),
        subscriptions: stats.subscriptions.iter().map(subscription_stats).collect(),
        data: Some(api::DataStats {
            messages_received: stats.data.received,
            messages_sent: stats.data.sent,
            refused: stats.data.refused,
            dropped: stats.data.dropped,
        }),
    }
}

fn publication_stats(stats: &PublicationStats) -> api::PublicationStats {
    api::PublicationStats {
        publication_id: stats.publication.to_string(),
        kind: kind_back(stats.kind).into(),
        codec: codec_back(stats.codec),
        layers: stats.layers.iter().map(layer_stats).collect(),
    }
}

fn layer_stats(stats: &LayerStats) -> api::LayerStats {
    api::LayerStats {
        rid: stats.rid.clone(),
        packets: stats.packets,
        bytes: stats.bytes,
        lost: stats.lost,
        nacks_sent: stats.nacks_sent,
        key_frame_requests_sent: stats.key_frame_requests_sent,
        key_frames: stats.key_frames,
        bitrate: stats.bitrate.as_bps(),
        frame_rate: stats.frame_rate,
        width: stats.width,
        height: stats.height,
    }
}

fn subscription_stats(stats: &SubscriptionStats) -> api::SubscriptionStats {
    api::SubscriptionStats {
        publication_id: stats.publication.to_string(),
        layer: stats.layer.map(u32::from),
        pause_reason: pause_back(stats.paused).into(),
        packets: stats.packets,
        bytes: stats.bytes,
        dropped: stats.dropped,
        nacks_received: stats.nacks_received,
        key_frame_requests_received: stats.key_frame_requests_received,
        switches: stats.switches,
        bitrate: stats.bitrate.as_bps(),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
