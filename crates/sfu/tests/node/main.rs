//! A node from outside, as callers of its API see it.
// Clippy takes functions shared by tests for production code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod events;
mod harness;
mod media;
mod peer;
