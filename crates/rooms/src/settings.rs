//! What an operator may set. Every field has a default, so that a file names only what differs.
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of room management.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the node's gRPC API is, e.g. `http://127.0.0.1:7890`.
    pub node: String,
    /// The node's bearer token.
    pub node_token: String,
    /// API keys and their secrets: whoever knows a pair may sign tokens.
    pub keys: BTreeMap<String, String>,
    /// Where clients connect. The process that calls [`serve`](crate::serve) binds it.
    pub http: SocketAddr,
    /// A room that does not exist is created when somebody with a token for it joins.
    pub auto_create: bool,
    /// Serve clients that use a single PeerConnection (`/rtc/v1`). Off: they fall back to two.
    pub single_connection: bool,
    /// Codecs that clients may publish, video first, in order of preference, e.g. `video/VP8`.
    pub publish_codecs: Vec<String>,
    /// STUN and TURN servers for clients.
    pub ice_servers: Vec<IceServer>,
    /// Upper bounds.
    pub limits: Limits,
    /// Times.
    pub timings: Timings,
    /// Ringing and consent.
    pub calls: crate::calls::settings::Settings,
}

/// A STUN or TURN server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IceServer {
    /// E.g. `turn:turn.example.org:3478?transport=udp`.
    pub urls: Vec<String>,
    /// Empty for STUN.
    pub username: String,
    /// Empty for STUN.
    pub credential: String,
}

/// Upper bounds on what clients can make this process hold. Beyond them requests are refused and counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// TCP connections of clients, WebSockets and others.
    pub connections: usize,
    /// Rooms in this process.
    pub rooms: usize,
    /// Participants in a room.
    pub participants: usize,
    /// Tracks of a participant, announced ones included. No more than the node takes of a session (16 by default).
    pub tracks: usize,
    /// Tracks that a participant gets. The node bounds the sections of a session description too (300 by default).
    pub subscriptions: usize,
    /// Bytes of a room name, an identity or a participant's name.
    pub name_bytes: usize,
    /// Bytes of a participant's metadata, and again of its attributes together. The node stores both within 64 KiB.
    pub metadata_bytes: usize,
    /// Bytes of one WebSocket message.
    pub message_bytes: usize,
    /// Bytes of a request's URL. The HTTP library refuses more than 65,534 by itself, without a word.
    pub url_bytes: usize,
    /// Bytes of a `join_request` after decompression.
    pub join_request_bytes: usize,
    /// Messages that may wait for one client to read them; then its WebSocket is closed.
    pub client_queue: usize,
    /// Signal messages per second from one client, with a burst of five seconds' worth; then its WebSocket is closed.
    pub messages_per_second: u32,
}

/// Times, in seconds unless the name says otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timings {
    /// A room that nobody ever joined ends after this.
    pub empty: u32,
    /// A room that everybody left ends after this.
    pub departure: u32,
    /// A participant without a WebSocket is removed after this; until then it can resume.
    pub resume: u32,
    /// The same after this process started anew: all clients come back at once then, some of them late.
    pub resume_after_restart: u32,
    /// Clients ping this often.
    pub ping_interval: u32,
    /// A WebSocket on which nothing was heard for this long is closed.
    pub ping_timeout: u32,
    /// A TCP connection on which nothing comes in for this long is closed.
    pub idle: u32,
    /// A client must answer an offer within this, or join anew.
    pub answer: u32,
    /// Participants get a fresh token this often.
    pub refresh_token: u32,
    /// How long that token is valid.
    pub token_validity: u32,
    /// A layer that nobody watches any more is still asked for during this.
    pub quality_lowering: u32,
    /// A call to the node is given up after this many milliseconds, then perhaps tried again.
    pub node_call_ms: u32,
    /// The node is told that we live this often; well below its orphan timeout (120 s by default).
    pub keep_alive: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node: "http://127.0.0.1:7890".into(),
            node_token: String::new(),
            keys: BTreeMap::new(),
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 7880)),
            auto_create: true,
            single_connection: true,
            publish_codecs: ["video/VP8", "video/H264", "video/VP9", "video/AV1", "audio/opus"]
                .map(String::from)
                .to_vec(),
            ice_servers: Vec::new(),
            limits: Limits::default(),
            timings: Timings::default(),
            calls: crate::calls::settings::Settings::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            rooms: 10_000,
            participants: 1_000,
            tracks: 16,
            subscriptions: 200,
            name_bytes: 256,
            metadata_bytes: 16 * 1024,
            message_bytes: 2 * 1024 * 1024,
            url_bytes: 65_000,
            join_request_bytes: 1024 * 1024,
            client_queue: 1_024,
            messages_per_second: 100,
        }
    }
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            empty: 300,
            departure: 20,
            resume: 15,
            resume_after_restart: 60,
            ping_interval: 5,
            ping_timeout: 15,
            idle: 60,
            answer: 15,
            refresh_token: 300,
            token_validity: 600,
            quality_lowering: 5,
            node_call_ms: 3_000,
            keep_alive: 20,
        }
    }
}

impl Timings {
    pub(crate) fn node_call(&self) -> Duration {
        Duration::from_millis(self.node_call_ms.into())
    }
}

pub(crate) fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}
