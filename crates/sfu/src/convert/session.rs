//! Settings of rooms and sessions, both ways.

use std::time::Duration;

use bytes::Bytes;
use sluice_api::sfu::v1 as api;
use sluice_engine::model::{DataChannel, DataPolicy, Offerer, RoomSettings, SessionSettings, WhenFull};
use sluice_rtp::Bitrate;
use tonic::Status;

use super::{invalid, kept};

/// Field numbers of protobuf end here.
const MAX_FIELD_NUMBER: u32 = (1 << 29) - 1;

/// Bytes appended to data messages at most.
const MAX_APPEND: usize = 1 << 10;

/// Bytes of a data channel's label at most (RFC 8832 section 5.1).
const MAX_LABEL: usize = u16::MAX as usize;

pub(crate) fn room_settings(settings: api::RoomSettings) -> RoomSettings {
    let default = RoomSettings::default();
    let timeout = millis(settings.orphan_timeout_ms).unwrap_or(default.orphan_timeout);
    let max_sessions = match settings.max_sessions {
        0 => default.max_sessions,
        max => max as usize,
    };
    RoomSettings { orphan_timeout: timeout, max_sessions }
}

pub(super) fn room_settings_back(settings: &RoomSettings) -> api::RoomSettings {
    api::RoomSettings {
        orphan_timeout_ms: to_millis(settings.orphan_timeout),
        max_sessions: u32::try_from(settings.max_sessions).unwrap_or(u32::MAX),
    }
}

pub(crate) fn session_settings(settings: Option<api::SessionSettings>) -> Result<SessionSettings, Status> {
    let settings = settings.ok_or_else(|| invalid("settings", "is missing"))?;
    let offerer = match settings.offerer() {
        api::Offerer::Peer => Offerer::Peer,
        api::Offerer::Node => Offerer::Node,
        api::Offerer::Unspecified => {
            return Err(invalid("settings.offerer", "OFFERER_PEER or OFFERER_NODE is needed"));
        }
    };
    Ok(SessionSettings {
        offerer,
        data: settings.data.map(data_policy).transpose()?.unwrap_or_default(),
        ice_lite: settings.ice_lite,
        max_send_bitrate: Some(settings.max_send_bitrate).filter(|&rate| rate > 0).map(Bitrate::bps),
        connect_timeout: millis(settings.connect_timeout_ms),
    })
}

pub(super) fn session_settings_back(settings: &SessionSettings) -> api::SessionSettings {
    let offerer = match settings.offerer {
        Offerer::Peer => api::Offerer::Peer,
        Offerer::Node => api::Offerer::Node,
    };
    api::SessionSettings {
        offerer: offerer.into(),
        data: Some(data_policy_back(&settings.data)),
        ice_lite: settings.ice_lite,
        max_send_bitrate: settings.max_send_bitrate.map_or(0, Bitrate::as_bps),
        connect_timeout_ms: settings.connect_timeout.map_or(0, to_millis),
    }
}

fn data_policy(policy: api::DataPolicy) -> Result<DataPolicy, Status> {
    let when_full = match policy.when_full() {
        api::WhenFull::Unspecified => None,
        api::WhenFull::Drop => Some(WhenFull::Drop),
        api::WhenFull::Close => Some(WhenFull::Close),
    };
    if policy.append.len() > MAX_APPEND {
        return Err(invalid("settings.data.append", "at most 1,024 bytes are possible"));
    }
    if policy.labels.iter().any(|label| label.len() > MAX_LABEL) {
        return Err(invalid("settings.data.labels", "at most 65,535 bytes are possible"));
    }
    let field_number = |name, number: u32| match number {
        0 => Ok(None),
        1..=MAX_FIELD_NUMBER => Ok(Some(number)),
        _ => Err(invalid(name, "is no field number of protobuf")),
    };
    Ok(DataPolicy {
        may_send: policy.may_send,
        receives: policy.receives,
        address: policy.address,
        destinations_field: field_number("settings.data.destinations_field", policy.destinations_field)?,
        destinations_path: destinations_path(policy.destinations_path)?,
        sequence_field: field_number("settings.data.sequence_field", policy.sequence_field)?,
        open: policy.open.into_iter().enumerate().map(data_channel).collect::<Result<_, _>>()?,
        labels: policy.labels,
        append: kept(&policy.append),
        max_message_bytes: some(policy.max_message_bytes).map(|bytes| bytes as usize),
        max_messages_per_second: some(policy.max_messages_per_second),
        queue_bytes: some(policy.queue_bytes).map(|bytes| bytes as usize),
        when_full,
    })
}

/// Deeper than this no list of receivers lies.
const MAX_PATH: usize = 4;

fn destinations_path(path: Vec<u32>) -> Result<Vec<u32>, Status> {
    let valid = path.len() <= MAX_PATH && path.iter().all(|number| (1..=MAX_FIELD_NUMBER).contains(number));
    if valid {
        Ok(path)
    } else {
        Err(invalid("settings.data.destinations_path", "is at most 4 field numbers of protobuf"))
    }
}

fn data_policy_back(policy: &DataPolicy) -> api::DataPolicy {
    let when_full = match policy.when_full {
        None => api::WhenFull::Unspecified,
        Some(WhenFull::Drop) => api::WhenFull::Drop,
        Some(WhenFull::Close) => api::WhenFull::Close,
    };
    let size = |bytes: Option<usize>| bytes.map_or(0, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
    api::DataPolicy {
        may_send: policy.may_send,
        receives: policy.receives,
        address: policy.address.clone(),
        open: policy.open.iter().map(data_channel_back).collect(),
        labels: policy.labels.clone(),
        append: Bytes::clone(&policy.append),
        destinations_field: policy.destinations_field.unwrap_or(0),
        destinations_path: policy.destinations_path.clone(),
        sequence_field: policy.sequence_field.unwrap_or(0),
        max_message_bytes: size(policy.max_message_bytes),
        max_messages_per_second: policy.max_messages_per_second.unwrap_or(0),
        queue_bytes: size(policy.queue_bytes),
        when_full: when_full.into(),
    }
}

fn data_channel((index, channel): (usize, api::DataChannel)) -> Result<DataChannel, Status> {
    let field = |name: &str| format!("settings.data.open[{index}].{name}");
    if channel.label.len() > MAX_LABEL {
        return Err(invalid(&field("label"), "at most 65,535 bytes are possible"));
    }
    let retransmits = channel.max_retransmits.map(u16::try_from).transpose();
    let max_retransmits =
        retransmits.map_err(|_| invalid(&field("max_retransmits"), "at most 65,535 are possible"))?;
    Ok(DataChannel { label: channel.label, ordered: channel.ordered, max_retransmits })
}

fn data_channel_back(channel: &DataChannel) -> api::DataChannel {
    api::DataChannel {
        label: channel.label.clone(),
        ordered: channel.ordered,
        max_retransmits: channel.max_retransmits.map(u32::from),
    }
}

fn some(number: u32) -> Option<u32> {
    Some(number).filter(|&number| number > 0)
}

fn millis(number: u32) -> Option<Duration> {
    some(number).map(|number| Duration::from_millis(number.into()))
}

fn to_millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
