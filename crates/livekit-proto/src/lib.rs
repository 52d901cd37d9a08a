//! The messages that LiveKit client SDKs exchange with a server: our own definitions with the same names and numbers,
//! generated from `proto/livekit` at build time.
//!
//! This crate is not a client and not a server: it holds no behaviour at all. Room management, the load test and our
//! test client share it, so that each can stay ignorant of the others. The documentation is in the `.proto` files.
#![allow(missing_docs, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/livekit.rs"));

#[cfg(test)]
mod tests;
