//! The gRPC interface of agentd: messages, clients and servers generated from
//! `agentd/v1/*.proto`, and the rule by which both sides find the socket.
//!
//! This crate holds no behaviour beyond that; the daemon converts between
//! these types and its own at one place.

pub mod endpoint;
pub mod reason;

/// Version 1 of the interface. Fields are added, never renumbered.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "generated; the documentation is in the .proto files"
)]
pub mod v1 {
    tonic::include_proto!("agentd.v1");

    /// The compiled descriptors, for server reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}

/// The largest message either side accepts, bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;
