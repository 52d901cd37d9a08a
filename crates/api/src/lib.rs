//! The public gRPC APIs of Sluice as Rust types, generated from `proto/` at build time.
//!
//! Nearly all of it is generated code; the contract is in the `.proto` files, which is where their documentation is.
//! Both halves meet only in this crate: the node serves it, room management calls it.
#![allow(missing_docs, clippy::all)]

mod carrier;

pub use carrier::{Carrier, carrier};

/// `sluice.sfu.v1`: the control API of an SFU node.
pub mod sfu {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("sluice.sfu.v1");
    }
}

/// `sluice.calls.v1`: the product's API for calls, the clients' messages, and the permission hook.
pub mod calls {
    /// Version 1. Every message also has the JSON form of protobuf, through serde.
    pub mod v1 {
        tonic::include_proto!("sluice.calls.v1");
        include!(concat!(env!("OUT_DIR"), "/sluice.calls.v1.serde.rs"));
    }
}

/// All of `proto/` as an encoded `google.protobuf.FileDescriptorSet`, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
