//! How long one waits for a server that has gone away.

use std::time::{Duration, Instant};

use super::{Error, Result};
use crate::terminal;

/// A server that restarts is back by then, one that moves too.
const LONGEST: Duration = Duration::from_mins(5);

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Longest pause that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_mins(1);

/// Tries of one piece of work.
#[derive(Debug)]
pub(crate) struct Patience {
    /// Since when nothing went well.
    bad_since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { bad_since: None, pause: FIRST_PAUSE }
    }

    /// Something went well.
    pub(crate) fn refill(&mut self) {
        *self = Self::new();
    }

    /// Waits before another try, and says so the first time; gives back an error that will not pass, or that has
    /// lasted for too long.
    pub(crate) fn after(&mut self, error: Error) -> Result<()> {
        let since = *self.bad_since.get_or_insert_with(Instant::now);
        if !error.is_passing() || since.elapsed() > LONGEST {
            return Err(error);
        }
        if self.pause == FIRST_PAUSE {
            terminal::complain(&format!("msaas: {error}; trying again"));
        }
        std::thread::sleep(error.retry_after().unwrap_or(self.pause).clamp(FIRST_PAUSE, LONGEST_ASKED));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}
