//! The metrics of permissions, webhooks and pushes, with their meaning.
use metrics::{describe_counter, describe_gauge, describe_histogram};

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    describe_counter!("sluice_calls_rate_limited_total", "Calls refused by a rate limit, by limit");
    describe_counter!(
        "sluice_calls_hook_questions_total",
        "Questions to the permission hook, by result: answered, late, unreachable, status, malformed"
    );
    describe_histogram!("sluice_calls_hook_seconds", "How long the permission hook took, failures included");
    describe_counter!("sluice_calls_hook_unasked_total", "Verdicts about users who were not asked about");
    describe_counter!(
        "sluice_calls_hook_remembered_total",
        "Callees that rang although the hook failed, because they rang for this caller in the last hour"
    );
    describe_counter!("sluice_calls_hook_refused_total", "Calls refused because the hook failed");
    describe_counter!(
        "sluice_calls_sink_events_total",
        "Events brought to a webhook or to the push gateway (`push`), by sink and result: delivered, retried, \
         given_up, expired, lost"
    );
    describe_counter!(
        "sluice_calls_sink_lost_total",
        "Events that the log had forgotten before a sink could deliver them"
    );
    describe_gauge!("sluice_calls_sink_lag_events", "Events that a sink has still to deliver");
}
