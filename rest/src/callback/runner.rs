//! Who tells, and when: the queue's notifications, and those of requests that found their job there already.

use std::time::Duration;

use common::job::{Callback, Record, View};
use common::ledger::LedgerError;
use common::queue::{Claim, Claimant, Failure, Fence, Outcome, TaskKind, Token};
use common::telemetry::figures;
use tracing::Instrument as _;

use super::Message;
use crate::state::App;

/// How long a runner sleeps at most when there is nothing to tell.
const NAP: Duration = Duration::from_secs(5);

/// Takes notifications from the queue until the server stops. Several may run at once.
pub(crate) async fn run(app: App) {
    let claimant = Claimant {
        worker: format!("rest-{}", uuid::Uuid::now_v7().simple()),
        fingerprint: String::new(),
        kinds: vec![TaskKind::Notify],
    };
    while !app.stop.is_cancelled() {
        let token = Token::draw();
        let queue = app.ledger.queue();
        match queue.claim(&claimant, token).await {
            Ok(Some(claim)) => {
                if let Err(error) = serve(&app, &claim, token).await {
                    // The lease ends, and the notification comes again.
                    tracing::warn!(job.id = %claim.task.job, %error, "a notification was interrupted");
                }
            }
            Ok(None) => {
                tokio::select! {
                    () = app.stop.cancelled() => return,
                    _ = queue.ready(NAP) => {}
                }
                // A queue that answers at once, again and again, is not asked without a pause.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => {
                tracing::debug!(%error, "no notifications from the queue");
                tokio::select! {
                    () = app.stop.cancelled() => return,
                    () = tokio::time::sleep(NAP) => {}
                }
            }
        }
    }
}

async fn serve(app: &App, claim: &Claim, token: Token) -> Result<(), LedgerError> {
    let queue = app.ledger.queue();
    let record = app.ledger.record(&claim.task.job).await?;
    let failed = match &record {
        Some(record) => {
            let span = tracing::info_span!("callback", otel.kind = "client", job.id = %record.id, request.id = record.request_id);
            if let Some(parent) = &record.trace {
                parent.adopt(&span);
            }
            tell(app, record).instrument(span).await?
        }
        None => None,
    };
    // After the last try of a job that has ended nobody is owed anything either: who asks for the same is told again.
    if let Some(record) = &record
        && (failed.is_none() || claim.last && app.ledger.manifest(record).await?.is_some())
    {
        app.ledger.told(record).await?;
    }
    match failed {
        None => queue.complete(claim.task, token, &Outcome::Done).await?,
        Some(reason) => {
            let fence = queue.fail(claim.task, token, Failure::Transient, &reason).await?;
            if claim.last && fence == Fence::Held {
                figures::given_up(false);
            }
            fence
        }
    };
    Ok(())
}

/// Tells the caller of a record; gives why it should be tried again, if it should.
async fn tell(app: &App, record: &Record) -> Result<Option<String>, LedgerError> {
    let Some(callback) = &record.callback else { return Ok(None) };
    let view = app.ledger.view(record).await?;
    if !view.state.is_terminal() {
        return Ok(Some("the job has no manifest yet".to_owned()));
    }
    Ok(say(app, callback, &view).await.err())
}

async fn say(app: &App, callback: &Callback, view: &View) -> Result<(), String> {
    let Some(message) = Message::of(callback, view) else { return Ok(()) };
    match app.callbacks.deliver(&callback.url, &message).await {
        Ok(()) => {
            tracing::info!(job.id = %view.id, webhook.id = message.id, "told the caller");
            metrics::counter!("msaas_callbacks_total", "outcome" => "told").increment(1);
            Ok(())
        }
        Err(error) if error.is_transient() => {
            tracing::info!(job.id = %view.id, webhook.id = message.id, %error, "could not tell the caller yet");
            metrics::counter!("msaas_callbacks_total", "outcome" => "failed").increment(1);
            Err(error.to_string())
        }
        Err(error) => {
            tracing::warn!(job.id = %view.id, webhook.id = message.id, %error, "the caller is not told");
            metrics::counter!("msaas_callbacks_total", "outcome" => "refused").increment(1);
            Ok(())
        }
    }
}

/// Longest time that a request's callback is followed.
const LONGEST: Duration = Duration::from_hours(24);

/// Waits before further tries.
const PAUSES_S: [u64; 4] = [2, 8, 30, 120];

/// Callbacks that are followed at once; further ones are logged and dropped.
const MOST: usize = 1000;

/// Tells a further caller of a job that was there before its request. Held by this process only: the record of a
/// job names one caller, the first.
pub(crate) fn follow(app: &App, record: Record, callback: Callback) {
    if app.tasks.len() >= MOST {
        tracing::warn!(job.id = %record.id, "too many further callers: this one is not told");
        return;
    }
    let task_app = app.clone();
    app.tasks.spawn(async move {
        let app = task_app;
        let followed = async {
            let Some(view) = ended(&app, &record).await else { return };
            for pause_s in PAUSES_S.into_iter().map(Some).chain([None]) {
                if say(&app, &callback, &view).await.is_ok() {
                    return;
                }
                let Some(pause_s) = pause_s else { return };
                tokio::time::sleep(Duration::from_secs(pause_s)).await;
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => {}
            _ = tokio::time::timeout(LONGEST, followed) => {}
        }
    });
}

/// The job after its end; none where it vanished.
async fn ended(app: &App, record: &Record) -> Option<View> {
    loop {
        match app.ledger.view(record).await {
            Ok(view) if view.state.is_terminal() => return Some(view),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a job cannot be looked at"),
        }
        if matches!(app.ledger.record(&record.id).await, Ok(None)) {
            return None;
        }
        wait(app, record).await;
    }
}

/// Waits until something has happened to a job, or a few seconds.
async fn wait(app: &App, record: &Record) {
    let queue = app.ledger.queue();
    let last = queue.status(record.id).await.ok().flatten().map_or(0, |status| status.last_event);
    if queue.changed(record.id, last, NAP).await.is_err() {
        tokio::time::sleep(NAP).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
}
