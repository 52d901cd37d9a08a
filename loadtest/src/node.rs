//! The node's own API as a way into rooms, past room management: what the node costs alone.
//!
//! Each process has a [`Lobby`] that follows the node's events. A client speaks to a [`guest`] there as it
//! would to a server of the client protocol, so that media, scenarios and counters are the same on both ways.
//! The process that began the run is the rooms' [`Owner`], and ends them.
mod api;
mod check;
mod events;
mod guest;
mod lobby;
mod owner;
mod rounds;
mod tracks;

use clap::Args;
use serde::{Deserialize, Serialize};

pub(crate) use check::check;
pub(crate) use lobby::Lobby;
pub(crate) use owner::Owner;

/// Where the node is.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct NodeApi {
    /// Where the node's gRPC API listens, for `--driver node`.
    #[arg(long, default_value = "http://127.0.0.1:7883", value_name = "URL")]
    pub(crate) node: String,
    /// Its bearer token: the node's `[sfu] token`; with `sluice dev` what SLUICE_DEV_GRPC_TOKEN says.
    #[arg(long, default_value = "", env = "SLUICE_SFU_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) node_token: String,
}

/// A run's way to the node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Access {
    pub(crate) api: NodeApi,
    /// All processes of a run are one owner of its rooms.
    pub(crate) owner_epoch: u64,
    /// Rooms of this run have names that begin so.
    pub(crate) rooms: String,
}
