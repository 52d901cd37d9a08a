//! When to probe, and at which rate.

use sluice_rtp::Bitrate;

use crate::cluster::{Cluster, Outcome};
use crate::history::Sent;
use crate::round_trip::RoundTrip;
use crate::{MILLI, Micros, SECOND};

/// The first probe, times the initial estimate, which is a guess. Higher may flood a phone; lower takes more steps.
const FIRST: f64 = 3.0;

/// Later probes, times the estimate. Each doubling that gets through is followed by the next at once.
const STEP: f64 = 2.0;

/// How far beyond its goal a probe goes, since a part of what it measures is taken off.
const BEYOND: f64 = 1.2;

/// The least above the estimate, in bit/s. Less would creep up from a very low one.
const LEAST_STEP: f64 = 200_000.0;

/// The first train's length. Longer measures better and fills the queue for longer.
const LENGTH: Micros = 15 * MILLI;

/// How often the length doubles after probes that brought nothing: jitter of a frame's length drowns in 60 ms.
const LONGER: u32 = 2;

/// The time to the next probe after one that brought nothing; doubles each time.
const INTERVAL: Micros = 3 * SECOND;

/// Its end: padding every two minutes costs nothing, and a link that grew is found without a change of wishes.
const LONGEST: Micros = 120 * SECOND;

/// Between the last probe and one for a new wish, so that flapping wishes are no flood of padding.
const FLAPPING: Micros = SECOND;

/// How long after its result a probe's queue may show in the media behind it. Longer would hide a queue of the media's own.
const FELT: Micros = 300 * MILLI;

/// A desire that changes by this share is another one.
const OTHER: u32 = 25;

/// A rise by this share was worth the probe.
const WORTH: f64 = 1.2;

/// What a probe must know of the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// What it is believed to carry, in bit/s.
    pub estimate: f64,
    /// What nobody asks of it, in bit/s.
    pub most: f64,
    /// Until when it is in no state to be probed.
    pub blocked_until: Option<Micros>,
}

/// The wishes, the schedule, and the probe under way.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    allocated: Bitrate,
    desired: Bitrate,
    /// The desire that the schedule answers to.
    answered: Bitrate,
    due: Micros,
    ended: Option<Micros>,
    fruitless: u32,
    last_id: u8,
    /// Boxed: most paths have none most of the time, and one probe allocates where it sends dozens of packets.
    cluster: Option<Box<Cluster>>,
}

impl Prober {
    /// Wishes nothing.
    pub(crate) fn new() -> Self {
        Prober {
            allocated: Bitrate::ZERO,
            desired: Bitrate::ZERO,
            answered: Bitrate::ZERO,
            due: 0,
            ended: None,
            fruitless: 0,
            last_id: 0,
            cluster: None,
        }
    }

    /// What is sent, and what would be if it could.
    pub(crate) fn set_wish(&mut self, now: Micros, allocated: Bitrate, desired: Bitrate) {
        self.allocated = allocated;
        self.desired = desired;
        let near = self.answered.percent(100 - OTHER)..=self.answered.percent(100 + OTHER);
        if !near.contains(&desired) {
            self.answered = desired;
            self.begin_anew(now);
        }
    }

    /// What was learnt from fruitless probes no longer holds.
    pub(crate) fn begin_anew(&mut self, now: Micros) {
        self.fruitless = 0;
        self.due = self.ended.map_or(now, |ended| now.max(ended + FLAPPING));
    }

    /// A packet leaves. Returns the mark of the probe that it is part of; 0: none.
    pub(crate) fn on_sent(&mut self, now: Micros, size: u16, rtt: &RoundTrip) -> u8 {
        self.cluster.as_mut().map_or(0, |cluster| cluster.on_sent(now, size, rtt.guess()))
    }

    /// A packet arrived.
    pub(crate) fn on_arrived(&mut self, sent: Sent, at: i64) {
        if let Some(cluster) = self.cluster.as_mut().filter(|_| sent.cluster != 0) {
            cluster.on_arrived(sent, at);
        }
    }

    /// A packet was lost.
    pub(crate) fn on_lost(&mut self, sent: Sent) {
        if let Some(cluster) = self.cluster.as_mut().filter(|_| sent.cluster != 0) {
            cluster.on_lost(sent);
        }
    }

    /// Whether a queue may be a probe's.
    pub(crate) fn is_felt(&self, now: Micros) -> bool {
        let lately = |ended| now.saturating_sub(ended) < FELT;
        self.cluster.is_some() || self.ended.is_some_and(lately)
    }

    /// The path is full already: the probe under way would only make it worse.
    pub(crate) fn abort(&mut self, now: Micros) {
        if self.cluster.take().is_some() {
            self.end(now, false);
        }
    }

    /// The result of the probe under way, once, when it has one. `estimate` is what it was to raise, in bit/s.
    pub(crate) fn outcome(&mut self, now: Micros, estimate: f64, kept: f64) -> Option<Outcome> {
        let outcome = self.cluster.as_ref()?.outcome(now)?;
        self.cluster = None;
        // A full path has shown its rate: only a large step from it promises another.
        let worth = match outcome {
            Outcome::Through(rate) => kept * rate > estimate,
            Outcome::Full(rate) => kept * rate > WORTH * estimate,
            Outcome::Nothing => false,
        };
        self.end(now, worth);
        Some(outcome)
    }

    /// How many bytes of padding to send now; `None`: none.
    pub(crate) fn poll(&mut self, now: Micros, path: Path) -> Option<usize> {
        if let Some(cluster) = &mut self.cluster {
            return cluster.burst(now);
        }
        if !self.is_wanted(path.estimate) || now < self.due {
            return None;
        }
        if let Some(until) = path.blocked_until {
            self.due = until.max(now + MILLI);
            return None;
        }
        let rate = self.rate(path);
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let length = LENGTH << self.fruitless.min(LONGER);
        self.cluster.insert(Box::new(Cluster::new(self.last_id, now, rate, length))).burst(now)
    }

    /// When `poll` or `outcome` has something to say even if nothing happens.
    pub(crate) fn deadline(&self, estimate: f64) -> Option<Micros> {
        match &self.cluster {
            Some(cluster) => Some(cluster.deadline()),
            None => self.is_wanted(estimate).then_some(self.due),
        }
    }

    fn is_wanted(&self, estimate: f64) -> bool {
        self.desired > self.allocated && self.desired.as_bps() as f64 > estimate
    }

    fn rate(&self, path: Path) -> f64 {
        let step = if self.ended.is_none() { FIRST } else { STEP * BEYOND };
        let desired = BEYOND * self.desired.as_bps() as f64;
        let rate = (step * path.estimate).min(desired).max(path.estimate + LEAST_STEP);
        rate.min(BEYOND * path.most)
    }

    fn end(&mut self, now: Micros, worth: bool) {
        self.ended = Some(now);
        if worth {
            self.fruitless = 0;
            self.due = now;
            return;
        }
        self.due = now + (INTERVAL << self.fruitless.min(16)).min(LONGEST);
        self.fruitless = self.fruitless.saturating_add(1);
    }
}
