//! The limits of several answers together: the strictest of each.
use sluice_api::calls::v1 as api;
use sluice_calls::Limits;

pub(super) fn from_api(limits: api::CallLimits) -> Limits {
    Limits {
        max_participants: Some(limits.max_participants).filter(|most| *most > 0),
        max_duration_ms: Some(u64::from(limits.max_duration_s) * 1_000).filter(|most| *most > 0),
        no_video: limits.no_video,
        no_screen_share: limits.no_screen_share,
        no_recording: limits.no_recording,
        must_encrypt_end_to_end: limits.must_encrypt_end_to_end,
    }
}

pub(super) fn strictest(one: Limits, other: &Limits) -> Limits {
    Limits {
        max_participants: least(one.max_participants, other.max_participants),
        max_duration_ms: least(one.max_duration_ms, other.max_duration_ms),
        no_video: one.no_video || other.no_video,
        no_screen_share: one.no_screen_share || other.no_screen_share,
        no_recording: one.no_recording || other.no_recording,
        must_encrypt_end_to_end: one.must_encrypt_end_to_end || other.must_encrypt_end_to_end,
    }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
