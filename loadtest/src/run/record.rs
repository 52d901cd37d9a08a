//! All that was seen in a run, before anything is made of it.
use std::ops::Range;

use serde::Serialize;

use crate::door::Driver;
use crate::process::Sample;
use crate::resources::Cost;
use crate::scenario::Scenario;
use crate::worker::second::Second;

pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) scenario: Scenario,
    pub(crate) url: String,
    /// From the first join to the last leave; a second that nobody told is left out.
    pub(crate) seconds: Vec<Second>,
    /// The measured ones.
    pub(crate) window: Range<u64>,
    /// At the start of each second; empty if its process was not named.
    pub(crate) server: Vec<ServerAt>,
    /// MiB before anybody joined.
    pub(crate) server_before: Option<f64>,
    /// Share of this machine's cores that was busy in the second before.
    pub(crate) machine_busy: Vec<(u64, f64)>,
    pub(crate) harness: Harness,
    pub(crate) given_back: Option<Cost>,
    pub(crate) interrupted: bool,
}

/// The server's process at the start of a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerAt {
    pub(crate) second: u64,
    /// Busy in the second before.
    pub(crate) cores: f64,
    pub(crate) sample: Sample,
}

/// What made the load.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Harness {
    pub(crate) processes: usize,
    pub(crate) threads: usize,
    /// The way in.
    pub(crate) driver: Driver,
    /// Clients had the light media plane.
    pub(crate) light: bool,
    /// That this machine lets us use.
    pub(crate) cores: usize,
}

impl Harness {
    /// Cores that it can keep busy at most.
    pub(crate) fn usable(&self) -> usize {
        (self.processes * self.threads).min(self.cores).max(1)
    }
}

impl Record {
    /// The server at the beginning and at the end of the measured time.
    pub(crate) fn server_window(&self) -> Option<(Sample, Sample)> {
        let at = |second| self.server.iter().find(|at| at.second >= second).or(self.server.last());
        Some((at(self.window.start)?.sample, at(self.window.end)?.sample))
    }
}
