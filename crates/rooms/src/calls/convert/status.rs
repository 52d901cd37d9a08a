//! Why a request was not done, as a gRPC status and as a device's reply. One table for both.
use sluice_api::calls::v1 as api;
use sluice_calls::{Reason, Refusal};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::calls::desk::Trouble;

/// The trailer that holds the word for programs.
const REASON: &str = "sluice-reason";
/// The trailer that says when to try again, in milliseconds.
const RETRY_AFTER: &str = "sluice-retry-after-ms";

/// The standard code, and the word for programs if there is one.
fn classify(trouble: &Trouble) -> (Code, &'static str) {
    match trouble {
        Trouble::Refused(refusal) => classify_refusal(refusal.reason),
        Trouble::RateLimited { .. } => (Code::ResourceExhausted, "RATE_LIMITED"),
        Trouble::Overloaded => (Code::ResourceExhausted, "OVERLOADED"),
        Trouble::Store(_) | Trouble::Unavailable(_) => (Code::Unavailable, ""),
        Trouble::Invalid { .. } => (Code::InvalidArgument, ""),
        Trouble::NotFound { .. } => (Code::NotFound, ""),
        Trouble::LinkOver(_) => (Code::FailedPrecondition, "LINK_OVER"),
        Trouble::OutOfRange(_) => (Code::OutOfRange, ""),
    }
}

fn classify_refusal(reason: Reason) -> (Code, &'static str) {
    match reason {
        Reason::UnknownCall | Reason::UnknownUser => (Code::NotFound, ""),
        Reason::NotAllowed => (Code::PermissionDenied, ""),
        Reason::CannotCall => (Code::PermissionDenied, "CANNOT_CALL"),
        Reason::RequestIdReused => (Code::AlreadyExists, ""),
        Reason::AlreadyAnswered => (Code::FailedPrecondition, "ALREADY_ANSWERED"),
        Reason::RingOver => (Code::FailedPrecondition, "RING_OVER"),
        Reason::CallEnded => (Code::FailedPrecondition, "CALL_ENDED"),
        Reason::NotInCall => (Code::FailedPrecondition, "NOT_IN_CALL"),
        Reason::NotRinging => (Code::FailedPrecondition, "NOT_RINGING"),
        Reason::InAnotherCall => (Code::FailedPrecondition, "IN_ANOTHER_CALL"),
        Reason::NoUpgrade => (Code::FailedPrecondition, "NO_UPGRADE"),
        Reason::NotWaiting => (Code::FailedPrecondition, "NOT_WAITING"),
        Reason::Invalid => (Code::InvalidArgument, ""),
        Reason::CallFull => (Code::ResourceExhausted, "CALL_FULL"),
        Reason::TooManyCalls => (Code::ResourceExhausted, "TOO_MANY_CALLS"),
    }
}

fn text(trouble: &Trouble) -> String {
    let text = match trouble {
        Trouble::Refused(Refusal { text, .. }) => text.clone(),
        // What failed inside is for the log, not for callers.
        Trouble::Store(_) => "the store cannot be written: try again".into(),
        other => other.to_string(),
    };
    match classify(trouble).1 {
        "" => text,
        word => format!("{word}: {text}"),
    }
}

/// For gRPC.
pub(crate) fn to_status(trouble: &Trouble) -> Status {
    let (code, word) = classify(trouble);
    let mut trailers = MetadataMap::new();
    if !word.is_empty() {
        trailers.insert(REASON, MetadataValue::from_static(word));
    }
    if let Trouble::RateLimited { retry_after_ms: Some(after), .. } = trouble {
        trailers.insert(RETRY_AFTER, MetadataValue::from(*after));
    }
    Status::with_metadata(code, text(trouble), trailers)
}

/// For a device.
pub(crate) fn to_reply(trouble: &Trouble) -> api::reply::Error {
    let (code, word) = classify(trouble);
    api::reply::Error { code: code_name(code).into(), reason: word.into(), message: text(trouble) }
}

/// The name as the standard writes it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_for_programs_stands_in_message_trailer_and_reply() {
        let trouble = Trouble::Refused(Refusal::new(Reason::RingOver, "the ring is over"));
        let status = to_status(&trouble);
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), "RING_OVER: the ring is over");
        assert_eq!(status.metadata().get(REASON).unwrap(), "RING_OVER");
        let reply = to_reply(&trouble);
        assert_eq!((reply.code.as_str(), reply.reason.as_str()), ("FAILED_PRECONDITION", "RING_OVER"));
    }

    #[test]
    fn a_wrong_field_is_named() {
        let status = to_status(&Trouble::Invalid { field: "ring_s", text: "is 7".into() });
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "`ring_s`: is 7"));
    }

    #[test]
    fn a_rate_limit_says_when_to_try_again() {
        let status =
            to_status(&Trouble::RateLimited { text: "3 a minute".into(), retry_after_ms: Some(900) });
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().starts_with("RATE_LIMITED: "));
        assert_eq!(status.metadata().get(RETRY_AFTER).unwrap(), "900");
    }
}
