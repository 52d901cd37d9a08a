//! Events of a transition as they stand in the log: encoded `Event`s without a resume token, which is their position.
use bytes::Bytes;
use prost::Message as _;
use sluice_api::calls::v1 as api;
use sluice_calls::{Event, EventKind, Push, Transition, UserId};

use super::{enums, model};

/// All events of a transition, in order.
pub(crate) fn encode(transition: &Transition) -> impl Iterator<Item = Bytes> + '_ {
    transition.events.iter().map(|event| to_api(transition, event).encode_to_vec().into())
}

/// One event, with what the backend needs to understand it.
pub(crate) fn to_api(transition: &Transition, event: &Event) -> api::Event {
    use EventKind as Kind;
    use api::EventType as Type;
    let call = &transition.call;
    let mut message = api::Event {
        event_id: event.id.clone(),
        call_id: call.id.to_string(),
        revision: call.revision,
        at_ms: model::time(Some(event.at)),
        conversation_id: call.conversation.as_ref().map(ToString::to_string).unwrap_or_default(),
        ..Default::default()
    };
    let whole = |message: &mut api::Event| message.call = Some(model::call(call));
    let leg_of = |user: &UserId| call.legs.iter().find(|leg| leg.user == *user).map(model::leg);
    let kind = match &event.kind {
        Kind::CallCreated => Type::CallCreated,
        Kind::CallRinging => Type::CallRinging,
        Kind::CallAnswered => Type::CallAnswered,
        Kind::CallEnded => Type::CallEnded,
        Kind::CallMigrated => Type::CallMigrated,
        Kind::UpgradeRequested => Type::MediaUpgradeRequested,
        Kind::UpgradeAccepted => Type::MediaUpgradeAccepted,
        Kind::UpgradeDeclined => Type::MediaUpgradeDeclined,
        Kind::LegInvited(_) => Type::LegInvited,
        Kind::LegRinging(_) => Type::LegRinging,
        Kind::LegAccepted(_) => Type::LegAccepted,
        Kind::LegDeclined(_) => Type::LegDeclined,
        Kind::LegBusy(_) => Type::LegBusy,
        Kind::LegMissed(_) => Type::LegMissed,
        Kind::LegCancelled(_) => Type::LegCancelled,
        Kind::LegJoined(_) => Type::LegJoined,
        Kind::LegReconnecting(_) => Type::LegReconnecting,
        Kind::LegLeft(_) => Type::LegLeft,
        Kind::LegFailed(_) => Type::LegFailed,
        Kind::LegChanged(_) => Type::LegChanged,
        Kind::RingStopped { .. } => Type::RingStopped,
        Kind::LobbyWaiting(_) => Type::LobbyWaiting,
        Kind::LobbyAdmitted(_) => Type::LobbyAdmitted,
        Kind::LobbyRefused(_) => Type::LobbyRefused,
        Kind::QualityReport(_) => Type::QualityReport,
        Kind::RecordReady => Type::RecordReady,
        Kind::Push(_) => Type::Push,
    };
    message.r#type = kind.into();
    match &event.kind {
        Kind::CallCreated
        | Kind::CallRinging
        | Kind::CallAnswered
        | Kind::CallEnded
        | Kind::CallMigrated
        | Kind::UpgradeRequested
        | Kind::UpgradeAccepted
        | Kind::UpgradeDeclined => whole(&mut message),
        Kind::LegInvited(user)
        | Kind::LegRinging(user)
        | Kind::LegAccepted(user)
        | Kind::LegDeclined(user)
        | Kind::LegBusy(user)
        | Kind::LegMissed(user)
        | Kind::LegCancelled(user)
        | Kind::LegJoined(user)
        | Kind::LegReconnecting(user)
        | Kind::LegLeft(user)
        | Kind::LegFailed(user)
        | Kind::LegChanged(user)
        | Kind::LobbyWaiting(user)
        | Kind::LobbyAdmitted(user)
        | Kind::LobbyRefused(user) => message.leg = leg_of(user),
        Kind::QualityReport(user) => {
            message.leg = leg_of(user);
            let leg = call.legs.iter().find(|leg| leg.user == *user);
            message.quality = leg.map(|leg| model::quality(&leg.quality));
        }
        Kind::RingStopped { user, device, reason } => {
            message.leg = leg_of(user);
            message.device_id = device.to_string();
            message.stop_reason = enums::stop_reason(*reason).into();
        }
        Kind::RecordReady => message.record = transition.record.as_deref().map(model::record),
        Kind::Push(push) => message.push = Some(to_push(push, event)),
    }
    message
}

fn to_push(push: &Push, event: &Event) -> api::Push {
    let stop = push.stop.map_or(api::StopReason::Unspecified, enums::stop_reason);
    let left = push.deadline.ms_since(event.at).div_ceil(1000);
    api::Push {
        user_id: push.user.to_string(),
        device_ids: push.devices.iter().map(ToString::to_string).collect(),
        caller_user_id: push.caller.to_string(),
        caller_handle: push.caller_handle.clone(),
        kind: enums::kind(push.kind).into(),
        media: enums::media(push.media).into(),
        deadline_ms: model::time(Some(push.deadline)),
        ttl_s: u32::try_from(left).unwrap_or(u32::MAX),
        attempt: push.attempt,
        stop_reason: stop.into(),
    }
}
