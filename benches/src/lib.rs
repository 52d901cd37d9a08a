//! Benchmarks, and what they share: a shard with clients in memory ([`World`]) and the meetings it is measured in
//! ([`Scenario`]). `docs/performance.md` says how to run them and what their figures mean.
//!
//! What this crate is not: a load test. It opens no session over a network and knows no signalling; `loadtest` does both.

mod client;
mod scenario;
mod world;

pub use scenario::{Media, Meeting, Scenario};
pub use world::World;
