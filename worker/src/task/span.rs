//! Separates one span of a divided song.

use std::io::{BufWriter, IntoInnerError};
use std::sync::Arc;
use std::time::Instant;

use common::failpoint;
use common::job::Record;
use common::keys::ObjectKey;
use common::queue::Outcome;
use common::storage::Write;
use demucs::Mixture;
use futures_util::StreamExt;

use super::files::{Place, pieces, temporary};
use super::plan::{LAYOUT, Layout, engine, order};
use super::{Failed, Tools, blocking, note};
use crate::lease::Lease;

pub(crate) async fn perform(tools: &Arc<Tools>, lease: &Lease, record: &Record) -> Result<Outcome, Failed> {
    let claim = lease.claim();
    let layout = read(&claim.part)?;
    let loaded = engine(tools, lease, &record.options.model).await?;
    let rate = loaded.engine().rate();
    let (song, room) = tools.songs.decoded(tools, lease, record, rate).await?;
    let request = order(record, loaded.engine().sources(), song.rate(), layout.keep)?.request();
    let spans = loaded.engine().spans(song.frames(), &request, layout.segments)?;
    let span = *spans
        .get(claim.task.index as usize)
        .ok_or_else(|| Failed::Permanent("the plan names a span that the song does not have".to_owned()))?;
    let audio_s = song.frames() as f64 / f64::from(rate);
    let total: usize = spans.iter().map(|span| span.count).sum();
    let beat = lease.beat().clone();
    let temp_dir = tools.settings.temp_dir.clone();
    let (song, file) = blocking(move || {
        let _span = tracing::info_span!("separate").entered();
        let start = Instant::now();
        let mut watch = |progress: demucs::Progress| {
            beat.units(progress.segments_done, progress.segments_total);
            failpoint::reach("span.midway");
        };
        let done =
            separation::span(loaded.engine(), song, &request, layout.loudness, span, beat.stop(), &mut watch);
        let (song, sums) = done.map_err(|error| beat.ended().map_or_else(|| error.into(), Failed::Ended))?;
        loaded.separated(audio_s * span.count as f64 / total as f64, start.elapsed());
        let mut file = BufWriter::new(temporary(temp_dir.as_deref())?);
        sums.write_to(&mut file)?;
        let file = file.into_inner().map_err(IntoInnerError::into_error)?;
        Ok((song, Arc::new(file)))
    })
    .await?;
    tools.songs.put_back(record, rate, (song, room)).await;
    // A worker that stood still for long would write for a job that has ended since.
    if let Some(ended) = lease.check().await? {
        return Err(Failed::Ended(ended));
    }
    let size_bytes = file.metadata()?.len();
    let room = tools.disk.kept(size_bytes);
    let key = ObjectKey::span(&record.id, claim.task.plan, claim.task.index);
    let beat = lease.beat().clone();
    // Each piece that goes out renews the lease.
    let body = pieces(Place::new(Arc::clone(&file))?).inspect(move |_| beat.tick()).boxed();
    // One that is there was computed by an engine of the same fingerprint: the same bytes.
    tools.ledger.store().put_stream(&key, body, Write::Once).await?;
    failpoint::reach("span.stored");
    tools.sums.keep(key, file, room);
    note(tools, lease, record, size_bytes).await;
    Ok(Outcome::Done)
}

/// Reads what the plan wrote.
pub(crate) fn read(part: &str) -> Result<Layout, Failed> {
    let layout: Layout = serde_json::from_str(part).map_err(|error| Failed::Permanent(error.to_string()))?;
    if layout.v == LAYOUT {
        Ok(layout)
    } else {
        Err(Failed::Transient(format!("the plan has version {}, this worker knows {LAYOUT}", layout.v)))
    }
}
