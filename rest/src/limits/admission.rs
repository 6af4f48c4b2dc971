//! Whether the service takes another upload now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::Tenant;
use common::ledger::Refused;
use common::queue::Depth;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::LimitArgs;
use crate::error::{Code, Problem};
use crate::state::App;

/// How long a look at the queue holds.
const FRESH: Duration = Duration::from_secs(1);

/// Seconds after which a tenant that keeps too many songs may ask again: some become jobs, others' time is over.
const SONGS_AGAIN_S: u64 = 60;

/// Places for uploads, and the last look at the queue.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    seen: Mutex<Option<(Instant, Depth)>>,
}

impl Admission {
    pub(crate) fn new(limits: &LimitArgs) -> Self {
        Self { places: Arc::new(Semaphore::new(limits.uploads)), seen: Mutex::new(None) }
    }

    /// A place for one upload, until it is dropped. Nothing of the body has been read by then.
    pub(crate) async fn enter(&self, app: &App) -> Result<OwnedSemaphorePermit, Problem> {
        let limits = &app.config.limits;
        let depth = self.depth(app).await?;
        let wait_s = wait_s(&depth, limits);
        let is_long = !limits.max_wait.is_zero() && wait_s > limits.max_wait.as_secs();
        if depth.jobs >= limits.jobs || is_long {
            rejected(if is_long { "wait" } else { "full" });
            return Err(Problem::plain(Code::Full).retry_after(wait_s.clamp(1, 3600)));
        }
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| {
            rejected("uploads");
            Problem::new(Code::Unavailable, "too many uploads at once").retry_after(2)
        })
    }

    /// Whether a tenant may have one more song kept for later.
    ///
    /// # Errors
    /// [`Code::SongsFull`].
    pub(crate) async fn keep(&self, app: &App, tenant: &Tenant) -> Result<(), Problem> {
        if app.ledger.has_songs(tenant, app.config.limits.songs_of_tenant).await? {
            rejected("songs");
            return Err(Problem::plain(Code::SongsFull).retry_after(SONGS_AGAIN_S));
        }
        Ok(())
    }

    /// What to say to work that the queue has no room for.
    pub(crate) async fn refused(&self, app: &App, refused: Refused) -> Problem {
        let wait_s =
            self.depth(app).await.map_or(30, |depth| wait_s(&depth, &app.config.limits)).clamp(1, 3600);
        match refused {
            Refused::TenantFull => {
                rejected("tenant");
                Problem::plain(Code::TenantFull).retry_after(wait_s)
            }
            Refused::Full => {
                rejected("full");
                Problem::plain(Code::Full).retry_after(wait_s)
            }
            Refused::SongGone => {
                Problem::new(Code::Unavailable, "the service was reset meanwhile; send the song again")
                    .retry_after(1)
            }
        }
    }

    /// How much there is, at most a second old.
    pub(crate) async fn depth(&self, app: &App) -> Result<Depth, Problem> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, depth)) = seen
            && at.elapsed() < FRESH
        {
            return Ok(depth);
        }
        let depth = app.ledger.queue().depth().await?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), depth));
        Ok(depth)
    }
}

/// Counts what is not taken.
pub(super) fn rejected(reason: &'static str) {
    metrics::counter!("msaas_admission_rejected_total", "reason" => reason).increment(1);
}

/// Seconds until the work that is there would be done.
fn wait_s(depth: &Depth, limits: &LimitArgs) -> u64 {
    (depth.cost_ms as f64 / 1e3 / limits.speed.max(0.01)).ceil() as u64
}
