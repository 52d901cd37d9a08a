//! The metrics of this crate, with their meaning. Whoever installs a recorder before [`serve`](crate::serve) gets them.
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    describe_gauge!("sluice_rooms_rooms", "Rooms of this process");
    describe_gauge!(
        "sluice_rooms_participants",
        "Participants of this process, those that may come back included"
    );
    describe_counter!(
        "sluice_rooms_joins_total",
        "Attempts to connect a WebSocket, by result: accepted, or HTTP status"
    );
    describe_counter!("sluice_rooms_leaves_total", "Participants that left, by reason");
    describe_counter!("sluice_rooms_resumes_total", "Clients that came back, by the reason that they give");
    describe_counter!(
        "sluice_rooms_resumes_refused_total",
        "Clients that came back too late and must join anew"
    );
    describe_counter!("sluice_rooms_signal_losses_total", "WebSockets lost or closed by us, by cause");
    describe_counter!("sluice_rooms_signal_messages_total", "Signal messages, by direction");
    describe_counter!("sluice_rooms_stale_answers_total", "Answers to no offer of ours");
    describe_counter!("sluice_rooms_malformed_candidates_total", "Candidates that cannot be read");
    describe_counter!("sluice_rooms_connections_refused_total", "TCP connections over the limit");
    describe_counter!("sluice_rooms_grpc_errors_total", "Failed calls to the node, by call and code");
    describe_counter!("sluice_rooms_event_stream_breaks_total", "Ends of the node's event stream");
    describe_counter!(
        "sluice_rooms_event_stream_resets_total",
        "Times that events were lost and rooms were compared"
    );
    describe_counter!("sluice_rooms_events_dropped_total", "Events that a room did not take in time");
    describe_counter!("sluice_rooms_recovered_rooms_total", "Rooms taken over from the node at start");
    describe_store();
}

fn describe_store() {
    describe_histogram!("sluice_rooms_store_commit_changes", "Changes that the store wrote at once");
    describe_histogram!(
        "sluice_rooms_store_commit_seconds",
        Unit::Seconds,
        "Time that the store took to write changes, synced if it is set so"
    );
    describe_counter!("sluice_rooms_store_conflicts_total", "Changes refused since somebody else was first");
    describe_counter!("sluice_rooms_store_errors_total", "Writes and reads that the store's disk failed");
    describe_gauge!("sluice_rooms_store_bytes", Unit::Bytes, "Disk that the store takes");
    describe_gauge!("sluice_rooms_store_events", "Events that the store keeps");
}
