//! What goes on without requests: sweeps, notifications, health.

use std::time::Duration;

use common::admin::Health;
use common::queue::Depth;
use common::telemetry::figures;
use common::{Epoch, ObjectKey};

use crate::callback;
use crate::state::App;

/// Between sweeps of what is pending.
const PENDING: Duration = Duration::from_secs(15);

/// Between looks for what silent owners hold and what has waited long enough.
const REAP: Duration = Duration::from_secs(3);

/// Between sweeps of what is over.
const EXPIRED: Duration = Duration::from_mins(4);

/// Starts everything; it ends when the server stops.
pub fn start(app: &App) {
    let sweeper = app.clone();
    app.tasks.spawn(async move {
        let app = sweeper;
        while pause(&app, PENDING).await {
            match app.ledger.sweep_pending().await {
                Ok(swept) if swept.submitted > 0 => {
                    tracing::info!(swept.submitted, "submitted again what the queue had lost");
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the sweep of pending jobs broke off"),
            }
        }
    });
    let sweeper = app.clone();
    app.tasks.spawn(async move {
        let app = sweeper;
        while pause(&app, EXPIRED).await {
            match app.ledger.sweep_expired().await {
                Ok(swept) => tracing::debug!(swept.expired, swept.uploads, "removed what was over"),
                Err(error) => tracing::warn!(%error, "the sweep of what is over broke off"),
            }
        }
    });
    let reaper = app.clone();
    app.tasks.spawn(async move {
        let app = reaper;
        // Workers do this as well; notifications also come again where there is none.
        while pause(&app, REAP).await {
            match app.ledger.queue().reap().await {
                Ok(found) => figures::reaped(found),
                Err(error) => tracing::debug!(%error, "nothing was reaped"),
            }
        }
    });
    for _ in 0..app.config.callbacks.callback_tasks {
        app.tasks.spawn(callback::run(app.clone()));
    }
}

/// Sleeps for about this long, a little different each time, so that servers do not sweep together; gives
/// whether the server goes on.
async fn pause(app: &App, about: Duration) -> bool {
    let part = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
    tokio::select! {
        () = app.stop.cancelled() => false,
        () = tokio::time::sleep(about.mul_f64(0.75 + part / 2.0)) => true,
    }
}

/// Longest look at the store or the queue.
const LOOK: Duration = Duration::from_secs(5);

/// Whether this server is of use: the store answers. Without the queue it takes nothing, but results go on.
#[derive(Debug)]
pub struct Ready(pub App);

#[async_trait::async_trait]
impl Health for Ready {
    async fn ready(&self) -> Result<(), String> {
        if self.0.stop.is_cancelled() {
            return Err("stopping".to_owned());
        }
        self.look_at_the_store().await
    }

    /// The queue's own figures: of all processes together, so every server has the same.
    async fn measure(&self) {
        let depth = tokio::time::timeout(LOOK, self.0.admission.depth(&self.0)).await;
        let answered = matches!(depth, Ok(Ok(_)));
        metrics::gauge!("msaas_queue_up").set(f64::from(u8::from(answered)));
        let stored = self.look_at_the_store().await.is_ok();
        metrics::gauge!("msaas_store_up").set(f64::from(u8::from(stored)));
        // Without an answer the others stay as they were: who scales by them keeps what there is.
        if let Ok(Ok(depth)) = depth {
            show(&depth);
        }
        let workers = tokio::time::timeout(LOOK, self.0.ledger.queue().workers(usize::MAX)).await;
        if let Ok(Ok(workers)) = workers {
            let busy = workers.iter().filter(|seen| seen.task.is_some()).count();
            for (state, count) in [("busy", busy), ("idle", workers.len() - busy)] {
                metrics::gauge!("msaas_workers", "state" => state).set(count as f64);
            }
        }
    }
}

impl Ready {
    async fn look_at_the_store(&self) -> Result<(), String> {
        let key = ObjectKey::epoch(Epoch(0));
        match tokio::time::timeout(LOOK, self.0.ledger.store().head(&key)).await {
            Ok(answer) => answer.map(|_| ()).map_err(|error| error.to_string()),
            Err(_) => Err("the store does not answer".to_owned()),
        }
    }
}

fn show(depth: &Depth) {
    metrics::gauge!("msaas_queue_jobs").set(depth.jobs as f64);
    metrics::gauge!("msaas_queue_audio_seconds").set(depth.cost_ms as f64 / 1e3);
    metrics::gauge!("msaas_queue_dead").set(depth.dead as f64);
    metrics::gauge!("msaas_queue_notices").set((depth.ready_notices + depth.active_notices) as f64);
    metrics::gauge!("msaas_oldest_ready_seconds").set(depth.oldest_ready_ms as f64 / 1e3);
    let states = [
        ("ready", depth.ready - depth.ready_notices),
        ("running", depth.active - depth.active_notices),
        ("delayed", depth.delayed),
    ];
    for (state, tasks) in states {
        metrics::gauge!("msaas_queue_depth", "state" => state).set(tasks as f64);
    }
}
