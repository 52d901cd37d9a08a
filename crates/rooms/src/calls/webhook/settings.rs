//! What an operator may set of one webhook endpoint.
use serde::{Deserialize, Serialize};

/// An endpoint of the product's backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Under which its progress is remembered: lower-case letters, digits, `-` and `_`. A new name begins anew.
    pub name: String,
    /// `http://` or `https://`.
    pub url: String,
    /// Signs each request; both sides know it. Must not be empty.
    pub secret: String,
    /// Which events, e.g. `CALL_ENDED`. Empty: all.
    pub events: Vec<String>,
    /// Requests under way at once, each of another call.
    pub in_flight: usize,
    /// A request without an answer by then has failed, in milliseconds.
    pub timeout_ms: u64,
    /// The first retry comes after about this, in milliseconds; each next one after twice as long.
    pub first_retry_ms: u64,
    /// No retry waits longer than this, in milliseconds.
    pub longest_retry_ms: u64,
    /// An event that still fails when it is this old is given up, in seconds.
    pub give_up_s: u64,
    /// Events held in memory.
    pub read_ahead: usize,
    /// Events known to be undelivered. Those of calls that fail take a few bytes each; beyond this nothing more is read.
    pub waiting: usize,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            name: "backend".into(),
            url: String::new(),
            secret: String::new(),
            events: Vec::new(),
            in_flight: 64,
            timeout_ms: 10_000,
            first_retry_ms: 1_000,
            longest_retry_ms: 600_000,
            give_up_s: 24 * 3_600,
            read_ahead: 4_096,
            waiting: 200_000,
        }
    }
}
