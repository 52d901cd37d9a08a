//! What an operator may set, with defaults that serve a small node on a public address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZero;
use std::time::Duration;

use serde::Deserialize;
use sluice_engine::Limits;
use sluice_net::BufferSizes;
use sluice_rtp::Bitrate;

/// Shards of a node at most: their number is two hexadecimal digits of every ICE ufrag.
pub const MAX_SHARDS: usize = 256;

/// Settings of a node. Unknown names are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Stable across restarts; 1 to 128 characters of printable ASCII without spaces.
    pub node_id: String,
    /// Threads for media, each with its own UDP port. 0: one per core.
    pub shards: usize,
    /// Where and how the node talks to peers.
    pub media: MediaSettings,
    /// Where callers reach the gRPC API.
    pub grpc: GrpcSettings,
    /// Bounds of the ICE over TCP listener.
    pub tcp: TcpSettings,
    /// Bounds of each shard.
    pub limits: LimitSettings,
}

/// Addresses of media and what sessions start with.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaSettings {
    /// Local addresses of the media sockets, UDP and TCP. An unspecified IPv6 address is left out where there is no IPv6.
    pub bind_ips: Vec<IpAddr>,
    /// The first shard's UDP port; the others follow upwards. 0: the kernel chooses one for each.
    pub first_udp_port: u16,
    /// ICE over TCP (RFC 6544). Absent: off. 0: the kernel chooses.
    pub tcp_port: Option<u16>,
    /// Addresses to offer to peers, where they differ from the bound ones (a NAT in front of the node). Per family
    /// either one for each bound address, in order, or any number for a single one. Empty: the bound addresses; for an
    /// unspecified one those of the machine.
    pub advertise_ips: Vec<IpAddr>,
    /// Bytes of each socket's receive buffer. The kernel's maximum (`net.core.rmem_max`) may be lower.
    pub receive_buffer_bytes: usize,
    /// Bytes of each socket's send buffer (`net.core.wmem_max`).
    pub send_buffer_bytes: usize,
    /// Bytes that a socket keeps while the kernel has no room; the oldest are dropped.
    pub send_queue_bytes: usize,
    /// ICE-lite (RFC 8445 section 2.5) for sessions that say nothing else.
    pub ice_lite: bool,
    /// What the bandwidth estimator assumes of a new path, bits per second.
    pub initial_estimate_bps: u64,
    /// Close a session that is not connected for this long, in milliseconds.
    pub connect_timeout_ms: u64,
}

/// The gRPC API.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcSettings {
    /// Where to listen. Port 0: the kernel chooses.
    pub bind: SocketAddr,
    /// The bearer token of every call. Empty: none is asked for, which is allowed on loopback alone.
    pub token: String,
    /// Events kept for callers that resume, at most, and no more than 4 MiB of them.
    pub events_kept: usize,
    /// Event streams at the same time.
    pub max_watchers: usize,
    /// Commands that may wait for a shard; more answer RESOURCE_EXHAUSTED.
    pub command_queue: usize,
}

/// Bounds of ICE over TCP. Its peers are unknown until a session accepts their checks.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TcpSettings {
    /// Connections at the same time.
    pub max_connections: usize,
    /// Connections of one address at the same time. Many peers may share one behind a company's NAT.
    pub max_connections_per_ip: usize,
    /// How long the first frame may take, in milliseconds.
    pub first_frame_timeout_ms: u64,
    /// Close a connection on which either side is silent for this long, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Frames that may wait for a slow peer; more are dropped.
    pub send_queue_frames: usize,
}

/// Bounds of each shard: [`sluice_engine::Limits`], where each is documented.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct LimitSettings {
    pub rooms: usize,
    pub sessions_per_room: usize,
    pub publications_per_session: usize,
    pub subscriptions_per_session: usize,
    pub sections: usize,
    pub sdp_bytes: usize,
    pub candidates: usize,
    pub app_state_bytes: usize,
    pub channels: usize,
    pub message_bytes: usize,
    pub messages_per_second: u32,
    pub data_queue_bytes: usize,
    pub rtx_video_packets: usize,
    pub rtx_audio_packets: usize,
    /// Sessions of one room on one shard; more go to another shard, as long as there is one without the room.
    pub room_sessions_per_shard: usize,
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("setting {name}: {problem}")]
pub struct InvalidSetting {
    /// As written in a file, with dots between levels.
    pub name: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl InvalidSetting {
    pub(crate) fn new(name: &'static str, problem: impl Into<String>) -> Self {
        InvalidSetting { name, problem: problem.into() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            node_id: "node-1".to_owned(),
            shards: 0,
            media: MediaSettings::default(),
            grpc: GrpcSettings::default(),
            tcp: TcpSettings::default(),
            limits: LimitSettings::default(),
        }
    }
}

impl Default for MediaSettings {
    fn default() -> Self {
        MediaSettings {
            bind_ips: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            first_udp_port: 7_700,
            tcp_port: Some(7_700),
            advertise_ips: Vec::new(),
            receive_buffer_bytes: 4 << 20,
            send_buffer_bytes: 4 << 20,
            send_queue_bytes: 8 << 20,
            ice_lite: true,
            initial_estimate_bps: 2_500_000,
            connect_timeout_ms: 60_000,
        }
    }
}

impl Default for GrpcSettings {
    fn default() -> Self {
        GrpcSettings {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 7_701)),
            token: String::new(),
            events_kept: 65_536,
            max_watchers: 64,
            command_queue: 1_024,
        }
    }
}

impl std::fmt::Debug for GrpcSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A token in a log is a token lost.
        f.debug_struct("GrpcSettings")
            .field("bind", &self.bind)
            .field("token", &if self.token.is_empty() { "none" } else { "set" })
            .field("events_kept", &self.events_kept)
            .field("max_watchers", &self.max_watchers)
            .field("command_queue", &self.command_queue)
            .finish()
    }
}

impl Default for TcpSettings {
    fn default() -> Self {
        TcpSettings {
            max_connections: 10_000,
            max_connections_per_ip: 256,
            first_frame_timeout_ms: 5_000,
            idle_timeout_ms: 30_000,
            send_queue_frames: 512,
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        let limits = Limits::default();
        LimitSettings {
            rooms: limits.rooms,
            sessions_per_room: limits.sessions_per_room,
            publications_per_session: limits.publications_per_session,
            subscriptions_per_session: limits.subscriptions_per_session,
            sections: limits.sections,
            sdp_bytes: limits.sdp_bytes,
            candidates: limits.candidates,
            app_state_bytes: limits.app_state_bytes,
            channels: limits.channels,
            message_bytes: limits.message_bytes,
            messages_per_second: limits.messages_per_second,
            data_queue_bytes: limits.data_queue_bytes,
            rtx_video_packets: limits.rtx_video_packets,
            rtx_audio_packets: limits.rtx_audio_packets,
            room_sessions_per_shard: 200,
        }
    }
}

impl LimitSettings {
    pub(crate) fn to_limits(&self) -> Limits {
        Limits {
            rooms: self.rooms,
            sessions_per_room: self.sessions_per_room,
            publications_per_session: self.publications_per_session,
            subscriptions_per_session: self.subscriptions_per_session,
            sections: self.sections,
            sdp_bytes: self.sdp_bytes,
            candidates: self.candidates,
            app_state_bytes: self.app_state_bytes,
            channels: self.channels,
            message_bytes: self.message_bytes,
            messages_per_second: self.messages_per_second,
            data_queue_bytes: self.data_queue_bytes,
            rtx_video_packets: self.rtx_video_packets,
            rtx_audio_packets: self.rtx_audio_packets,
        }
    }
}

impl Settings {
    /// Settings for tests and demonstrations: one shard, loopback, every port chosen by the kernel.
    pub fn loopback() -> Self {
        let mut settings = Settings { shards: 1, ..Settings::default() };
        settings.media.bind_ips = vec![Ipv4Addr::LOCALHOST.into()];
        settings.media.first_udp_port = 0;
        settings.media.tcp_port = Some(0);
        settings.grpc.bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings
    }

    /// Checks all that can be checked without opening a socket.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let refuse = |name, problem: &str| Err(InvalidSetting::new(name, problem));
        if !(1..=128).contains(&self.node_id.len()) || !self.node_id.bytes().all(|b| b.is_ascii_graphic()) {
            return refuse("node_id", "1 to 128 characters of printable ASCII without spaces are needed");
        }
        if self.shards > MAX_SHARDS {
            return refuse("shards", "at most 256 are possible");
        }
        self.validate_media()?;
        if self.grpc.token.is_empty() && !self.grpc.bind.ip().is_loopback() {
            return refuse("grpc.token", "a token is needed unless grpc.bind is a loopback address");
        }
        if !self.grpc.token.bytes().all(|b| b.is_ascii_graphic()) {
            return refuse("grpc.token", "only printable ASCII without spaces can be sent as a bearer token");
        }
        for (name, value) in [
            ("grpc.events_kept", self.grpc.events_kept),
            ("grpc.max_watchers", self.grpc.max_watchers),
            ("grpc.command_queue", self.grpc.command_queue),
            ("limits.room_sessions_per_shard", self.limits.room_sessions_per_shard),
            ("tcp.max_connections", self.tcp.max_connections),
            ("tcp.max_connections_per_ip", self.tcp.max_connections_per_ip),
            ("tcp.send_queue_frames", self.tcp.send_queue_frames),
            ("tcp.first_frame_timeout_ms", self.tcp.first_frame_timeout_ms as usize),
            ("tcp.idle_timeout_ms", self.tcp.idle_timeout_ms as usize),
        ] {
            if value == 0 {
                return refuse(name, "it must not be 0");
            }
        }
        Ok(())
    }

    fn validate_media(&self) -> Result<(), InvalidSetting> {
        let media = &self.media;
        let refuse = |name, problem: &str| Err(InvalidSetting::new(name, problem));
        if media.bind_ips.is_empty() {
            return refuse("media.bind_ips", "at least one address is needed");
        }
        if media.bind_ips.iter().any(|ip| ip.is_multicast()) {
            return refuse("media.bind_ips", "a multicast address cannot be bound");
        }
        for (name, ips) in
            [("media.bind_ips", &media.bind_ips), ("media.advertise_ips", &media.advertise_ips)]
        {
            if (1..ips.len()).any(|index| ips[..index].contains(&ips[index])) {
                return refuse(name, "an address is there twice");
            }
        }
        if media.advertise_ips.iter().any(|ip| ip.is_unspecified() || ip.is_multicast()) {
            return refuse("media.advertise_ips", "peers cannot send to an unspecified or multicast address");
        }
        let last = usize::from(media.first_udp_port) + self.shard_count() - 1;
        if media.first_udp_port != 0 && last > usize::from(u16::MAX) {
            return refuse("media.first_udp_port", "the last shard's port would be above 65,535");
        }
        if media.initial_estimate_bps == 0 {
            return refuse("media.initial_estimate_bps", "it must not be 0");
        }
        if media.connect_timeout_ms == 0 {
            return refuse("media.connect_timeout_ms", "it must not be 0");
        }
        Ok(())
    }

    /// Shards to start.
    pub fn shard_count(&self) -> usize {
        match self.shards {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get).min(MAX_SHARDS),
            shards => shards,
        }
    }

    pub(crate) fn buffers(&self) -> BufferSizes {
        BufferSizes { receive: self.media.receive_buffer_bytes, send: self.media.send_buffer_bytes }
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.media.connect_timeout_ms)
    }

    pub(crate) fn initial_estimate(&self) -> Bitrate {
        Bitrate::bps(self.media.initial_estimate_bps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_needs_to_be_set() {
        let settings: Settings = toml::from_str("").unwrap();
        assert_eq!(settings.validate(), Ok(()));
        assert!(settings.shard_count() >= 1);
    }

    #[test]
    fn a_file_sets_what_it_names_and_leaves_the_rest() {
        let settings: Settings = toml::from_str(
            "node_id = 'eu-1'\n[media]\nbind_ips = ['10.0.0.5']\nadvertise_ips = ['203.0.113.7']\n[limits]\nrooms = 3",
        )
        .unwrap();
        assert_eq!(settings.node_id, "eu-1");
        assert_eq!(settings.limits.to_limits().rooms, 3);
        assert_eq!(settings.limits.to_limits().candidates, Limits::default().candidates);
        assert_eq!(settings.media.first_udp_port, 7_700);
    }

    #[test]
    fn a_misspelt_name_is_refused_by_name() {
        let error = toml::from_str::<Settings>("[media]\nbind_ip = ['10.0.0.5']").unwrap_err();
        assert!(error.to_string().contains("bind_ip"), "{error}");
    }

    #[test]
    fn an_open_api_without_a_token_is_refused() {
        let mut settings = Settings::default();
        settings.grpc.bind = "0.0.0.0:7701".parse().unwrap();
        assert_eq!(settings.validate().unwrap_err().name, "grpc.token");
        settings.grpc.token = "secret".to_owned();
        assert_eq!(settings.validate(), Ok(()));
        settings.grpc.token = "two words".to_owned();
        assert_eq!(settings.validate().unwrap_err().name, "grpc.token");
    }

    #[test]
    fn a_token_never_shows_in_a_log() {
        let mut settings = Settings::default();
        settings.grpc.token = "secret".to_owned();
        assert!(!format!("{settings:?}").contains("secret"));
    }

    type Change = fn(&mut Settings);

    #[test]
    fn every_error_names_its_setting() {
        let wrong: [(&str, Change); 10] = [
            ("node_id", |s| s.node_id.clear()),
            ("shards", |s| s.shards = 257),
            ("media.bind_ips", |s| s.media.bind_ips.clear()),
            ("media.advertise_ips", |s| s.media.advertise_ips = vec![Ipv4Addr::UNSPECIFIED.into()]),
            ("media.bind_ips", |s| s.media.bind_ips = vec![Ipv4Addr::LOCALHOST.into(); 2]),
            ("media.advertise_ips", |s| s.media.advertise_ips = vec![Ipv4Addr::LOCALHOST.into(); 2]),
            ("media.first_udp_port", |s| (s.media.first_udp_port, s.shards) = (65_535, 2)),
            ("media.initial_estimate_bps", |s| s.media.initial_estimate_bps = 0),
            ("media.connect_timeout_ms", |s| s.media.connect_timeout_ms = 0),
            ("tcp.max_connections", |s| s.tcp.max_connections = 0),
        ];
        for (name, change) in wrong {
            let mut settings = Settings::default();
            change(&mut settings);
            assert_eq!(settings.validate().unwrap_err().name, name);
        }
    }
}
