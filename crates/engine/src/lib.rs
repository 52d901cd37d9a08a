//! The shard: everything that happens to media, and nothing else.
//!
//! A [`Shard`] holds rooms; a room holds sessions, their publications and their subscriptions. It has no socket, no clock,
//! no thread and no randomness of its own: datagrams, commands and the time go in, datagrams, replies and events come out.
//!
//! **The contract: call [`Shard::handle`] for each input, then [`Shard::poll`] until it answers [`Output::Timeout`].**
//! Time never goes back. The same seed and the same inputs give the same decisions.
//!
//! What this crate is not: it opens no socket (`sluice-net`, `sluice-sfu` do), speaks no gRPC, knows no users, and leaves
//! ICE, DTLS, SRTP, NACK, transport feedback and bandwidth estimation to str0m, which only `transport` names.

pub mod command;
pub mod config;
pub mod counters;
pub mod event;
pub mod id;
pub mod io;
pub mod link;
pub mod model;
pub mod stats;

mod allocation;
mod commands;
mod data;
mod declared;
mod demux;
mod egress;
mod forwarding;
mod housekeeping;
mod links;
mod messages;
mod negotiation;
mod publication;
mod reports;
mod room;
mod section;
mod session;
mod shard;
mod timers;
mod transport;
mod transport_events;

pub use command::{Command, CommandError, Reply, RoomAction, Ticket};
pub use config::{Config, Limits, LocalAddress};
pub use counters::Counters;
pub use event::{Event, EventKind};
pub use io::{Datagram, Input, Output, Protocol, Transmit};
pub use link::{LinkMessage, ShardNumber};
pub use shard::{NoCertificate, Shard};
