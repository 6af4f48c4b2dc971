//! Ctrl-C: the first ends the work at the next segment, the second at once.

use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Context, Result};
use separation::Stop;

static STOP: LazyLock<Stop> = LazyLock::new(Stop::default);

/// Listens from now on.
pub(crate) fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if STOP.request() {
            std::process::exit(130);
        }
        crate::terminal::complain("msaas: stopping at the next segment; once more stops at once");
    })
    .context("cannot listen for Ctrl-C")
}

/// What is said to who leaves a server's work alone; none before anyone listened.
static FAREWELL: Mutex<Option<String>> = Mutex::new(None);

/// From now on Ctrl-C ends the program at once, with this sentence.
pub(crate) fn leave_with(farewell: &str) -> Result<()> {
    let mut said = FAREWELL.lock().unwrap_or_else(PoisonError::into_inner);
    if said.replace(farewell.to_owned()).is_some() {
        return Ok(());
    }
    ctrlc::set_handler(|| {
        let said = FAREWELL.lock().unwrap_or_else(PoisonError::into_inner);
        crate::terminal::complain(&format!("\nmsaas: {}", said.as_deref().unwrap_or("stopped")));
        std::process::exit(130);
    })
    .context("cannot listen for Ctrl-C")
}

/// What the handler sets.
pub(crate) fn signal() -> &'static Stop {
    &STOP
}

/// Whether the user asked to stop.
pub(crate) fn requested() -> bool {
    STOP.requested()
}
