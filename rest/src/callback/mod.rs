//! Telling callers how their jobs ended.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `deliver.rs` | one POST |
//! | `message.rs` | what is told, and how it is signed |
//! | `runner.rs` | the queue's notifications, and those of requests that found their job there already |
//!
//! What becomes of a callback never changes its job.

mod deliver;
mod message;
mod runner;

pub use self::deliver::{Callbacks, Undelivered};
pub use self::message::{Message, Secret};
pub(crate) use self::runner::{follow, run};
