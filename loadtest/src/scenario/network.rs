//! The network that lies between a group and the server, as a scenario describes it.
use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use sluice_client::{Impairment, Link};

use super::units::{Percent, Rate};

/// Longer is no network that anybody calls over.
const LONGEST: Duration = Duration::from_secs(10);
/// Below it, one datagram takes longer than a second.
const SLOWEST: u32 = 10_000;

/// Of each participant, and of each direction; what `up` or `down` says replaces it there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    /// Lost at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loss: Option<Percent>,
    /// One way, at least.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) delay: Option<Duration>,
    /// Up to so much longer.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) jitter: Option<Duration>,
    /// IP and UDP headers included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<Rate>,
    /// The longest wait for the rate; who would wait longer is dropped.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<Duration>,
    /// What participants send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) up: Option<Way>,
    /// What they receive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) down: Option<Way>,
}

/// One direction; the fields are those of [`Network`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Way {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loss: Option<Percent>,
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) delay: Option<Duration>,
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) jitter: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<Rate>,
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<Duration>,
}

impl Network {
    /// As a client has it.
    pub(crate) fn impairment(&self, seed: u64) -> Impairment {
        Impairment { up: self.way(self.up.as_ref()).link(), down: self.way(self.down.as_ref()).link(), seed }
    }

    /// What is said of both, where one direction does not say otherwise.
    fn way(&self, own: Option<&Way>) -> Way {
        let own = own.cloned().unwrap_or_default();
        Way {
            loss: own.loss.or(self.loss),
            delay: own.delay.or(self.delay),
            jitter: own.jitter.or(self.jitter),
            rate: own.rate.or(self.rate),
            queue: own.queue.or(self.queue),
        }
    }

    /// # Errors
    /// If a field is out of range; the text names it.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.way(None).check("network")?;
        for (name, own) in [("up", &self.up), ("down", &self.down)] {
            if let Some(own) = own {
                own.check(&format!("network.{name}"))?;
            }
            let way = self.way(own.as_ref());
            ensure!(
                way.queue.is_none() || way.rate.is_some(),
                "`network` has a `queue` but no `rate` for what goes {name}: nothing would wait in it"
            );
        }
        Ok(())
    }
}

impl Way {
    fn check(&self, name: &str) -> anyhow::Result<()> {
        for (field, time) in [("delay", self.delay), ("jitter", self.jitter), ("queue", self.queue)] {
            ensure!(time.is_none_or(|time| time <= LONGEST), "`{name}.{field}` is {LONGEST:?} at most");
        }
        ensure!(
            self.rate.is_none_or(|rate| rate.0 >= SLOWEST),
            "`{name}.rate` must be at least {}",
            Rate(SLOWEST)
        );
        Ok(())
    }

    fn link(&self) -> Link {
        let usual = Link::default();
        Link {
            loss: self.loss.map_or(usual.loss, Percent::share),
            delay: self.delay.unwrap_or(usual.delay),
            jitter: self.jitter.unwrap_or(usual.jitter),
            rate: self.rate.map(|rate| rate.0),
            queue: self.queue.unwrap_or(usual.queue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_is_said_once_holds_both_ways_and_a_way_may_say_otherwise() {
        let network = network(
            "loss = \"1 %\"\ndelay = \"40ms\"\nrate = \"2 Mbit/s\"\nup = { rate = \"500 kbit/s\", loss = 0 }\ndown = { jitter = \"5ms\" }",
        );
        network.check().unwrap();
        let Impairment { up, down, seed } = network.impairment(3);
        assert_eq!(
            (up.loss, up.delay.as_millis(), up.jitter.as_millis(), up.rate),
            (0.0, 40, 0, Some(500_000))
        );
        assert_eq!((down.loss, down.delay, down.rate), (0.01, up.delay, Some(2_000_000)));
        assert_eq!((down.jitter.as_millis(), seed), (5, 3));
        assert_eq!(Network::default().impairment(0), Impairment::default());
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        for (text, needle) in [
            ("delay = \"11s\"", "`network.delay`"),
            ("up = { jitter = \"1m\" }", "`network.up.jitter`"),
            ("down = { rate = \"9 kbit/s\" }", "`network.down.rate` must be at least 10 kbit/s"),
            ("up = { rate = \"1 Mbit/s\" }\nqueue = \"1s\"", "no `rate` for what goes down"),
        ] {
            let error = network(text).check().unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
        for (text, needle) in
            [("loss = \"101 %\"", "101 %"), ("los = 1", "`los`"), ("up = { los = 1 }", "`los`")]
        {
            let error = toml::from_str::<Network>(text).unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
    }
}
