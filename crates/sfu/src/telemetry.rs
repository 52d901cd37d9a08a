//! Metrics of the node, all named `sluice_node_*`.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tonic::Code;

use crate::shard::report::Report;

/// Names, units and meanings, for exporters that show them. To be called once a recorder is installed.
pub(crate) fn describe() {
    describe_traffic();
    describe_media();
    describe_counter!("sluice_node_commands_total", "Calls of the API by name and gRPC code.");
    describe_histogram!("sluice_node_command_seconds", Unit::Seconds, "Time to answer calls of the API.");
    describe_gauge!("sluice_node_event_watchers", "Open event streams.");
    describe_counter!("sluice_node_events_total", "Events of the node.");
    describe_counter!("sluice_node_events_lost_total", "Events lost before they were numbered.");
    describe_gauge!("sluice_node_rooms", "Rooms of a shard.");
    describe_gauge!("sluice_node_sessions", "Sessions of a shard.");
    describe_gauge!("sluice_node_publications", "Publications of a shard.");
    describe_gauge!("sluice_node_subscriptions", "Subscriptions of a shard.");
    describe_gauge!("sluice_node_draining", "1 while the node takes no new rooms.");
    describe_gauge!(
        "sluice_node_shard_busy",
        "Share of the last second that a shard's thread worked, 0 to 1."
    );
    describe_gauge!(
        "sluice_node_shard_silent_seconds",
        Unit::Seconds,
        "Time since a shard last reported: it does so every second, unless it hangs."
    );
    describe_counter!("sluice_node_faults_total", "Rooms or shards ended by a fault of the node.");
    describe_counter!("sluice_node_sessions_connected_total", "Sessions that connected.");
    describe_counter!("sluice_node_sessions_timed_out_total", "Sessions closed by a timeout.");
    describe_counter!(
        "sluice_node_commands_withdrawn_total",
        "Commands whose callers left before they began."
    );
}

fn describe_traffic() {
    describe_counter!("sluice_node_datagrams_in_total", "Datagrams of sessions received.");
    describe_counter!("sluice_node_datagrams_out_total", "Datagrams of sessions to send.");
    describe_counter!("sluice_node_bytes_in_total", Unit::Bytes, "Bytes of datagrams received.");
    describe_counter!("sluice_node_bytes_out_total", Unit::Bytes, "Bytes of datagrams to send.");
    describe_counter!("sluice_node_datagrams_unknown_total", "Datagrams of no session, or malformed.");
    describe_counter!("sluice_node_datagrams_refused_total", "Datagrams that a session refused.");
    describe_counter!(
        "sluice_node_socket_drops_total",
        "Datagrams that found a full receive buffer in the kernel."
    );
    describe_counter!("sluice_node_receive_errors_total", "Failed receive calls.");
    describe_counter!("sluice_node_link_packets_in_total", "Media packets from other shards of the node.");
    describe_counter!("sluice_node_link_packets_out_total", "Media packets to other shards of the node.");
    describe_counter!(
        "sluice_node_link_packets_unknown_total",
        "Media packets from other shards of publications that are not known here."
    );
    describe_counter!(
        "sluice_node_link_packets_dropped_total",
        "Media for other shards that found them behind."
    );
    describe_counter!(
        "sluice_node_link_data_dropped_total",
        "Data messages for other shards that found too many waiting."
    );
    describe_counter!(
        "sluice_node_link_messages_lost_total",
        "Messages other than media that another shard never heard, because it stands still."
    );
    describe_counter!("sluice_node_sends_total", "Send calls: datagrams by sends is what offloading brings.");
    describe_counter!("sluice_node_datagrams_sent_total", "Datagrams that the kernel took.");
    describe_counter!("sluice_node_sends_blocked_total", "Send calls that found no room in the kernel.");
    describe_counter!("sluice_node_send_errors_total", "Datagrams that were not sent, by reason.");
    describe_counter!(
        "sluice_node_segmentation_refused_total",
        "Sends repeated without segmentation offload."
    );
    describe_gauge!("sluice_node_send_queue_bytes", Unit::Bytes, "Bytes that wait for the kernel.");
    describe_gauge!("sluice_node_tcp_connections", "ICE-TCP connections of a shard.");
    describe_counter!("sluice_node_tcp_refused_total", "TCP connections refused, by reason.");
    describe_counter!("sluice_node_tcp_stuck_total", "TCP connections closed because the peer stayed slow.");
    describe_counter!("sluice_node_tcp_frames_dropped_total", "Frames dropped, by direction.");
}

fn describe_media() {
    describe_counter!("sluice_node_packets_in_total", "Media packets from publishers.");
    describe_counter!("sluice_node_packets_out_total", "Media packets forwarded.");
    describe_counter!(
        "sluice_node_packets_unbound_total",
        "Packets of sections or layers that nobody declared."
    );
    describe_counter!("sluice_node_packets_muted_total", "Packets of muted publications.");
    describe_counter!("sluice_node_key_frame_requests_total", "Key frames asked of publishers.");
    describe_counter!("sluice_node_key_frame_requests_received_total", "Key frames asked by subscribers.");
    describe_counter!("sluice_node_switches_total", "Layer changes of subscriptions.");
    describe_counter!(
        "sluice_node_numbers_left_out_total",
        "Sequence numbers left out on purpose, behind frames that a layer change cut short."
    );
    describe_counter!(
        "sluice_node_numbers_filled_total",
        "Those of them that the frame's end took after all."
    );
    describe_counter!("sluice_node_messages_out_total", "Data messages forwarded, a receiver each.");
    describe_counter!("sluice_node_messages_refused_total", "Data messages refused.");
    describe_counter!("sluice_node_messages_dropped_total", "Data messages that found a full queue.");
}

/// A call was answered.
pub(crate) fn command(name: &'static str, code: Code, took: Duration) {
    counter!("sluice_node_commands_total", "command" => name, "code" => code_name(code)).increment(1);
    histogram!("sluice_node_command_seconds", "command" => name).record(took.as_secs_f64());
}

/// A TCP connection came to nothing.
pub(crate) fn tcp_refused(reason: &'static str) {
    counter!("sluice_node_tcp_refused_total", "reason" => reason).increment(1);
}

/// A frame found the shard's queue full.
pub(crate) fn tcp_frame_dropped() {
    counter!("sluice_node_tcp_frames_dropped_total", "direction" => "in").increment(1);
}

/// An event was numbered.
pub(crate) fn event() {
    counter!("sluice_node_events_total").increment(1);
}

/// Events were lost before they were numbered.
pub(crate) fn events_lost(count: u64) {
    counter!("sluice_node_events_lost_total").increment(count);
}

/// What the node as a whole knows of itself.
pub(crate) fn node(watchers: usize, draining: bool) {
    gauge!("sluice_node_event_watchers").set(watchers as f64);
    gauge!("sluice_node_draining").set(f64::from(u8::from(draining)));
}

/// Datagrams that the kernel dropped at the sockets of a shard, since they were bound.
pub(crate) fn socket_drops(shard: usize, drops: u64) {
    counter!("sluice_node_socket_drops_total", "shard" => shard.to_string()).absolute(drops);
}

/// A shard's figures.
pub(crate) fn shard(shard: usize, report: &Report) {
    let shard = shard.to_string();
    let Report { counters, sends, io, busy, .. } = report;
    let age = report.at.map_or(0.0, |at| at.elapsed().as_secs_f64());
    for (name, value) in [
        ("sluice_node_rooms", counters.rooms as f64),
        ("sluice_node_sessions", counters.sessions as f64),
        ("sluice_node_publications", counters.publications as f64),
        ("sluice_node_subscriptions", counters.subscriptions as f64),
        ("sluice_node_shard_busy", f64::from(*busy)),
        ("sluice_node_shard_silent_seconds", age),
        ("sluice_node_send_queue_bytes", io.queued_bytes as f64),
        ("sluice_node_tcp_connections", io.tcp_connections as f64),
    ] {
        gauge!(name, "shard" => shard.clone()).set(value);
    }
    for (name, value) in [
        ("sluice_node_datagrams_in_total", counters.datagrams_in),
        ("sluice_node_datagrams_out_total", counters.datagrams_out),
        ("sluice_node_bytes_in_total", counters.bytes_in),
        ("sluice_node_bytes_out_total", counters.bytes_out),
        ("sluice_node_packets_in_total", counters.packets_in),
        ("sluice_node_packets_out_total", counters.packets_out),
        ("sluice_node_datagrams_unknown_total", counters.datagrams_unknown),
        ("sluice_node_datagrams_refused_total", counters.datagrams_refused),
        ("sluice_node_packets_unbound_total", counters.packets_unbound),
        ("sluice_node_packets_muted_total", counters.packets_muted),
        ("sluice_node_key_frame_requests_total", counters.key_frame_requests),
        ("sluice_node_key_frame_requests_received_total", counters.key_frame_requests_received),
        ("sluice_node_switches_total", counters.switches),
        ("sluice_node_numbers_left_out_total", counters.numbers_left_out),
        ("sluice_node_numbers_filled_total", counters.numbers_filled),
        ("sluice_node_messages_out_total", counters.messages_out),
        ("sluice_node_messages_refused_total", counters.messages_refused),
        ("sluice_node_messages_dropped_total", counters.messages_dropped),
        ("sluice_node_faults_total", counters.faults),
        ("sluice_node_sessions_connected_total", counters.sessions_connected),
        ("sluice_node_sessions_timed_out_total", counters.sessions_timed_out),
        ("sluice_node_sends_total", sends.calls),
        ("sluice_node_datagrams_sent_total", sends.datagrams),
        ("sluice_node_sends_blocked_total", sends.blocked),
        ("sluice_node_segmentation_refused_total", sends.segmentation_refused),
        ("sluice_node_receive_errors_total", io.receive_errors),
        ("sluice_node_tcp_stuck_total", io.tcp_stuck),
        ("sluice_node_link_packets_in_total", counters.link_packets_in),
        ("sluice_node_link_packets_out_total", counters.link_packets_out),
        ("sluice_node_link_packets_unknown_total", counters.link_packets_unknown),
        ("sluice_node_link_packets_dropped_total", io.link_dropped),
        ("sluice_node_link_data_dropped_total", io.link_data_dropped),
        ("sluice_node_link_messages_lost_total", io.link_lost),
        ("sluice_node_commands_withdrawn_total", io.commands_withdrawn),
    ] {
        counter!(name, "shard" => shard.clone()).absolute(value);
    }
    for (reason, value) in [
        ("queue_full", sends.dropped),
        ("too_large", sends.too_large),
        ("unreachable", sends.unreachable),
        ("failed", sends.failed),
        ("nowhere", sends.nowhere),
        ("unroutable", io.unroutable),
    ] {
        counter!("sluice_node_send_errors_total", "shard" => shard.clone(), "reason" => reason)
            .absolute(value);
    }
    let dropped = counter!("sluice_node_tcp_frames_dropped_total", "shard" => shard, "direction" => "out");
    dropped.absolute(io.tcp_dropped);
}

/// The names of <https://grpc.io/docs/guides/status-codes/>.
fn code_name(code: Code) -> &'static str {
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
