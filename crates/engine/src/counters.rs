//! Totals of a shard since its start, for metrics.

/// Everything here only grows, but for the gauges at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that belonged to a session.
    pub datagrams_in: u64,
    /// Datagrams to send.
    pub datagrams_out: u64,
    /// Bytes of them.
    pub bytes_in: u64,
    /// Bytes of them.
    pub bytes_out: u64,
    /// Media packets from publishers.
    pub packets_in: u64,
    /// Media packets forwarded.
    pub packets_out: u64,
    /// Datagrams that belonged to no session or were malformed.
    pub datagrams_unknown: u64,
    /// Datagrams that a session refused.
    pub datagrams_refused: u64,
    /// Packets of sections or layers that nobody declared.
    pub packets_unbound: u64,
    /// Packets of muted publications.
    pub packets_muted: u64,
    /// Key frames asked of publishers.
    pub key_frame_requests: u64,
    /// Key frames asked by subscribers.
    pub key_frame_requests_received: u64,
    /// Layer changes.
    pub switches: u64,
    /// Sequence numbers left out, because a layer change cut a frame short: receivers miss them on purpose.
    pub numbers_left_out: u64,
    /// Those of them that the end of the frame took after all.
    pub numbers_filled: u64,
    /// Data messages forwarded, a receiver each.
    pub messages_out: u64,
    /// Data messages refused.
    pub messages_refused: u64,
    /// Data messages dropped because a queue was full.
    pub messages_dropped: u64,
    /// Media packets from other shards.
    pub link_packets_in: u64,
    /// Media packets to other shards.
    pub link_packets_out: u64,
    /// Media packets from other shards of publications that are not known here (any more).
    pub link_packets_unknown: u64,
    /// Rooms that ended by a panic.
    pub faults: u64,
    /// Sessions that connected.
    pub sessions_connected: u64,
    /// Sessions that closed by a timeout.
    pub sessions_timed_out: u64,
    /// Now.
    pub rooms: u64,
    /// Now.
    pub sessions: u64,
    /// Now.
    pub publications: u64,
    /// Now.
    pub subscriptions: u64,
}
