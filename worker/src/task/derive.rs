//! Makes results from sources that an earlier job of the song left.

use std::sync::Arc;

use audio::MediaSource;
use common::StemName;
use common::job::Record;
use common::ledger::{Kept, Ledger};
use common::queue::Outcome;
use separation::{Decoded, Sources};

use super::files::{Place, fetch};
use super::plan::{order, prepare};
use super::results::{Origin, publish};
use super::{Failed, Tools, blocking, plan};
use crate::lease::Lease;

/// Bytes of a frame of a kept source: two channels of 24 bits in its file, of 32-bit floats decoded.
const SOURCE_FRAME_BYTES: u64 = 6 + 8;

/// Whether a job was accepted when its song had succeeded already, but the sources were still being stored: it need not
/// separate the song again.
pub(crate) async fn was_early(tools: &Tools, record: &Record) -> Result<bool, Failed> {
    let Some(kept) = tools.ledger.kept(record).await? else { return Ok(false) };
    let Some(separated) = tools.ledger.record(&kept.job).await? else { return Ok(false) };
    let manifest = tools.ledger.manifest(&separated).await?;
    Ok(manifest.is_some_and(|manifest| manifest.completed_ms <= record.created_ms))
}

pub(crate) async fn perform(tools: &Arc<Tools>, lease: &Lease, record: &Record) -> Result<Outcome, Failed> {
    let Some(kept) = tools.ledger.kept(record).await? else {
        return plan::perform(tools, lease, record).await;
    };
    let song = Decoded { rate: kept.song_rate_hz, frames: kept.song_frames as usize, damaged: 0 };
    let names: Vec<String> = kept.sources.iter().map(StemName::to_string).collect();
    let mut order = order(record, &names, song.rate, false)?;
    let bytes = order.scratch_bytes((song.frames, song.rate), song.rate) + bytes_of_sources(&kept);
    let room = lease.beat().meanwhile(tools.disk.room(bytes)).await?;
    let Some(files) = sources(tools, lease, record, &kept).await? else {
        // Their time was over: the song is separated again, for this job alone.
        drop(room);
        return plan::perform(tools, lease, record).await;
    };
    let (beat, temp_dir) = (lease.beat().clone(), tools.settings.temp_dir.clone());
    let read = blocking(move || {
        let read = Sources::read(files, song, temp_dir.as_deref(), beat.stop(), &mut |_| beat.tick());
        read.map_err(|error| beat.ended().map_or_else(|| error.into(), Failed::Ended))
    });
    let mut sources = match read.await {
        Ok(sources) => sources,
        Err(Failed::Permanent(why)) => {
            // The song is not to blame.
            tracing::warn!(job.id = %record.id, why, "the kept sources cannot be read");
            tools.ledger.discard_kept(record).await?;
            drop(room);
            return plan::perform(tools, lease, record).await;
        }
        Err(error) => return Err(error),
    };
    prepare(tools, lease, record, &mut order).await?;
    let beat = lease.beat().clone();
    let sealed = blocking(move || {
        let _span = tracing::info_span!("mix").entered();
        let total = sources.frames();
        let sealed =
            separation::derive(&mut sources, &order, beat.stop(), &mut |done| beat.units(done, total));
        sealed.map_err(|error| beat.ended().map_or_else(|| error.into(), Failed::Ended))
    })
    .await?;
    let engine = format!("{}-of-{}", tools.engines.fingerprint(), kept.job);
    let origin = Origin { sources: kept.sources, song: (kept.song_frames, kept.song_rate_hz), engine };
    publish(tools, lease, record, origin, sealed).await
}

/// Bytes that kept sources take in the temporary folder: their files, and what is decoded of them.
fn bytes_of_sources(kept: &Kept) -> u64 {
    // They have the rate of the network: hardly a song has a lower one.
    kept.sources.len() as u64 * kept.song_frames * SOURCE_FRAME_BYTES
}

/// The files of all kept sources; none where one is gone by now.
async fn sources(
    tools: &Arc<Tools>,
    lease: &Lease,
    record: &Record,
    kept: &Kept,
) -> Result<Option<Vec<Box<dyn MediaSource>>>, Failed> {
    let mut files: Vec<Box<dyn MediaSource>> = Vec::new();
    for source in &kept.sources {
        let key = Ledger::source_key(record, &kept.job, source);
        match fetch(&tools.ledger, &key, &tools.settings, lease.beat()).await? {
            Some(file) => files.push(Box::new(Place::new(Arc::new(file))?)),
            None => return Ok(None),
        }
    }
    Ok(Some(files))
}
