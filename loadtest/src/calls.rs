//! The calls API from outside: gRPC as the product's backend, WebSockets as its users' devices. No media.
mod backend;
mod device;
mod ringing;
pub(crate) mod rings;
pub(crate) mod setups;

use clap::Args;
use serde::{Deserialize, Serialize};

pub(crate) use backend::Backend;
pub(crate) use device::Device;
pub(crate) use ringing::{Ringing, ring};

/// Where the calls API is.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(next_help_heading = "The calls API")]
pub(crate) struct CallsApi {
    /// Where the calls' gRPC API listens.
    #[arg(long, default_value = "http://127.0.0.1:7884", value_name = "URL")]
    grpc: String,
    /// Its bearer token; with `sluice dev` what SLUICE_DEV_GRPC_TOKEN says.
    #[arg(
        long,
        default_value = "",
        env = "SLUICE_CALLS_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    grpc_token: String,
    /// HTTP/2 connections to it.
    #[arg(long, default_value_t = 4, value_name = "N")]
    grpc_connections: usize,
}
