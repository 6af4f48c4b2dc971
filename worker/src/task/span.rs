//! Separates one span of a divided song.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use common::failpoint;
use common::job::Record;
use common::keys::ObjectKey;
use common::queue::Outcome;
use common::storage::Write;
use demucs::Mixture;
use futures_util::StreamExt;

use super::plan::{LAYOUT, Layout, engine, order};
use super::{Failed, Tools, blocking};
use crate::lease::Lease;

pub(crate) async fn perform(tools: &Arc<Tools>, lease: &Lease, record: &Record) -> Result<Outcome, Failed> {
    let claim = lease.claim();
    let layout = read(&claim.part)?;
    let loaded = engine(tools, lease, &record.options.model).await?;
    let rate = loaded.engine().rate();
    let song = tools.songs.decoded(&tools.ledger, record, &tools.settings, lease.beat(), rate).await?;
    let request = order(record, loaded.engine().sources(), song.rate())?.request();
    let spans = loaded.engine().spans(song.frames(), &request, layout.segments)?;
    let span = *spans
        .get(claim.task.index as usize)
        .ok_or_else(|| Failed::Permanent("the plan names a span that the song does not have".to_owned()))?;
    let beat = lease.beat().clone();
    let (song, sums) = blocking(move || {
        let start = Instant::now();
        let mut watch = |progress: demucs::Progress| {
            beat.units(progress.segments_done, progress.segments_total);
            failpoint::reach("span.midway");
        };
        let done =
            separation::span(loaded.engine(), song, request, layout.loudness, span, beat.stop(), &mut watch);
        let (song, sums) = done.map_err(|error| beat.ended().map_or_else(|| error.into(), Failed::Ended))?;
        loaded.measured(span.count, start.elapsed());
        let mut bytes = Vec::new();
        sums.write_to(&mut bytes)?;
        Ok((song, Bytes::from(bytes)))
    })
    .await?;
    tools.songs.put_back(record, rate, song).await;
    // A worker that stood still for long would write for a job that has ended since.
    if let Some(ended) = lease.check().await? {
        return Err(Failed::Ended(ended));
    }
    let key = ObjectKey::span(&record.id, claim.task.plan, claim.task.index);
    let beat = lease.beat().clone();
    // In pieces, so that each one that goes out renews the lease.
    let pieces: Vec<_> = (0..sums.len())
        .step_by(PIECE_BYTES)
        .map(|at| sums.slice(at..sums.len().min(at + PIECE_BYTES)))
        .collect();
    let body = futures_util::stream::iter(pieces.into_iter().map(Ok)).inspect(move |_| beat.tick()).boxed();
    // One that is there was computed by an engine of the same fingerprint: the same bytes.
    tools.ledger.store().put_stream(&key, body, Write::Once).await?;
    failpoint::reach("span.stored");
    Ok(Outcome::Done)
}

/// Bytes that are sent at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Reads what the plan wrote.
pub(crate) fn read(part: &str) -> Result<Layout, Failed> {
    let layout: Layout = serde_json::from_str(part).map_err(|error| Failed::Permanent(error.to_string()))?;
    if layout.v == LAYOUT {
        Ok(layout)
    } else {
        Err(Failed::Transient(format!("the plan has version {}, this worker knows {LAYOUT}", layout.v)))
    }
}
