//! A death on purpose, to see that it costs no song.

use std::sync::Once;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// When a worker dies of itself.
#[derive(Debug)]
pub(crate) struct Crash {
    after: Option<Duration>,
    begun: Once,
}

impl Crash {
    /// So long after its first task began; never where there is no time.
    pub(crate) fn new(after: Option<Duration>) -> Self {
        Self { after, begun: Once::new() }
    }

    /// A task begins.
    pub(crate) fn task_begins(&self) {
        let Some(after) = self.after else { return };
        self.begun.call_once(|| {
            std::thread::spawn(move || {
                std::thread::sleep(after);
                die();
            });
        });
    }
}

/// As by `kill -9`: nobody is told and nothing is cleaned up.
fn die() -> ! {
    kill_process(getpid(), Signal::KILL).ok();
    std::process::abort();
}
