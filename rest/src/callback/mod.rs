//! Telling callers how their jobs ended.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `address.rs` | which addresses of the internet are public |
//! | `guard.rs` | from a URL of a stranger to the addresses that may be connected to |
//! | `connect.rs` | names to addresses, addresses to connections; replaced in tests |
//! | `deliver.rs` | one POST |
//! | `message.rs` | what is told, and how it is signed |
//! | `runner.rs` | the queue's notifications, and those of requests that found their job there already |
//!
//! What becomes of a callback never changes its job.

mod address;
mod connect;
mod deliver;
mod guard;
mod message;
mod runner;

use std::sync::Arc;

pub use self::address::is_public;
pub use self::connect::{Network, Resolver, System};
pub use self::deliver::{Callbacks, Undelivered};
pub use self::guard::{Guard, Refusal, Target};
pub use self::message::{Message, Secret};
pub(crate) use self::runner::{follow, run};

/// A network that tests put in the place of the real one.
pub type AnyNetwork = Arc<dyn Network>;
