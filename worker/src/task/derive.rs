//! Makes results from sources that an earlier job of the song left.

use std::sync::Arc;

use audio::MediaSource;
use common::StemName;
use common::job::Record;
use common::ledger::{Kept, Ledger};
use common::queue::Outcome;
use separation::{Decoded, Sources};

use super::files::{Place, fetch};
use super::plan::{add_tags, order, pulse};
use super::results::publish;
use super::{Failed, Tools, blocking, plan};
use crate::lease::Lease;

pub(crate) async fn perform(tools: &Arc<Tools>, lease: &Lease, record: &Record) -> Result<Outcome, Failed> {
    let kept = tools.ledger.kept(record).await?;
    let files = match &kept {
        Some(kept) => sources(tools, lease, record, kept).await?,
        None => None,
    };
    let (Some(kept), Some(files)) = (kept, files) else {
        // Their time was over: the song is separated again, for this job alone.
        return plan::perform(tools, lease, record).await;
    };
    let song = Decoded { rate: kept.song_rate_hz, frames: kept.song_frames as usize, damaged: 0 };
    let names: Vec<String> = kept.sources.iter().map(StemName::to_string).collect();
    let mut order = order(record, &names, song.rate, false)?;
    add_tags(tools, lease, record, &mut order).await?;
    order.temp_dir.clone_from(&tools.settings.temp_dir);
    order.pulse = pulse(lease.beat());
    let beat = lease.beat().clone();
    let sealed = blocking(move || {
        let work = || {
            let temp_dir = order.temp_dir.as_deref();
            let mut sources = Sources::read(files, song, temp_dir, beat.stop(), &mut |_| beat.tick())?;
            let total = sources.frames();
            separation::derive(&mut sources, &order, beat.stop(), &mut |done| beat.units(done, total))
        };
        work().map_err(|error| beat.ended().map_or_else(|| error.into(), Failed::Ended))
    })
    .await?;
    publish(tools, lease, record, &kept.sources, (kept.song_frames, kept.song_rate_hz), sealed).await
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
