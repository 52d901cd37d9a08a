//! The node: everything around the engine that touches the outside world.
//!
//! * A thread per shard moves datagrams between UDP sockets and a [`sluice_engine::Shard`] (`shard`).
//! * A listener accepts ICE over TCP and hands each connection to the shard that its first frame names (`tcp`).
//! * A gRPC server speaks `sluice.sfu.v1`: calls become commands of shards (`service`, `convert`, `control`), and what
//!   shards say becomes a log of events that callers watch and resume (`events`).
//!
//! **A packet's way touches neither tokio nor a lock**: socket, engine, socket, on one thread. Everything else goes
//! through bounded queues that a shard never waits for.
//!
//! What this crate is not: it takes no decision about media (`sluice-engine` does), it makes no system calls of its own
//! (`sluice-net` does), and it knows nothing of users, calls or tokens of clients (`sluice-rooms` does).

mod addresses;
mod auth;
mod control;
mod convert;
mod directory;
mod event_ring;
mod events;
mod media;
mod node;
mod server;
mod service;
mod settings;
mod shard;
mod spread;
mod tcp;
mod telemetry;

pub use node::{Node, RunError, StartError};
pub use settings::{
    GrpcSettings, InvalidSetting, LimitSettings, MAX_SHARDS, MediaSettings, Settings, TcpSettings,
};
