//! Workers: they take tasks from the queue, separate songs, and put results into the store.
//!
//! A worker may die at any moment: what it held comes to another one when its lease ends, and whatever is done
//! twice gives the same objects. See `ARCHITECTURE.md`, "The life of a job".

mod config;
mod consumer;
mod crash;
pub mod decoder;
mod engines;
mod foreign;
mod lease;
mod pace;
mod settings;
mod task;
mod upkeep;

pub use config::{WorkerArgs, positive};
pub use consumer::{Worker, WorkerError};
pub use engines::{EngineError, Engines, Held, Loaded, Turn, Watch};
pub use settings::Settings;
