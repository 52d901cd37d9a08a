//! Timers and bounds, with the defaults of docs/calls.md.
use serde::{Deserialize, Serialize};

/// Every duration is in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a call rings if the caller says nothing.
    pub ring_ms: u64,
    /// Without an acknowledgement, devices are woken again after these times from the first push.
    pub push_again_ms: [u64; 2],
    /// From accept to media.
    pub connect_ms: u64,
    /// From lost media to media.
    pub reconnect_ms: u64,
    /// Alone in a direct call after the other's transport was lost.
    pub alone_direct_ms: u64,
    /// Alone in a group call.
    pub alone_group_ms: u64,
    /// An open or group call that nobody is in.
    pub empty_ms: u64,
    /// As long as somebody waits in the lobby, the two above are at least this.
    pub lobby_ms: u64,
    /// The longest call.
    pub longest_ms: u64,
    /// An upgrade that nobody answers is forgotten after this.
    pub upgrade_ms: u64,
    /// An ended call is remembered this long, so that late requests get their own refusal.
    pub linger_ms: u64,
    /// Live calls.
    pub max_calls: usize,
    /// Legs of a call, over its whole life.
    pub max_legs: usize,
    /// Devices that ring for one user.
    pub max_devices: usize,
    /// People in a call at once.
    pub max_participants: u32,
    /// Requests remembered per call.
    pub max_requests: usize,
    /// Calls in which one user may have a leg at once.
    pub max_calls_per_user: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ring_ms: 45_000,
            push_again_ms: [6_000, 15_000],
            connect_ms: 15_000,
            reconnect_ms: 30_000,
            alone_direct_ms: 30_000,
            alone_group_ms: 180_000,
            empty_ms: 20_000,
            lobby_ms: 600_000,
            longest_ms: 24 * 3_600_000,
            upgrade_ms: 60_000,
            linger_ms: 60_000,
            max_calls: 200_000,
            max_legs: 256,
            max_devices: 16,
            max_participants: 64,
            max_requests: 256,
            max_calls_per_user: 16,
        }
    }
}
