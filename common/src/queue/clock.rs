//! Where a queue has its time from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A queue's clock, in milliseconds since 1970.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// Its own: of the server that holds the queue, or of this machine where it is in memory.
    #[default]
    Own,
    /// One that stands still until it is advanced; for tests.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// One that stands still at `now_ms`.
    #[must_use]
    pub fn manual(now_ms: u64) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(now_ms)))
    }

    /// Moves a manual clock, and all copies of it.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(now) = self {
            now.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
        }
    }

    /// What a manual clock shows; none of a queue's own.
    #[must_use]
    pub fn shown_ms(&self) -> Option<u64> {
        match self {
            Self::Own => None,
            Self::Manual(now) => Some(now.load(Ordering::SeqCst)),
        }
    }

    /// What it shows, this machine's time where it is a queue's own.
    pub(super) fn now_ms(&self) -> u64 {
        self.shown_ms().unwrap_or_else(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
        })
    }
}
