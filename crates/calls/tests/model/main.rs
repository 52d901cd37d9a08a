//! The model of calls: stories by scenario, random walks, and what a caller can tell from timing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report")]

mod devices;
mod disguise;
mod ends;
mod groups;
mod links;
mod media;
mod privacy;
mod requests;
mod ringing;
mod walk;
mod world;
