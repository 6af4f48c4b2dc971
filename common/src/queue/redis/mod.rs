//! The queue of a fleet: scripts in a Redis or Valkey server, version 7 or later, database 0 unless told otherwise.
//!
//! Every change is one script, so nothing can stop in the middle. Keys are made inside the scripts, which is fine
//! for one server (with replicas) and not for a Redis Cluster. All keys of an epoch begin with the prefix and its
//! number; a reset changes the number, and what is left is deleted behind the scenes.
//!
//! After the loss of the server's memory its epoch is 0 again: a job of a later one raises it, as does
//! [`Queue::reset`](super::Queue::reset) with the number that the store knows, which may be said at any time.

mod answers;
mod calls;
mod connection;
mod log;
mod scripts;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ::redis::Client;
use ::redis::aio::ConnectionManager;

use super::{Clock, Result, Rules};
use scripts::Scripts;

pub use log::LogLines;

/// Where the queue is and what its keys are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `redis://host:port/database` or `unix:///path/of/socket`.
    pub url: String,
    /// Of all keys but the two lists below.
    pub prefix: String,
    /// List through which everything enters.
    pub entrance: String,
    /// List of log lines.
    pub logging: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379/0".to_owned(),
            prefix: "msaas:".to_owned(),
            entrance: "toWorker".to_owned(),
            logging: "logging".to_owned(),
        }
    }
}

/// A queue in Redis.
#[derive(Debug)]
pub struct RedisQueue {
    settings: Settings,
    rules: Rules,
    clock: Clock,
    scripts: Scripts,
    client: Client,
    commands: ConnectionManager,
    sleepers: connection::Sleepers,
    sweeping: Arc<AtomicBool>,
}

impl RedisQueue {
    /// Connects with the first call, and again whenever that is needed. To be called inside a runtime.
    pub fn open(settings: Settings, rules: Rules) -> Result<Self> {
        Self::with_scripts(settings, rules, Clock::Own, Scripts::new(&|_, text| text))
    }

    /// As [`RedisQueue::open`], but with another clock and with scripts that were altered: `alter` gets the name
    /// and the text of each.
    #[cfg(feature = "conformance")]
    pub fn open_altered(
        settings: Settings,
        rules: Rules,
        clock: Clock,
        alter: &dyn Fn(&str, String) -> String,
    ) -> Result<Self> {
        Self::with_scripts(settings, rules, clock, Scripts::new(alter))
    }

    fn with_scripts(settings: Settings, rules: Rules, clock: Clock, scripts: Scripts) -> Result<Self> {
        let client = Client::open(settings.url.as_str())?;
        let commands = connection::connect_on_demand(&client)?;
        let (sleepers, sweeping) = Default::default();
        Ok(Self { settings, rules, clock, scripts, client, commands, sleepers, sweeping })
    }

    fn bell(&self) -> String {
        format!("{}bell", self.settings.prefix)
    }

    async fn settle(&self, foreign: &[u8]) -> Result<()> {
        let taken = format!("{}foreign_taken", self.settings.prefix);
        Ok(::redis::cmd("ZREM").arg(taken).arg(foreign).query_async::<()>(&mut self.commands.clone()).await?)
    }
}
