//! When a plane has something to do though nothing comes.

use std::time::{Duration, Instant};

use crate::clock::Clock;

/// How often senders are told when their packets came. Shorter notices a full path sooner and costs more feedback.
const FEEDBACK: Duration = Duration::from_millis(100);
/// How often streams are reported (RFC 3550 section 6.2 allows less than five seconds to sessions this small).
const REPORTS: Duration = Duration::from_secs(1);
/// Deadlines of feedback and reports wait for each other for as long.
const TOGETHER: Duration = Duration::from_millis(10);

/// A plane's deadlines; `None`: nothing of that kind is due.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) request: Option<Instant>,
    pub(crate) feedback: Option<Instant>,
    pub(crate) report: Option<Instant>,
    /// As [`Self::settle`] said last: before it nothing needs a look.
    pub(crate) soonest: Option<Instant>,
}

impl Due {
    /// Something came that its sender must be told of.
    pub(crate) fn expect_feedback(&mut self, now: Instant, clock: &Clock) {
        self.feedback.get_or_insert_with(|| clock.together(now + FEEDBACK, TOGETHER));
    }

    /// A stream did something that is to be reported.
    pub(crate) fn expect_report(&mut self, now: Instant, clock: &Clock) {
        self.report.get_or_insert_with(|| clock.together(now + REPORTS, TOGETHER));
    }

    /// Something is missing, and to be asked for then.
    pub(crate) fn expect_request(&mut self, at: Instant) {
        self.request = Some(self.request.map_or(at, |soonest| soonest.min(at)));
    }

    /// The soonest of all and of the estimator's.
    pub(crate) fn settle(&mut self, estimator: Option<Instant>) -> Option<Instant> {
        let all = [self.request, self.feedback, self.report, estimator];
        self.soonest = all.into_iter().flatten().min();
        self.soonest
    }
}
