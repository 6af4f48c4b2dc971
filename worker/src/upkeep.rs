//! What every worker does beside its work: takes back what silent ones hold, lets in what was pushed by hand, looks
//! after everything that is pending.

use std::sync::Arc;
use std::time::Duration;

use common::telemetry::figures;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::foreign;
use crate::task::Tools;

/// Entries pushed by hand are noticed within a second.
const FOREIGN_EVERY: Duration = Duration::from_millis(500);

pub(crate) async fn run(tools: Arc<Tools>, stop: CancellationToken) {
    let settings = &tools.settings;
    let (mut reap_at, mut sweep_at) = (Instant::now(), Instant::now() + jitter(settings.sweep_every));
    while !stop.is_cancelled() {
        if let Err(error) = foreign::let_in(&tools).await {
            tracing::warn!(%error, "cannot let in what was pushed by hand");
        }
        if Instant::now() >= reap_at {
            reap_at = Instant::now() + jitter(settings.reap_every);
            match tools.ledger.queue().reap().await {
                Ok(found) => {
                    figures::reaped(found);
                    if found.moved() > 0 {
                        tracing::info!(?found, "moved tasks of silent workers, or that were delayed");
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot look for lost tasks"),
            }
        }
        if Instant::now() >= sweep_at {
            sweep_at = Instant::now() + jitter(settings.sweep_every);
            match tools.ledger.sweep_pending().await {
                Ok(swept) => tracing::debug!(?swept, "looked at all that is pending"),
                Err(error) => tracing::warn!(%error, "cannot look at all that is pending"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(FOREIGN_EVERY) => {}
        }
    }
}

/// Half to one and a half of `every`, so that workers do not march in step.
fn jitter(every: Duration) -> Duration {
    every.mul_f64(0.5 + rand_unit())
}

fn rand_unit() -> f64 {
    (uuid::Uuid::new_v4().as_u128() >> 64) as u64 as f64 / u64::MAX as f64
}
