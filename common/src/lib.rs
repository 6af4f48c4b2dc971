//! What the service's processes agree on: identifiers, the queue, the object store, the keys in it.
//!
//! The object store is the ledger, the queue the scheduler: what is accepted is durable in the store first,
//! so the loss of the whole queue costs time and never a song.
//!
//! ```
//! use common::{Epoch, JobId, SongHash};
//!
//! let hash: SongHash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".parse()?;
//! let id = JobId::new(Epoch(3));
//! assert_eq!(id.to_string().parse::<JobId>()?.epoch(), Epoch(3));
//! assert_eq!(hash.to_string().len(), 64);
//! # Ok::<(), common::InvalidId>(())
//! ```
#![warn(missing_docs)]

pub mod admin;
pub mod backends;
pub mod failpoint;
pub mod ids;
pub mod job;
pub mod keys;
pub mod ledger;
pub mod process;
pub mod queue;
pub mod shutdown;
pub mod storage;
pub mod telemetry;
#[cfg(feature = "conformance")]
pub mod testing;

pub use ids::{Epoch, InvalidId, JobId, JobKey, ModelName, SongHash, StemName, Tenant};
pub use keys::{Bucket, ObjectKey};
