//! What an operator may set of permissions and rate limits.
use serde::{Deserialize, Serialize};

use crate::calls::unusable::Unusable;

/// Longest time that anybody may be made to wait for the hook, in milliseconds.
pub const LONGEST_DEADLINE_MS: u64 = 1_000;

/// Who may call whom, and how often.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PermissionSettings {
    /// The product's permission hook.
    pub hook: HookSettings,
    /// What decides without a hook.
    pub built_in: BuiltInSettings,
    /// Against call spam.
    pub rates: RateSettings,
}

/// Where permission is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HookSettings {
    /// `http://` or `https://`: the question is POSTed as JSON. `grpc://host:port` or `grpcs://host:port`: the service
    /// `sluice.calls.v1.CallPolicy` is called. Empty: there is no hook, the built-in policy decides.
    pub url: String,
    /// Sent as `authorization: Bearer <token>`. Empty: not sent.
    pub token: String,
    /// Signs the question as webhooks are signed; HTTP only. Empty: not signed.
    pub secret: String,
    /// No answer by then is a failure, in milliseconds; 1,000 at most.
    pub deadline_ms: u64,
    /// Questions under way at once; more wait, within their deadline.
    pub in_flight: usize,
    /// Answers remembered: one per caller, callee, media, kind and conversation, and again one per caller and callee.
    pub remembered: u64,
    /// If the hook fails, a RING of the same caller and callee counts for this long, in seconds; 3,600 at most.
    pub ring_memory_s: u64,
}

/// What decides without a hook, for users of whom nothing else is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuiltInSettings {
    /// Who may call a user that has no policy of its own.
    pub who_may_call: Who,
    /// Bytes of policies kept in memory.
    pub cache_bytes: u64,
}

/// Who may call a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Anybody who is not blocked.
    Everyone,
    /// Those whom the callee follows.
    Followed,
    /// The callee's contacts.
    Contacts,
    /// Nobody.
    Nobody,
}

/// How often somebody may call. 0 switches a limit off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateSettings {
    /// Calls and invitations of one caller in a minute.
    pub calls_per_minute: u32,
    /// The same in an hour.
    pub calls_per_hour: u32,
    /// Calls of one caller to one callee that were not answered, in ten minutes. An answer starts the count anew.
    pub redials: u32,
    /// A caller first seen less than this many hours ago is fresh.
    pub fresh_hours: u32,
    /// Calls of a fresh caller in a minute.
    pub fresh_calls_per_minute: u32,
    /// The same in an hour.
    pub fresh_calls_per_hour: u32,
    /// Different people that a fresh caller may call.
    pub fresh_callees: u32,
    /// Callers, and again pairs of caller and callee, that are counted at once. Beyond it those not seen for longest are
    /// forgotten.
    pub counted: u64,
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            token: String::new(),
            secret: String::new(),
            deadline_ms: 300,
            in_flight: 256,
            remembered: 100_000,
            ring_memory_s: 3_600,
        }
    }
}

impl Default for BuiltInSettings {
    fn default() -> Self {
        Self { who_may_call: Who::Everyone, cache_bytes: 64 * 1024 * 1024 }
    }
}

impl Default for RateSettings {
    fn default() -> Self {
        Self {
            calls_per_minute: 30,
            calls_per_hour: 300,
            redials: 10,
            fresh_hours: 24,
            fresh_calls_per_minute: 15,
            fresh_calls_per_hour: 90,
            fresh_callees: 100,
            counted: 200_000,
        }
    }
}

impl RateSettings {
    /// Without any limit.
    pub fn off() -> Self {
        Self {
            calls_per_minute: 0,
            calls_per_hour: 0,
            redials: 0,
            fresh_hours: 0,
            fresh_calls_per_minute: 0,
            fresh_calls_per_hour: 0,
            fresh_callees: 0,
            ..Self::default()
        }
    }
}

impl HookSettings {
    /// Numbers within their bounds.
    pub(crate) fn check(&self) -> Result<(), Unusable> {
        if !(1..=LONGEST_DEADLINE_MS).contains(&self.deadline_ms) {
            return Err(Unusable::new("permission.hook.deadline_ms", "is 1 to 1000"));
        }
        if self.in_flight == 0 {
            return Err(Unusable::new("permission.hook.in_flight", "is at least 1"));
        }
        if self.ring_memory_s > 3_600 {
            return Err(Unusable::new("permission.hook.ring_memory_s", "is at most 3600"));
        }
        Ok(())
    }
}
