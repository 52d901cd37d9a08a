//! What a device hears, as JSON: the model's views in the shape of client.proto.
use sluice_api::calls::v1 as api;
use sluice_api::calls::v1::server_message::Message;
use sluice_calls::{CallView, DeviceId, Member, Ring, Shown, Time, UserId};

use super::log::Word;
use crate::calls::convert::enums;
use crate::calls::convert::status::to_reply;
use crate::calls::desk::{Picture, Trouble};
use crate::calls::front::Done;

/// `None`: the device may know nothing of it.
pub(super) fn word(word: &Word, cursor: String, user: &UserId, device: &DeviceId) -> Option<String> {
    let message = match word {
        Word::Ring(ring) => Message::Ring(self::ring(ring)),
        Word::Stopped { call, reason } => Message::RingStopped(api::RingStopped {
            call_id: call.to_string(),
            reason: enums::stop_reason(*reason).into(),
        }),
        Word::Changed(call) => Message::Call(view(&call.view(user, device)?)),
        Word::Over { call, reason, duration_ms } => Message::Over(api::CallOver {
            call_id: call.to_string(),
            reason: enums::shown_reason(*reason).into(),
            duration_ms: i64::try_from(*duration_ms).unwrap_or(i64::MAX),
        }),
    };
    text(cursor, message)
}

pub(super) fn snapshot(
    picture: &Picture,
    cursor: String,
    user: &UserId,
    device: &DeviceId,
    now: Time,
) -> Option<String> {
    let snapshot = api::Snapshot {
        user_id: user.to_string(),
        device_id: device.to_string(),
        server_time_ms: ms(now),
        rings: picture.rings.iter().map(ring).collect(),
        calls: picture.calls.iter().map(view).collect(),
    };
    text(cursor, Message::Snapshot(snapshot))
}

/// A sign of life, and the server's time. With a cursor: the first message to a device that goes on from there.
pub(super) fn pong(cursor: String, now: Time) -> Option<String> {
    text(cursor, Message::Pong(api::Pong { server_time_ms: ms(now) }))
}

/// What became of the request `id`.
pub(super) fn reply(
    id: String,
    result: Result<Done, Trouble>,
    user: &UserId,
    device: &DeviceId,
) -> Option<String> {
    let reply = match result {
        Ok(done) => api::Reply {
            id,
            error: None,
            call: done.call.and_then(|call| call.view(user, device)).as_ref().map(view),
            media: done.media,
            merged: done.merged,
        },
        Err(trouble) => {
            api::Reply { id, error: Some(to_reply(&trouble)), call: None, media: None, merged: false }
        }
    };
    text(String::new(), Message::Reply(reply))
}

fn text(cursor: String, message: Message) -> Option<String> {
    let message = api::ServerMessage { cursor, message: Some(message) };
    // Fails for enums out of range alone; ours come from enums.
    serde_json::to_string(&message)
        .inspect_err(|error| tracing::error!(%error, "a message to a device cannot be written"))
        .ok()
}

fn ms(time: Time) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn optional<T: ToString>(id: Option<&T>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

fn ring(ring: &Ring) -> api::Ring {
    api::Ring {
        call_id: ring.call.to_string(),
        caller_user_id: ring.caller.to_string(),
        caller_handle: ring.caller_handle.clone(),
        kind: enums::kind(ring.kind).into(),
        media: enums::media(ring.media).into(),
        conversation_id: optional(ring.conversation.as_ref()),
        deadline_ms: ms(ring.deadline),
        waiting: ring.waiting,
    }
}

fn view(view: &CallView) -> api::CallView {
    api::CallView {
        call_id: view.call.to_string(),
        revision: view.revision,
        state: enums::state(view.state).into(),
        kind: enums::kind(view.kind).into(),
        media: enums::media(view.media).into(),
        conversation_id: optional(view.conversation.as_ref()),
        creator_user_id: view.creator.to_string(),
        created_at_ms: ms(view.created_at),
        answered_at_ms: view.answered_at.map(ms).unwrap_or_default(),
        members: view.members.iter().map(member).collect(),
        me_in_call: view.me_in_call,
        this_device: view.this_device,
        host: view.host,
        video_allowed: view.video_allowed,
        on_hold: view.on_hold,
        in_lobby: view.in_lobby,
        upgrade_requested_by: optional(view.upgrade_requested_by.as_ref()),
        link_id: optional(view.link.as_ref()),
    }
}

fn member(member: &Member) -> api::Member {
    api::Member {
        user_id: member.user.to_string(),
        handle: member.handle.clone(),
        state: shown(member.state).into(),
        on_hold: member.on_hold,
        video_allowed: member.video_allowed,
        host: member.host,
        identity: member.identity.clone().unwrap_or_default(),
    }
}

fn shown(state: Shown) -> api::member::Shown {
    use api::member::Shown as Out;
    match state {
        Shown::Calling => Out::Calling,
        Shown::Ringing => Out::Ringing,
        Shown::Connecting => Out::Connecting,
        Shown::Joined => Out::Joined,
        Shown::Reconnecting => Out::Reconnecting,
        Shown::Left => Out::Left,
        Shown::Declined => Out::Declined,
        Shown::Busy => Out::Busy,
        Shown::NoAnswer => Out::NoAnswer,
        Shown::Cancelled => Out::Cancelled,
        Shown::CannotCall => Out::CannotCall,
        Shown::Failed => Out::Failed,
        Shown::InLobby => Out::InLobby,
    }
}
