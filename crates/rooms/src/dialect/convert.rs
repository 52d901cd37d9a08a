//! The room's records as the client protocol's messages.
use std::collections::HashMap;

use livekit::participant_info::State;
use sluice_api::sfu::v1 as sfu;
use sluice_livekit_proto as livekit;

use crate::model;
use crate::room::{Presence, Reason};
use crate::settings::Settings;

pub(super) fn participant(presence: &Presence) -> livekit::ParticipantInfo {
    let participant = &presence.participant;
    let state = if participant.active { State::Active } else { State::Joined };
    livekit::ParticipantInfo {
        sid: participant.participant_id.clone(),
        identity: participant.identity.clone(),
        state: state.into(),
        tracks: presence.tracks.iter().map(|track| self::track(track)).collect(),
        metadata: participant.metadata.clone(),
        joined_at: participant.joined_at_ms / 1000,
        name: participant.name.clone(),
        version: participant.version,
        permission: participant.permissions.as_ref().map(permission),
        is_publisher: !presence.tracks.is_empty(),
        kind: participant.kind,
        attributes: participant.attributes.clone().into_iter().collect(),
        joined_at_ms: participant.joined_at_ms,
        client_protocol: participant.client_protocol,
        capabilities: participant.capabilities.clone(),
        ..Default::default()
    }
}

pub(super) fn gone(presence: &Presence, reason: Reason) -> livekit::ParticipantInfo {
    livekit::ParticipantInfo {
        state: State::Disconnected.into(),
        tracks: Vec::new(),
        disconnect_reason: disconnect_reason(reason).into(),
        ..participant(presence)
    }
}

fn permission(permissions: &model::Permissions) -> livekit::ParticipantPermission {
    livekit::ParticipantPermission {
        can_subscribe: permissions.can_subscribe,
        can_publish: permissions.can_publish,
        can_publish_data: permissions.can_publish_data,
        hidden: permissions.hidden,
        recorder: permissions.recorder,
        can_publish_sources: permissions.sources.clone(),
        can_update_metadata: permissions.can_update_metadata,
        agent: permissions.agent,
        can_subscribe_metrics: permissions.can_subscribe_metrics,
        can_manage_agent_session: false,
    }
}

pub(super) fn track(track: &model::Track) -> livekit::TrackInfo {
    let kind = if track.video { livekit::TrackType::Video } else { livekit::TrackType::Audio };
    let layers: Vec<_> =
        track.layers.iter().enumerate().map(|(index, layer)| self::layer(index, layer)).collect();
    let codec = livekit::SimulcastCodecInfo {
        mime_type: track.mime_type.clone(),
        mid: track.mid.clone(),
        cid: track.client_track_id.clone(),
        layers: layers.clone(),
        video_layer_mode: track.layer_mode,
        sdp_cid: String::new(),
    };
    livekit::TrackInfo {
        sid: track.track_id.clone(),
        r#type: kind.into(),
        name: track.name.clone(),
        muted: track.muted,
        width: track.width,
        height: track.height,
        simulcast: track.layers.len() > 1,
        disable_dtx: track.no_dtx,
        source: track.source,
        layers,
        mime_type: track.mime_type.clone(),
        mid: track.mid.clone(),
        codecs: if track.mime_type.is_empty() { Vec::new() } else { vec![codec] },
        stereo: track.stereo,
        disable_red: track.no_red,
        encryption: track.encryption,
        stream: track.stream.clone(),
        audio_features: track.audio_features.clone(),
        backup_codec_policy: track.backup_codec_policy,
        packet_trailer_features: track.packet_trailer_features.clone(),
    }
}

fn layer(index: usize, layer: &model::Layer) -> livekit::VideoLayer {
    livekit::VideoLayer {
        quality: layer.quality,
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate,
        spatial_layer: i32::try_from(index).unwrap_or_default(),
        rid: layer.rid.clone(),
        ..Default::default()
    }
}

pub(super) fn room(room: &model::Room, participants: usize, publishers: usize) -> livekit::Room {
    livekit::Room {
        sid: room.room_id.clone(),
        name: room.name.clone(),
        empty_timeout: room.empty_timeout,
        max_participants: room.max_participants,
        creation_time: room.created_at_ms / 1000,
        metadata: room.metadata.clone(),
        num_participants: u32::try_from(participants).unwrap_or(u32::MAX),
        num_publishers: u32::try_from(publishers).unwrap_or(u32::MAX),
        departure_timeout: room.departure_timeout,
        creation_time_ms: room.created_at_ms,
        ..Default::default()
    }
}

pub(super) fn server_info() -> livekit::ServerInfo {
    livekit::ServerInfo {
        version: super::COMPATIBLE_VERSION.into(),
        protocol: super::PROTOCOL,
        debug_info: concat!("sluice ", env!("CARGO_PKG_VERSION")).into(),
        ..Default::default()
    }
}

pub(super) fn ice_servers(settings: &Settings) -> Vec<livekit::IceServer> {
    let servers = settings.ice_servers.iter();
    servers
        .map(|server| livekit::IceServer {
            urls: server.urls.clone(),
            username: server.username.clone(),
            credential: server.credential.clone(),
        })
        .collect()
}

pub(super) fn publish_codecs(settings: &Settings) -> Vec<livekit::Codec> {
    let codec = |mime: &String| livekit::Codec { mime: mime.clone(), fmtp_line: String::new() };
    settings.publish_codecs.iter().map(codec).collect()
}

pub(super) fn disconnect_reason(reason: Reason) -> livekit::DisconnectReason {
    use livekit::DisconnectReason as Theirs;
    match reason {
        Reason::ClientLeft => Theirs::ClientInitiated,
        Reason::Duplicate => Theirs::DuplicateIdentity,
        Reason::SignalLost => Theirs::SignalClose,
        Reason::MediaLost => Theirs::ConnectionTimeout,
        Reason::NoAnswer => Theirs::MediaFailure,
        Reason::Mismatch | Reason::RoomLost => Theirs::StateMismatch,
        Reason::RoomDeleted => Theirs::RoomDeleted,
        Reason::Simulated => Theirs::ServerShutdown,
        Reason::Overloaded => Theirs::UnknownReason,
        Reason::Removed => Theirs::ParticipantRemoved,
        Reason::Moved => Theirs::DuplicateIdentity,
        Reason::CallOver => Theirs::RoomDeleted,
    }
}

/// What a client that has to go is told; `None` for one that is gone or knows.
pub(super) fn leave(reason: Reason) -> Option<livekit::LeaveRequest> {
    use livekit::leave_request::Action;
    let action = match reason {
        Reason::ClientLeft | Reason::SignalLost => return None,
        Reason::Duplicate
        | Reason::RoomDeleted
        | Reason::Simulated
        | Reason::Removed
        | Reason::Moved
        | Reason::CallOver => Action::Disconnect,
        Reason::MediaLost | Reason::Mismatch | Reason::NoAnswer | Reason::RoomLost | Reason::Overloaded => {
            Action::Reconnect
        }
    };
    Some(leave_request(disconnect_reason(reason), action))
}

pub(super) fn leave_request(
    reason: livekit::DisconnectReason,
    action: livekit::leave_request::Action,
) -> livekit::LeaveRequest {
    let can_reconnect = action != livekit::leave_request::Action::Disconnect;
    livekit::LeaveRequest { can_reconnect, reason: reason.into(), action: action.into(), regions: None }
}

pub(super) fn quality(quality: sfu::Quality) -> (livekit::ConnectionQuality, f32) {
    match quality {
        sfu::Quality::Excellent | sfu::Quality::Unspecified => (livekit::ConnectionQuality::Excellent, 4.5),
        sfu::Quality::Good => (livekit::ConnectionQuality::Good, 3.5),
        sfu::Quality::Poor => (livekit::ConnectionQuality::Poor, 2.0),
        sfu::Quality::Lost => (livekit::ConnectionQuality::Lost, 0.0),
    }
}

/// Which track each section carries, own and subscribed ones.
pub(super) fn mid_to_track_id(bindings: &[sfu::Binding]) -> HashMap<String, String> {
    let named = bindings.iter().filter_map(|binding| {
        use sfu::binding::Carries::{PublicationId, SubscriptionPublicationId};
        let (PublicationId(track) | SubscriptionPublicationId(track)) = binding.carries.as_ref()?;
        Some((binding.mid.clone(), track.clone()))
    });
    named.collect()
}
