//! What an operator may set of the calls service. Every field has a default.
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::authority::settings::LONGEST_DEADLINE_MS;
use super::authority::settings::PermissionSettings;
pub use super::hub::DeviceSettings;
use super::push::PushSettings;
use super::unusable::Unusable;
use super::webhook::settings::WebhookSettings;
use crate::store::{self, EmbeddedSettings, EmbeddedStore, MemoryStore, OpenError, Store};

/// Settings of the calls service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the calls API (gRPC) listens, unless the process that calls [`serve`](crate::serve) hands over a listener.
    /// `None` and no listener: calls are not served.
    pub grpc: Option<SocketAddr>,
    /// Bearer token of that API. Empty: everybody who reaches it may call; for loopback alone.
    pub grpc_token: String,
    /// WebSocket URL under which clients reach this server, e.g. `wss://calls.example.org`. Empty: the one that they
    /// came through.
    pub url: String,
    /// Where calls and events are kept.
    pub store: StoreSettings,
    /// Timers and bounds of the call model.
    pub model: sluice_calls::Settings,
    /// How long things are kept.
    pub retention: Retention,
    /// Queues and bounds of the service.
    pub service: ServiceSettings,
    /// Bounds and times of the devices' WebSockets.
    pub devices: DeviceSettings,
    /// Who may call whom, and how often.
    pub permission: PermissionSettings,
    /// Endpoints of the product's backend that get events.
    pub webhooks: Vec<WebhookSettings>,
    /// A gateway that wakes devices.
    pub push: PushSettings,
}

/// Where calls and events are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// A folder of this process alone; made if it does not exist. Empty: in memory, and gone with the process.
    pub path: String,
    /// What an answer means.
    pub durability: Durability,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// What was answered for survives the loss of power.
    #[default]
    Sync,
    /// It survives the end of the process; the last seconds may be missing after a loss of power.
    Relaxed,
}

impl Settings {
    /// Whether the service can work with them.
    ///
    /// # Errors
    /// Names the setting, its bounds, and where docs/calls.md gives them.
    pub fn validate(&self) -> Result<(), Unusable> {
        let model = &self.model;
        let times = [
            ("model.ring_ms", model.ring_ms, 15_000..=120_000),
            ("model.connect_ms", model.connect_ms, 5_000..=60_000),
            ("model.reconnect_ms", model.reconnect_ms, 10_000..=120_000),
            ("service.media_token_s", self.service.media_token_s.into(), 30..=86_400),
            ("service.queue", self.service.queue as u64, 1..=1_000_000),
            ("service.rpcs_per_connection", self.service.rpcs_per_connection.into(), 1..=100_000),
            ("retention.record_days", self.retention.record_days.into(), 1..=36_500),
            ("retention.request_hours", self.retention.request_hours.into(), 1..=720),
            ("retention.event_hours", self.retention.event_hours.into(), 1..=8_760),
        ];
        for (field, value, allowed) in times {
            if !allowed.contains(&value) {
                let text = format!("is {value}; {} to {} are allowed", allowed.start(), allowed.end());
                return Err(Unusable::new(field, text));
            }
        }
        self.permission.hook.check()
    }
}

impl StoreSettings {
    /// Opens it.
    ///
    /// # Errors
    /// If another process has it, or it cannot be read; the error names the folder.
    pub fn open(&self) -> Result<Arc<dyn Store>, OpenError> {
        if self.path.is_empty() {
            return Ok(Arc::new(MemoryStore::new()));
        }
        let durability = match self.durability {
            Durability::Sync => store::Durability::Sync,
            Durability::Relaxed => store::Durability::Relaxed,
        };
        let settings = EmbeddedSettings { durability, ..EmbeddedSettings::at(&self.path) };
        Ok(Arc::new(EmbeddedStore::open(settings)?))
    }
}

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Records of ended calls, in days; those written before a change of this keep their own time.
    pub record_days: u32,
    /// Request ids of creations, in hours.
    pub request_hours: u32,
    /// Events, in hours.
    pub event_hours: u32,
    /// Events, at most; the oldest go first.
    pub events: u64,
}

/// Queues and bounds of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceSettings {
    /// Requests that may wait for the desk; the next ones are refused. At 10,000 a second, half a second's worth.
    pub queue: usize,
    /// RPCs of one gRPC connection at the same time.
    pub rpcs_per_connection: u32,
    /// Streams of events at the same time.
    pub followers: usize,
    /// How long a token for a call's room is valid, in seconds: the time to come in, and to come back after a loss.
    pub media_token_s: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { record_days: 90, request_hours: 24, event_hours: 24, events: 10_000_000 }
    }
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self { queue: 4_096, rpcs_per_connection: 1_024, followers: 64, media_token_s: 300 }
    }
}
