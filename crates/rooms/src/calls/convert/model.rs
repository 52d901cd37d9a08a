//! Calls, legs and records as the product's backend gets them.
use sluice_api::calls::v1 as api;
use sluice_calls::{Call, DeviceLeg, Leg, Quality, Rating, Record, Time};

use super::{enums, limits};

/// 0: not yet.
pub(crate) fn time(time: Option<Time>) -> i64 {
    time.map_or(0, |time| i64::try_from(time.0).unwrap_or(i64::MAX))
}

fn text<T: std::fmt::Display>(id: Option<&T>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

/// A call, whole.
pub(crate) fn call(call: &Call) -> api::Call {
    let users = |users: &[sluice_calls::UserId]| users.iter().map(ToString::to_string).collect();
    let upgrade = call.upgrade.as_ref().map(|upgrade| api::Upgrade {
        requested_by_user_id: upgrade.by.to_string(),
        requested_at_ms: time(Some(upgrade.at)),
        accepted_user_ids: users(&upgrade.accepted),
        declined_user_ids: users(&upgrade.declined),
    });
    api::Call {
        call_id: call.id.to_string(),
        revision: call.revision,
        state: enums::state(call.state).into(),
        kind: enums::kind(call.kind).into(),
        media: enums::media(call.media).into(),
        conversation_id: text(call.conversation.as_ref()),
        link_id: text(call.link.as_ref()),
        creator_user_id: call.creator.to_string(),
        legs: call.legs.iter().map(leg).collect(),
        created_at_ms: time(Some(call.created_at)),
        answered_at_ms: time(call.answered_at),
        ended_at_ms: time(call.ended_at),
        end_reason: enums::optional_end_reason(call.end_reason),
        app_data: call.app_data.clone().into(),
        limits: Some(limits::to_api(&call.limits)),
        upgrade,
    }
}

/// One user's part.
pub(crate) fn leg(leg: &Leg) -> api::Leg {
    api::Leg {
        user_id: leg.user.to_string(),
        handle: leg.handle.clone(),
        state: enums::leg_state(leg.state).into(),
        verdict: enums::verdict(leg.verdict).into(),
        invited_by_user_id: text(leg.invited_by.as_ref()),
        devices: leg.devices.iter().map(device).collect(),
        invited_at_ms: time(Some(leg.invited_at)),
        ring_deadline_ms: time(leg.ring_deadline),
        accepted_at_ms: time(leg.accepted_at),
        joined_at_ms: time(leg.joined_at),
        left_at_ms: time(leg.left_at),
        end_reason: enums::optional_end_reason(leg.end_reason),
        active_device_id: leg.seat.as_ref().map(|seat| seat.device.to_string()).unwrap_or_default(),
        on_hold: leg.on_hold,
        video_allowed: leg.video_allowed,
        host: leg.host,
        identity: leg.seat.as_ref().map(|seat| seat.identity.clone()).unwrap_or_default(),
    }
}

fn device(device: &DeviceLeg) -> api::DeviceLeg {
    let (state, stop_reason) = enums::device_state(device.state);
    api::DeviceLeg {
        device_id: device.device.to_string(),
        state: state.into(),
        stop_reason: stop_reason.into(),
        waiting: device.waiting,
    }
}

/// An ended call.
pub(crate) fn record(record: &Record) -> api::Record {
    let legs = record.legs.iter().map(|leg| api::LegRecord {
        user_id: leg.user.to_string(),
        handle: leg.handle.clone(),
        outcome: enums::leg_state(leg.outcome).into(),
        end_reason: enums::optional_end_reason(leg.end_reason),
        joined_at_ms: time(leg.joined_at),
        left_at_ms: time(leg.left_at),
        shown: enums::outcome(leg.shown).into(),
        quality: Some(quality(&leg.quality)),
    });
    api::Record {
        call_id: record.call.to_string(),
        revision: record.revision,
        conversation_id: text(record.conversation.as_ref()),
        link_id: text(record.link.as_ref()),
        kind: enums::kind(record.kind).into(),
        media: enums::media(record.media).into(),
        creator_user_id: record.creator.to_string(),
        created_at_ms: time(Some(record.created_at)),
        answered_at_ms: time(record.answered_at),
        ended_at_ms: time(Some(record.ended_at)),
        duration_ms: i64::try_from(record.duration_ms).unwrap_or(i64::MAX),
        end_reason: enums::end_reason(record.end_reason).into(),
        legs: legs.collect(),
        end_to_end_encrypted: record.end_to_end_encrypted,
        ratings: record.ratings.iter().map(rating).collect(),
    }
}

fn rating(rating: &Rating) -> api::Rating {
    api::Rating { user_id: rating.user.to_string(), stars: rating.stars.into() }
}

/// What was measured.
pub(crate) fn quality(quality: &Quality) -> api::Quality {
    api::Quality {
        loss: quality.loss,
        round_trip_ms: quality.round_trip_ms,
        frozen_ms_per_minute: quality.frozen_ms_per_minute,
    }
}
