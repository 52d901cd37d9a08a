//! The calls API from outside: gRPC as the product's backend, WebSockets as its users' devices. No media.
mod backend;
mod device;
pub(crate) mod rings;
pub(crate) mod setups;

use clap::Args;

/// Where the calls API is.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallsApi {
    /// Where the calls' gRPC API listens.
    #[arg(long, default_value = "http://127.0.0.1:7884")]
    grpc: String,
    /// Its bearer token.
    #[arg(long, env = "SLUICE_CALLS_TOKEN", hide_env_values = true)]
    grpc_token: String,
    /// HTTP/2 connections to it.
    #[arg(long, default_value_t = 4)]
    grpc_connections: usize,
}
