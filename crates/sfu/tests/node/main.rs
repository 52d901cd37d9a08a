//! A node from outside: as callers of its API and peers of its sockets see it.

mod api;
mod events;
mod harness;
mod tcp;
