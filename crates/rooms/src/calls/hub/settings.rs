//! What an operator may set of the devices' WebSockets.
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds and times of `/calls/v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceSettings {
    /// Devices connected at once; more are answered with 503.
    pub connections: usize,
    /// Devices of one user; more are answered with 429.
    pub devices_per_user: usize,
    /// Messages per second from one device, with a burst of five seconds' worth; then its WebSocket is closed.
    pub messages_per_second: u32,
    /// Bytes of one message from a device. The largest sensible one invites 256 people.
    pub message_bytes: usize,
    /// Requests of one device under way at once; more are refused.
    pub requests: usize,
    /// Messages kept for one device, until it reads them and for its cursor. A device that falls further behind begins
    /// anew, with a snapshot.
    pub kept_messages: usize,
    /// The same of all devices together; some 200 bytes each. Beyond it devices lose what is kept for their cursors.
    pub kept_messages_in_all: usize,
    /// Seconds for which messages are kept for a device that is away.
    pub kept_s: u32,
    /// A device that is away for so many milliseconds rings no more. A reconnect must fit, but until then a caller waits
    /// for a phone that is gone.
    pub grace_ms: u32,
    /// Seconds between pings.
    pub ping_s: u32,
    /// A device that shows no life for so many seconds is closed.
    pub silence_s: u32,
}

impl Default for DeviceSettings {
    fn default() -> Self {
        Self {
            connections: 20_000,
            devices_per_user: 16,
            messages_per_second: 20,
            message_bytes: 64 * 1024,
            requests: 8,
            kept_messages: 64,
            kept_messages_in_all: 1_000_000,
            kept_s: 120,
            grace_ms: 10_000,
            ping_s: 10,
            silence_s: 30,
        }
    }
}

impl DeviceSettings {
    pub(super) fn kept(&self) -> Duration {
        Duration::from_secs(self.kept_s.into())
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms.into())
    }

    pub(super) fn ping(&self) -> Duration {
        Duration::from_secs(self.ping_s.max(1).into())
    }

    pub(super) fn silence(&self) -> Duration {
        Duration::from_secs(self.silence_s.max(1).into())
    }
}
