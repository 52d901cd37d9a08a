//! Words for tests.
use sluice_calls::{CallId, CallKind, Media, Ring, ShownReason, StopReason, Time, UserId};

use super::super::log::Word;

pub(crate) fn ring(call: &str) -> Ring {
    Ring {
        call: CallId::new(call),
        caller: UserId::new("ben"),
        caller_handle: "Ben".into(),
        kind: CallKind::Direct,
        media: Media::Audio,
        conversation: None,
        deadline: Time(45_000),
        waiting: false,
    }
}

pub(in crate::calls::hub) fn stopped(call: &str) -> Word {
    Word::Stopped { call: CallId::new(call), reason: StopReason::Cancelled }
}

pub(in crate::calls::hub) fn over(call: &str) -> Word {
    Word::Over { call: CallId::new(call), reason: ShownReason::Ended, duration_ms: 1_500 }
}
