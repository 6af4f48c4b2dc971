//! How much one client may ask, and how much the service takes in all.

mod admission;
mod rate;
mod streams;

pub(crate) use self::admission::Admission;
pub use self::rate::{Rate, Subject};
pub(crate) use self::streams::{Place, Streams};
