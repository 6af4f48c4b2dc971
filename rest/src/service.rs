//! What every interface does with jobs: thin translations sit on top of this.

use std::time::Duration;

use common::job::{Callback, Music, Options, Record, Title, View};
use common::ledger::{Accepted, Ledger, NewMusic, NewWork, Refused};
use common::queue::Room;
use common::{JobId, ObjectKey, SongHash, Tenant};

use crate::auth::Caller;
use crate::callback;
use crate::error::{Code, Problem};
use crate::request::RequestId;
use crate::state::App;
use crate::upload::{Facts, Received};

/// What is to be done with a song.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) tenant: Tenant,
    /// In their one form.
    pub(crate) options: Options,
    pub(crate) callback: Option<Callback>,
    pub(crate) request_id: RequestId,
}

impl Wish {
    fn work(&self, facts: &Facts) -> NewWork {
        NewWork {
            tenant: self.tenant.clone(),
            song: facts.song,
            options: self.options.clone(),
            title: facts.title.clone(),
            size_bytes: facts.size_bytes,
            cost_ms: facts.cost_ms,
            callback: self.callback.clone(),
            request_id: self.request_id.to_string(),
        }
    }
}

/// Times that a song is put in place again when resets take it away.
const TRIES: usize = 3;

/// Makes a job of an upload, or finds the one that does the same work.
pub(crate) async fn accept_upload(app: &App, received: Received, wish: &Wish) -> Result<Accepted, Problem> {
    let Received { facts, bytes } = received;
    let (work, store) = (wish.work(&facts), app.ledger.store());
    let song = ObjectKey::song(&wish.tenant, &facts.song);
    let mut refused = Refused::SongGone;
    for _ in 0..TRIES {
        bytes.put(store, &song).await?;
        refused = match app.ledger.accept(&work, app.config.limits.room()).await? {
            Ok(accepted) => {
                bytes.remove().await.ok();
                told(app, &accepted, wish).await?;
                return Ok(accepted);
            }
            Err(refused) => refused,
        };
        if refused != Refused::SongGone {
            if app.ledger.drop_song(&wish.tenant, &facts.song).await? {
                bytes.put(store, &song).await?;
            }
            break;
        }
    }
    Err(app.admission.refused(app, refused).await)
}

/// Keeps an upload for later.
pub(crate) async fn keep_upload(app: &App, received: Received, tenant: &Tenant) -> Result<Music, Problem> {
    let Received { facts, bytes } = received;
    let Facts { song, size_bytes, title, cost_ms } = facts;
    let new = NewMusic { tenant: tenant.clone(), song, title, size_bytes, cost_ms };
    for _ in 0..TRIES {
        bytes.put(app.ledger.store(), &ObjectKey::song(tenant, &song)).await?;
        if let Some(music) = app.ledger.keep_music(&new).await? {
            bytes.remove().await.ok();
            tracing::info!(song = %music.song, size_bytes, "kept a song for later");
            return Ok(music);
        }
    }
    Err(app.admission.refused(app, Refused::SongGone).await)
}

/// Makes a job of a song that is in the store, or finds the one that does the same work.
pub(crate) async fn accept_song(app: &App, facts: &Facts, wish: &Wish) -> Result<Accepted, Problem> {
    let song = ObjectKey::song(&wish.tenant, &facts.song);
    if app.ledger.store().head(&song).await?.is_none() {
        return Err(
            Problem::new(Code::NotFound, "there is no such song any more; send it again").param("song")
        );
    }
    match app.ledger.accept(&wish.work(facts), app.config.limits.room()).await? {
        Ok(accepted) => {
            told(app, &accepted, wish).await?;
            Ok(accepted)
        }
        Err(refused) => Err(app.admission.refused(app, refused).await),
    }
}

/// What is known of a song from a job that needs it.
pub(crate) async fn facts_of(app: &App, tenant: &Tenant, song: &SongHash) -> Result<Facts, Problem> {
    let records = app.ledger.jobs_with_song(tenant, song).await?;
    let record = records.first().ok_or_else(|| Problem::not_found().param("song"))?;
    Ok(facts(record))
}

/// What is known of a song that is kept for later.
pub(crate) fn facts_of_music(music: &Music) -> Facts {
    let Music { song, size_bytes, cost_ms, .. } = *music;
    Facts { song, size_bytes, title: music.title.clone(), cost_ms }
}

/// What a record says of its song.
pub(crate) fn facts(record: &Record) -> Facts {
    let Title { title, artist } = record.title.clone();
    Facts {
        song: record.song,
        size_bytes: record.size_bytes,
        title: Title { title, artist },
        cost_ms: record.cost_ms,
    }
}

/// Counts a request that has its job, and follows the job for a caller that nobody else tells.
async fn told(app: &App, accepted: &Accepted, wish: &Wish) -> Result<(), Problem> {
    let Accepted { record, deduplicated } = accepted;
    metrics::counter!("msaas_jobs_accepted_total", "deduplicated" => deduplicated.to_string()).increment(1);
    tracing::info!(
        job.id = %record.id,
        request.id = %wish.request_id,
        model = %record.options.model,
        size_bytes = record.size_bytes,
        deduplicated,
        "accepted a job"
    );
    // The record names the first caller only, and what it is owed tells whoever asks for the same meanwhile.
    if *deduplicated
        && let Some(callback) = &wish.callback
        && !(record.callback.as_ref() == Some(callback) && app.ledger.owes(record).await?)
    {
        callback::follow(app, record.clone(), callback.clone());
    }
    Ok(())
}

/// The same work as that of a job that failed, as a new job with all the room there is.
pub(crate) async fn redrive(app: &App, record: &Record, request_id: &RequestId) -> Result<Accepted, Problem> {
    let wish = Wish {
        tenant: record.tenant.clone(),
        options: record.options.clone(),
        callback: record.callback.clone(),
        request_id: request_id.clone(),
    };
    let everyone = Room { jobs: u64::MAX, jobs_of_tenant: u64::MAX };
    match app.ledger.accept(&wish.work(&facts(record)), everyone).await? {
        Ok(accepted) => Ok(accepted),
        Err(refused) => Err(app.admission.refused(app, refused).await),
    }
}

/// A job that the caller may see.
///
/// # Errors
/// [`Code::NotFound`] where there is none or it is another tenant's, [`Code::Gone`] where its time is over.
pub(crate) async fn find(app: &App, caller: &Caller, id: &str) -> Result<Record, Problem> {
    let id: JobId = id.parse().map_err(|_| Problem::not_found())?;
    match app.ledger.record(&id).await? {
        Some(record) if record.tenant != caller.tenant => Err(Problem::not_found()),
        Some(record) if Ledger::is_over(&record) => Err(Problem::plain(Code::Gone)),
        Some(record) => Ok(record),
        None if app.ledger.would_be_over(&id) => Err(Problem::plain(Code::Gone)),
        None => Err(Problem::not_found()),
    }
}

/// Looks at a job until it has ended or the time is over.
pub(crate) async fn wait(app: &App, record: &Record, time: Duration) -> Result<View, Problem> {
    let until = tokio::time::Instant::now() + time;
    loop {
        let last = app.ledger.queue().status(record.id).await?.map_or(0, |status| status.last_event);
        let view = app.ledger.view(record).await?;
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        if view.state.is_terminal() || left.is_zero() || app.closing.is_cancelled() {
            return Ok(view);
        }
        // Not for long at once: an ending may come without an event, after a loss of the queue.
        let nap = left.min(Duration::from_secs(2));
        let changed = tokio::select! {
            changed = app.ledger.queue().changed(record.id, last, nap) => changed.unwrap_or(false),
            () = app.closing.cancelled() => false,
        };
        if !changed {
            tokio::time::sleep(left.min(Duration::from_millis(50))).await;
        }
    }
}
