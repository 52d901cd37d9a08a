//! Room management: it owns rooms, decides who may do what in them, and speaks with clients.
//!
//! It is a client of SFU nodes, which it knows only through their gRPC API: no media passes through here, and if this
//! process dies, media goes on; a new one rebuilds its picture from the node ([`serve`]). It is not a calling service
//! (ringing, consent) and not a user directory: whoever holds a token signed with one of our keys may come in.
//!
//! The way of a message: `dialect::socket` (WebSocket) -> `dialect::peer` (one task a participant: the LiveKit dialect,
//! and its node sessions) -> `room` (one task a room: who is there and what they may have) -> the other peers. Each
//! arrow is a bounded channel. Nothing but `dialect` knows how clients speak.
#![forbid(unsafe_code)]

mod http;
mod id;
mod settings;
pub mod token;

/// The record that rooms keeps of itself, generated from `proto/sluice/rooms/internal`.
#[allow(missing_docs, clippy::all, unreachable_pub)]
mod model {
    include!(concat!(env!("OUT_DIR"), "/sluice.rooms.internal.v1.rs"));
}

pub use settings::{IceServer, Limits, Settings, Timings};
