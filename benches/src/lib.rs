//! Benchmarks of the pure crates: `cargo bench -p sluice-benches`.
//!
//! They answer one question each: what does a packet cost at ingress, what does it cost per subscription, and what does a
//! division of the budget cost. Absolute figures move from machine to machine; compare two runs on one.
