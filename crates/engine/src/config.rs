//! Settings of a shard, each with what larger and smaller values cost.

use std::net::SocketAddr;
use std::time::Duration;

use sluice_rtp::Bitrate;

use crate::io::Protocol;

/// Settings of a shard.
#[derive(Debug, Clone)]
pub struct Config {
    /// Number of the shard in its node; part of every ICE ufrag, so that one port may serve several shards.
    pub shard: u16,
    /// Seeds ids, ufrags and SSRCs.
    pub seed: u64,
    /// Addresses to offer as host candidates.
    pub addresses: Vec<LocalAddress>,
    /// ICE-lite unless a session says otherwise (RFC 8445 section 2.5).
    pub ice_lite: bool,
    /// Close a session that is not connected for this long.
    pub connect_timeout: Duration,
    /// What the estimator assumes of a new path. Higher starts sharper and may flood a slow path for a second.
    pub initial_estimate: Bitrate,
    /// Bounds of memory and work.
    pub limits: Limits,
}

/// A socket of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalAddress {
    /// UDP, or TCP in passive mode (RFC 6544).
    pub protocol: Protocol,
    /// The address that peers use: that of the socket, or of a NAT in front of it.
    pub advertised: SocketAddr,
}

/// Bounds of what callers and peers can make a shard hold or do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Rooms of the shard.
    pub rooms: usize,
    /// Sessions of a room, whatever its settings say.
    pub sessions_per_room: usize,
    /// Publications of a session.
    pub publications_per_session: usize,
    /// Subscriptions of a session.
    pub subscriptions_per_session: usize,
    /// Sections of a session description. Each costs both sides some kilobytes.
    pub sections: usize,
    /// Bytes of a session description: 300 sections fit. Reading costs the shard about 70 ms a megabyte.
    pub sdp_bytes: usize,
    /// Remote candidates of a session.
    pub candidates: usize,
    /// Bytes of an `app_state`.
    pub app_state_bytes: usize,
    /// Data channels of a session.
    pub channels: usize,
    /// Bytes of a data message (also announced as `a=max-message-size`).
    pub message_bytes: usize,
    /// Data messages per second of a session.
    pub messages_per_second: u32,
    /// Bytes of data messages that may wait for a session.
    pub data_queue_bytes: usize,
    /// Video packets kept per outgoing stream for retransmission: 128 cover half a second of 2.5 Mbit/s. Each costs about
    /// a hundred bytes, payloads are shared; fewer lose more on long paths.
    pub rtx_video_packets: usize,
    /// Audio packets kept per outgoing stream for retransmission.
    pub rtx_audio_packets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            rooms: 20_000,
            sessions_per_room: 2_000,
            publications_per_session: 16,
            subscriptions_per_session: 500,
            sections: 300,
            sdp_bytes: 512 << 10,
            candidates: 64,
            app_state_bytes: 64 << 10,
            channels: 16,
            message_bytes: 65_535,
            messages_per_second: 500,
            data_queue_bytes: 1 << 20,
            rtx_video_packets: 128,
            rtx_audio_packets: 32,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            shard: 0,
            seed: 0,
            addresses: Vec::new(),
            ice_lite: true,
            connect_timeout: Duration::from_secs(60),
            initial_estimate: Bitrate::kbps(2_500),
            limits: Limits::default(),
        }
    }
}
