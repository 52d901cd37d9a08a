//! The API's messages and the engine's types, turned into each other.
//!
//! What comes from callers is checked field by field, and refused with the field's name; what goes to them cannot fail.

mod declare;
mod event;
mod report;
mod session;

pub(crate) use declare::{publications, subscriptions};
pub(crate) use event::event;
pub(crate) use report::{bindings, missing, room, stats, summary};
pub(crate) use session::{room_settings, session_settings};

use bytes::Bytes;
use sluice_engine::CommandError;
use sluice_engine::id::{InvalidId, ParticipantId, PublicationId, RoomId, SessionId};
use tonic::Status;

use crate::shard::CallError;

/// INVALID_ARGUMENT for a field.
pub(crate) fn invalid(field: &str, problem: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{field}: {problem}"))
}

/// Bytes that stay. As they are read from a request they are a slice of it, and hold the whole buffer (8 KiB at least) as long as they
/// live.
pub(crate) fn kept(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

pub(crate) fn room_id(text: &str) -> Result<RoomId, Status> {
    RoomId::new(text).map_err(|error: InvalidId| invalid("room_id", error))
}

pub(crate) fn session_id(text: &str) -> Result<SessionId, Status> {
    SessionId::new(text).map_err(|error| invalid("session_id", error))
}

pub(crate) fn participant_id(text: &str) -> Result<ParticipantId, Status> {
    ParticipantId::new(text).map_err(|error| invalid("participant_id", error))
}

pub(crate) fn publication_id(text: &str) -> Result<PublicationId, Status> {
    PublicationId::new(text).map_err(|error| invalid("publication_id", error))
}

/// The status of a command that did not succeed.
pub(crate) fn status(error: CallError) -> Status {
    let text = error.to_string();
    match error {
        CallError::Full => Status::resource_exhausted(text),
        CallError::Timeout => Status::deadline_exceeded(text),
        CallError::Gone => Status::unavailable(text),
        CallError::Refused(error) => match error {
            CommandError::NotFound(_) => Status::not_found(text),
            CommandError::StaleOwner { .. } | CommandError::Precondition(_) => {
                Status::failed_precondition(text)
            }
            CommandError::Invalid(_) => Status::invalid_argument(text),
            CommandError::Exhausted(_) => Status::resource_exhausted(text),
            CommandError::Fault => Status::internal(text),
        },
    }
}

#[cfg(test)]
mod tests;
