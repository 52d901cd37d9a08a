//! The product from outside: real HTTP, a Calls service made for the tests, webhooks as Sluice signs them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]
mod calling;
mod fake;
mod people;
mod support;
