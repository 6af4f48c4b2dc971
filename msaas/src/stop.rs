//! Ctrl-C: the first ends the work at the next segment, the second at once.

use std::sync::LazyLock;

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

/// What the handler sets.
pub(crate) fn signal() -> &'static Stop {
    &STOP
}

/// Whether the user asked to stop.
pub(crate) fn requested() -> bool {
    STOP.requested()
}
