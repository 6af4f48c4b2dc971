//! The way out: whom this server may connect to because a stranger says so, for callbacks and for songs behind links.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `address.rs` | which addresses of the internet are public |
//! | `guard.rs` | from a URL of a stranger to the addresses that may be connected to |
//! | `connect.rs` | names to addresses, addresses to connections; replaced in tests |

mod address;
mod connect;
mod guard;

use std::sync::Arc;

pub use self::address::is_public;
pub use self::connect::{Network, Outside, Resolver, System};
pub(crate) use self::connect::{Stream, Unreached};
pub use self::guard::{Guard, Refusal, Target};

/// A network that tests put in the place of the real one.
pub type AnyNetwork = Arc<dyn Network>;
