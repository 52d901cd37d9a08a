//! The product from outside: real HTTP, a Calls service made for the tests, webhooks as Sluice signs them.
#![allow(unreachable_pub, reason = "modules of a test binary reach nobody")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is the report of a test")]
mod calling;
mod fake;
mod people;
mod support;
