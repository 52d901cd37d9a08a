//! Bounds on a call, in both directions, and the stricter of two.
use sluice_api::calls::v1 as api;
use sluice_calls::Limits;

/// 0 and false are the defaults.
pub(crate) fn from_api(limits: Option<&api::CallLimits>) -> Limits {
    let Some(limits) = limits else { return Limits::default() };
    Limits {
        max_participants: (limits.max_participants > 0).then_some(limits.max_participants),
        max_duration_ms: (limits.max_duration_s > 0).then(|| u64::from(limits.max_duration_s) * 1000),
        no_video: limits.no_video,
        no_screen_share: limits.no_screen_share,
        no_recording: limits.no_recording,
        must_encrypt_end_to_end: limits.must_encrypt_end_to_end,
    }
}

/// For answers and events.
pub(crate) fn to_api(limits: &Limits) -> api::CallLimits {
    let seconds = limits.max_duration_ms.unwrap_or_default().div_ceil(1000);
    api::CallLimits {
        max_participants: limits.max_participants.unwrap_or_default(),
        max_duration_s: u32::try_from(seconds).unwrap_or(u32::MAX),
        no_video: limits.no_video,
        no_screen_share: limits.no_screen_share,
        no_recording: limits.no_recording,
        must_encrypt_end_to_end: limits.must_encrypt_end_to_end,
    }
}

/// Both sides' bounds at once: what either forbids is forbidden.
pub(crate) fn stricter(one: &Limits, other: &Limits) -> Limits {
    fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
        one.into_iter().chain(other).min()
    }
    Limits {
        max_participants: least(one.max_participants, other.max_participants),
        max_duration_ms: least(one.max_duration_ms, other.max_duration_ms),
        no_video: one.no_video || other.no_video,
        no_screen_share: one.no_screen_share || other.no_screen_share,
        no_recording: one.no_recording || other.no_recording,
        must_encrypt_end_to_end: one.must_encrypt_end_to_end || other.must_encrypt_end_to_end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_either_side_forbids_is_forbidden() {
        let hook = Limits { max_participants: Some(8), no_video: true, ..Limits::default() };
        let product = Limits { max_participants: Some(5), max_duration_ms: Some(1), ..Limits::default() };
        let both = stricter(&hook, &product);
        assert_eq!((both.max_participants, both.max_duration_ms, both.no_video), (Some(5), Some(1), true));
        assert_eq!(stricter(&Limits::default(), &hook), hook);
    }
}
