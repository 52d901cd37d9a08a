//! Calls that are made through the calls API: who calls whom, and what becomes of it.
use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::file::Group;

/// The two groups of a scenario call each other: of each room, the first group's member calls the second's, again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Calls {
    /// It rings for so long, then it is answered, or cancelled by the caller.
    #[serde(with = "humantime_serde")]
    pub(crate) ring: Duration,
    /// From the last of the two to join until one hangs up, on average (half to one and a half of it).
    #[serde(with = "humantime_serde")]
    pub(crate) talk: Duration,
    /// From the end of a call to the next one, on average (half to one and a half of it).
    #[serde(with = "humantime_serde")]
    pub(crate) pause: Duration,
    /// Of all calls; the others are cancelled while they ring.
    pub(crate) answered_percent: f64,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            ring: Duration::from_secs(2),
            talk: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            answered_percent: 80.0,
        }
    }
}

impl Calls {
    /// # Errors
    /// If the groups are not two people who can call each other.
    pub(super) fn check(&self, groups: &[Group]) -> anyhow::Result<()> {
        ensure!(
            groups.len() == 2 && groups.iter().all(|group| group.members() == 1),
            "with `calls` there are two groups of one: who calls, and who is called; `rooms` says how many such pairs there are"
        );
        ensure!(
            groups.iter().all(|group| group.stay.is_none() && group.join_rate.is_none()),
            "with `calls` nobody has a `stay` or a `join_rate`: `calls.talk` and `calls.pause` say when people come and go"
        );
        ensure!((0.0..=100.0).contains(&self.answered_percent), "`calls.answered_percent` is 0 to 100");
        for (name, time) in [("talk", self.talk), ("pause", self.pause)] {
            ensure!(time >= Duration::from_millis(100), "`calls.{name}` must be at least 100ms");
        }
        Ok(())
    }
}
