//! From finished files to visible results.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use common::failpoint;
use common::job::{Commit, Ending, Make, Record, ResultFile};
use common::keys::ObjectKey;
use common::ledger::{Kept, Ledger};
use common::queue::{Outcome, State};
use common::storage::{Write, Written};
use common::{SongHash, StemName};
use futures_util::StreamExt;
use separation::Sealed;
use sha2::{Digest, Sha256};

use super::files::{PIECE_BYTES, pieces};
use super::{Failed, Tools, blocking, note};
use crate::lease::{Ended, Lease, ended_by};

/// Where results come from.
#[derive(Debug)]
pub(crate) struct Origin {
    /// What the network separates, in its order.
    pub(crate) sources: Vec<StemName>,
    /// Samples per channel of the song, and its rate in Hz.
    pub(crate) song: (u64, u32),
    /// What the bytes depend on beside the job and its plan: the engine, or whose sources they are derived from.
    pub(crate) engine: String,
}

/// Stores each result, makes it visible, and ends the job with all of them. What is left of `sealed` are the
/// sources: they are kept for a while.
pub(crate) async fn publish(
    tools: &Arc<Tools>,
    lease: &Lease,
    record: &Record,
    origin: Origin,
    sealed: Vec<Sealed>,
) -> Result<Outcome, Failed> {
    let mut results = Vec::new();
    let mut sealed = sealed.into_iter();
    for stem in record.options.results(&origin.sources) {
        let sealed = sealed.next().ok_or_else(|| Failed::Transient("a result is missing".to_owned()))?;
        results.push(store(tools, lease, record, &origin.engine, stem, sealed).await?);
    }
    // The last look before the job ends: a canceled or stolen task must not write its end.
    if let Some(ended) = lease.check().await? {
        return Err(Failed::Ended(ended));
    }
    // Before the end, so that whoever hears of it finds the figures.
    note(tools, lease, record, results.iter().map(|result| result.size_bytes).sum()).await;
    let manifest = tools.ledger.finish(record, Ending::Succeeded { results }).await?;
    match manifest.ending.state() {
        State::Succeeded => {
            // The job has succeeded, whatever becomes of this.
            if let Err(error) = keep(tools, lease, record, origin, sealed.collect()).await {
                tracing::warn!(job.id = %record.id, ?error, "the sources are not kept");
            }
            Ok(Outcome::Done)
        }
        // A cancellation was faster; the ledger has removed what was written here.
        _ => Err(Failed::Ended(Ended::Canceled)),
    }
}

/// Stores the sources and lets others know of them.
#[tracing::instrument(skip_all)]
async fn keep(
    tools: &Arc<Tools>,
    lease: &Lease,
    record: &Record,
    origin: Origin,
    sealed: Vec<Sealed>,
) -> Result<(), Failed> {
    if sealed.is_empty() {
        return Ok(());
    }
    let until_s = tools.ledger.begin_keeping(record).await?;
    for (source, sealed) in origin.sources.iter().zip(sealed) {
        if let Some(ended) = lease.check().await? {
            return Err(Failed::Ended(ended));
        }
        let file = blocking(move || Ok(sealed.into_file()?)).await?;
        let beat = lease.beat().clone();
        let body = pieces(file).inspect(move |_| beat.tick()).boxed();
        let key = Ledger::source_key(record, &record.id, source);
        tools.ledger.store().put_stream(&key, body, Write::Replace).await?;
    }
    let (song_frames, song_rate_hz) = origin.song;
    let (v, job, sources) = (Kept::VERSION, record.id, origin.sources);
    Ok(tools.ledger.keep(record, &Kept { v, job, sources, song_rate_hz, song_frames, until_s }).await?)
}

#[tracing::instrument(skip_all, fields(stem = %stem))]
async fn store(
    tools: &Arc<Tools>,
    lease: &Lease,
    record: &Record,
    engine: &str,
    stem: StemName,
    sealed: Sealed,
) -> Result<ResultFile, Failed> {
    let (frames, rate_hz, gain) = (sealed.frames() as u64, sealed.rate(), sealed.gain());
    let peaks = sealed.waveform().parts().iter().map(|part| part.map(whole)).collect();
    let (file, size_bytes, sha256) = blocking(move || {
        let mut file = sealed.into_file()?;
        let (size_bytes, sha256) = digest(&mut file)?;
        Ok((file, size_bytes, sha256))
    })
    .await?;
    let make = Make { plan: lease.claim().task.plan, engine: engine.to_owned() };
    let extension = record.options.format.extension();
    let key = ObjectKey::result(&record.work(), &make, &stem, extension);
    let beat = lease.beat().clone();
    let body = pieces(file).inspect(move |_| beat.tick()).boxed();
    if tools.ledger.store().put_stream(&key, body, Write::Once).await? == Written::Exists {
        // An earlier attempt stored it; that these are the same bytes is not assumed.
        let theirs = digest_of(tools, &key).await?;
        if theirs != sha256 {
            return Err(Failed::Transient(format!("{key} is there with other bytes")));
        }
    }
    failpoint::reach("result.stored");
    let result = ResultFile { stem: stem.clone(), make, frames, rate_hz, size_bytes, sha256, gain };
    let result = tools.ledger.commit(record, Commit { result, peaks }).await?;
    let fence = tools.ledger.queue().stem_ready(lease.claim().task, lease.token(), &stem).await?;
    if let Some(ended) = ended_by(fence) {
        lease.beat().end(ended);
        return Err(Failed::Ended(ended));
    }
    Ok(result)
}

/// A sample in steps of 16 bits; what is above full scale is drawn at it.
fn whole(sample: f32) -> i16 {
    (sample * 32_768.0).round() as i16
}

/// Length and SHA-256 of a file, which is at its start again afterwards.
fn digest(file: &mut File) -> std::io::Result<(u64, String)> {
    let (mut digest, mut size_bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE_BYTES]);
    file.seek(SeekFrom::Start(0))?;
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            file.seek(SeekFrom::Start(0))?;
            return Ok((size_bytes, hex(digest)));
        }
        digest.update(&piece[..n]);
        size_bytes += n as u64;
    }
}

async fn digest_of(tools: &Arc<Tools>, key: &ObjectKey) -> Result<String, Failed> {
    let mut body = tools.ledger.store().get(key, None).await?.body;
    let mut digest = Sha256::new();
    while let Some(piece) = body.next().await {
        digest.update(&piece?);
    }
    Ok(hex(digest))
}

fn hex(digest: Sha256) -> String {
    SongHash::new(digest.finalize().into()).to_string()
}
