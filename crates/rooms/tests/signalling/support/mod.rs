//! A node that only pretends, a server under test, and clients that speak the protocol by hand.
pub mod client;
pub mod node;
pub mod server;
