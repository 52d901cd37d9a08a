//! Whole signalling flows over real WebSockets, against a node that only pretends.
#![allow(unreachable_pub, reason = "modules of a test binary reach nobody")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is the report of a test")]

mod calls;
mod coming_back;
mod joining;
mod support;
