//! The gRPC interface as `separation.proto` says it.

#![allow(clippy::all, reason = "generated")]

tonic::include_proto!("msaas.v1");

/// The document in the form that the reflection service shows.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
