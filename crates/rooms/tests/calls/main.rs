//! The calls API over real gRPC, with a node that only pretends: calls from creation to record, and every refusal.
#![allow(unreachable_pub, reason = "modules of a test binary reach nobody")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is the report of a test")]
#![allow(dead_code, reason = "the node and the client are those of other tests")]

mod backend;
mod device;
mod events;
mod life;
mod refusals;
mod restart;
mod sockets;
#[path = "../signalling/support/mod.rs"]
mod support;
