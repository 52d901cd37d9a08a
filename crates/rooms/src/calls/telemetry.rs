//! The metrics of the calls service, with their meaning.
use metrics::{describe_counter, describe_gauge, describe_histogram};

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    describe_gauge!("sluice_calls_live", "Calls that have not ended");
    describe_counter!("sluice_calls_ended_total", "Calls that ended, by reason");
    describe_counter!("sluice_calls_rpcs_total", "RPCs of the calls API, by name and code");
    describe_histogram!("sluice_calls_rpc_seconds", "Time from an RPC to its answer, by name");
    describe_histogram!("sluice_calls_model_seconds", "Time that the model takes for a request, by action");
    describe_histogram!("sluice_calls_commit_seconds", "Time of one write to the store");
    describe_histogram!("sluice_calls_batch_changes", "Changes in one write to the store");
    describe_counter!("sluice_calls_overloaded_total", "Requests refused because too many waited");
    describe_counter!("sluice_calls_store_failures_total", "Writes to the store that failed");
    describe_gauge!("sluice_calls_followers", "Streams of events");
    describe_counter!("sluice_calls_followers_refused_total", "Streams of events over the limit");
    describe_counter!(
        "sluice_calls_documents_expired_total",
        "Documents removed because their time was over"
    );
    describe_counter!(
        "sluice_rooms_reports_dropped_total",
        "News of participants that calls did not take in time"
    );
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
