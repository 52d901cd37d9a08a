//! The calls service: ringing and consent for the product's backend (gRPC) and for devices (WebSocket).
//!
//! The way of a request: `service` (gRPC) or `hub` (WebSocket) -> [`front`] (limits, permission, tokens) -> [`desk`] (one
//! task: the pure model of `sluice-calls`, then one write to the store for all that waited) -> answer. What a transition
//! has to tell leaves only after it was written: events through the store's log to `outbox` (gRPC streams) and `webhook`,
//! notices to `hub`, effects to `media` (the call's room). Pushes are events too; `push` brings them to a gateway.
pub(crate) mod authority;
pub(crate) mod desk;
pub(crate) mod front;
pub(crate) mod hub;
pub(crate) mod push;
pub(crate) mod telemetry;
pub(crate) mod unusable;
pub(crate) mod webhook;
