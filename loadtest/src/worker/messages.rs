//! What coordinator and workers say to each other: a JSON object a line, over the worker's standard input and output.
use serde::{Deserialize, Serialize};

use super::second::Second;
use crate::calls::CallsApi;
use crate::node::Access;
use crate::scenario::{Scenario, Seat};
use crate::server::Server;

/// To a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The first line: what to do.
    Assign(Box<Assignment>),
    /// Begin at this time, microseconds since the Unix epoch: all workers count their seconds from it.
    Go { epoch_us: u64 },
    /// Everybody leaves.
    Stop,
}

/// A worker's share of the load.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) server: Server,
    /// The way to the node, if the load goes straight to it.
    pub(crate) node: Option<Access>,
    /// The way to the calls API, if the scenario makes calls.
    pub(crate) calls: Option<CallsApi>,
    pub(crate) scenario: Scenario,
    pub(crate) seats: Vec<Seat>,
    /// Makes the rooms of this run differ from those of earlier runs.
    pub(crate) run: String,
    /// Clients with a light media plane.
    pub(crate) light: bool,
    /// Of the worker's runtime.
    pub(crate) threads: usize,
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    Ready,
    Second(Box<Second>),
    /// Everybody has left; nothing comes after it.
    Done,
}
