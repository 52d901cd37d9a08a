//! The model's enums as the API's, one to one.
use sluice_api::calls::v1 as api;
use sluice_calls::{
    CallKind, CallState, DeviceState, EndReason, LegState, Media, RecordOutcome, ShownReason, StopReason,
    Verdict,
};

pub(crate) fn state(state: CallState) -> api::CallState {
    match state {
        CallState::Open => api::CallState::Open,
        CallState::Ringing => api::CallState::Ringing,
        CallState::Active => api::CallState::Active,
        CallState::Ended => api::CallState::Ended,
    }
}

pub(crate) fn kind(kind: CallKind) -> api::CallKind {
    match kind {
        CallKind::Direct => api::CallKind::Direct,
        CallKind::Group => api::CallKind::Group,
    }
}

pub(crate) fn media(media: Media) -> api::Media {
    match media {
        Media::Audio => api::Media::Audio,
        Media::Video => api::Media::Video,
    }
}

pub(crate) fn leg_state(state: LegState) -> api::LegState {
    match state {
        LegState::Invited => api::LegState::Invited,
        LegState::Alerting => api::LegState::Alerting,
        LegState::Ringing => api::LegState::Ringing,
        LegState::Accepted => api::LegState::Accepted,
        LegState::Joined => api::LegState::Joined,
        LegState::Reconnecting => api::LegState::Reconnecting,
        LegState::Left => api::LegState::Left,
        LegState::Suppressed => api::LegState::Suppressed,
        LegState::Declined => api::LegState::Declined,
        LegState::Busy => api::LegState::Busy,
        LegState::Cancelled => api::LegState::Cancelled,
        LegState::Missed => api::LegState::Missed,
        LegState::Unreachable => api::LegState::Unreachable,
        LegState::Failed => api::LegState::Failed,
        LegState::Lobby => api::LegState::Lobby,
    }
}

/// A device's state, and why it stopped ringing if it did.
pub(crate) fn device_state(state: DeviceState) -> (api::DeviceLegState, api::StopReason) {
    match state {
        DeviceState::Offered => (api::DeviceLegState::Offered, api::StopReason::Unspecified),
        DeviceState::Ringing => (api::DeviceLegState::Ringing, api::StopReason::Unspecified),
        DeviceState::Won => (api::DeviceLegState::Won, api::StopReason::Unspecified),
        DeviceState::Stopped(reason) => (api::DeviceLegState::Stopped, stop_reason(reason)),
        DeviceState::Dead => (api::DeviceLegState::Dead, api::StopReason::Unspecified),
    }
}

pub(crate) fn stop_reason(reason: StopReason) -> api::StopReason {
    match reason {
        StopReason::AcceptedElsewhere => api::StopReason::AcceptedElsewhere,
        StopReason::DeclinedElsewhere => api::StopReason::DeclinedElsewhere,
        StopReason::Cancelled => api::StopReason::Cancelled,
        StopReason::Missed => api::StopReason::Missed,
        StopReason::BusyElsewhere => api::StopReason::BusyElsewhere,
        StopReason::MovedToDevice => api::StopReason::MovedToDevice,
        StopReason::AnsweredHere => api::StopReason::AnsweredHere,
    }
}

pub(crate) fn end_reason(reason: EndReason) -> api::EndReason {
    match reason {
        EndReason::Completed => api::EndReason::Completed,
        EndReason::Cancelled => api::EndReason::Cancelled,
        EndReason::Declined => api::EndReason::Declined,
        EndReason::Busy => api::EndReason::Busy,
        EndReason::NoAnswer => api::EndReason::NoAnswer,
        EndReason::Unreachable => api::EndReason::Unreachable,
        EndReason::Suppressed => api::EndReason::Suppressed,
        EndReason::DeniedHidden => api::EndReason::DeniedHidden,
        EndReason::Denied => api::EndReason::Denied,
        EndReason::RateLimited => api::EndReason::RateLimited,
        EndReason::Incompatible => api::EndReason::Incompatible,
        EndReason::Capacity => api::EndReason::Capacity,
        EndReason::ConnectFailed => api::EndReason::ConnectFailed,
        EndReason::ConnectionLost => api::EndReason::ConnectionLost,
        EndReason::Removed => api::EndReason::Removed,
        EndReason::EndedByHost => api::EndReason::EndedByHost,
        EndReason::EndedByServer => api::EndReason::EndedByServer,
    }
}

/// The API's number; 0 if there is none yet.
pub(crate) fn optional_end_reason(reason: Option<EndReason>) -> i32 {
    reason.map_or(api::EndReason::Unspecified, end_reason).into()
}

pub(crate) fn shown_reason(reason: ShownReason) -> api::ShownReason {
    match reason {
        ShownReason::Ended => api::ShownReason::Ended,
        ShownReason::Cancelled => api::ShownReason::Cancelled,
        ShownReason::Declined => api::ShownReason::Declined,
        ShownReason::Busy => api::ShownReason::Busy,
        ShownReason::NoAnswer => api::ShownReason::NoAnswer,
        ShownReason::CannotCall => api::ShownReason::CannotCall,
        ShownReason::Failed => api::ShownReason::Failed,
        ShownReason::ConnectionLost => api::ShownReason::ConnectionLost,
    }
}

pub(crate) fn verdict(verdict: Verdict) -> api::Verdict {
    match verdict {
        Verdict::Ring => api::Verdict::Ring,
        Verdict::Silent => api::Verdict::Silent,
        Verdict::Deny => api::Verdict::Deny,
        Verdict::DenyHidden => api::Verdict::DenyHidden,
    }
}

pub(crate) fn outcome(outcome: RecordOutcome) -> api::Outcome {
    match outcome {
        RecordOutcome::Answered => api::Outcome::Answered,
        RecordOutcome::Missed => api::Outcome::Missed,
        RecordOutcome::Declined => api::Outcome::Declined,
        RecordOutcome::Failed => api::Outcome::Failed,
        RecordOutcome::Nothing => api::Outcome::Nothing,
        RecordOutcome::NoAnswer => api::Outcome::NoAnswer,
        RecordOutcome::Cancelled => api::Outcome::Cancelled,
        RecordOutcome::Busy => api::Outcome::Busy,
    }
}
