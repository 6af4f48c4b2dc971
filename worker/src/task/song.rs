//! Songs on this machine: fetched once, though many of their spans come here.

use std::path::Path;
use std::sync::Arc;

use audio::DecodeLimits;
use common::job::Record;
use common::keys::ObjectKey;
use common::ledger::Ledger;
use common::storage::StoreError;
use common::{SongHash, Tenant};
use futures_util::StreamExt;
use separation::{Reading, Song};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use super::{Failed, blocking};
use crate::lease::Beat;
use crate::settings::Settings;

/// The songs that were used last.
#[derive(Debug, Default)]
pub(crate) struct Songs {
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    tenant: Tenant,
    song: SongHash,
    file: Arc<NamedTempFile>,
    /// Decoded, at the engine's rate; none while a task has it.
    decoded: Option<(u32, Song)>,
}

/// Songs that are kept beside the one in work.
const KEPT: usize = 2;

impl Songs {
    /// The song as it was uploaded.
    pub(crate) async fn file(
        &self,
        ledger: &Ledger,
        record: &Record,
        settings: &Settings,
        beat: &Beat,
    ) -> Result<Arc<NamedTempFile>, Failed> {
        {
            let mut kept = self.kept.lock().await;
            if let Some(at) = position(&kept, record) {
                // Used last: goes last.
                let song = kept.remove(at);
                let file = Arc::clone(&song.file);
                kept.push(song);
                return Ok(file);
            }
        }
        let file = Arc::new(fetch(ledger, record, settings, beat).await?);
        let mut kept = self.kept.lock().await;
        if position(&kept, record).is_none() {
            if kept.len() == KEPT {
                kept.remove(0);
            }
            let (tenant, song) = (record.tenant.clone(), record.song);
            kept.push(Kept { tenant, song, file: Arc::clone(&file), decoded: None });
        }
        Ok(file)
    }

    /// The song decoded at `rate` Hz; goes back with [`Songs::put_back`].
    pub(crate) async fn decoded(
        &self,
        ledger: &Ledger,
        record: &Record,
        settings: &Settings,
        beat: &Beat,
        rate: u32,
    ) -> Result<Song, Failed> {
        let file = self.file(ledger, record, settings, beat).await?;
        {
            let mut kept = self.kept.lock().await;
            if let Some(at) = position(&kept, record)
                && kept[at].decoded.as_ref().is_some_and(|(kept_rate, _)| *kept_rate == rate)
                && let Some((_, song)) = kept[at].decoded.take()
            {
                return Ok(song);
            }
        }
        let (beat, settings) = (beat.clone(), settings.clone());
        blocking(move || decode(file.path(), &settings, &beat, rate)).await
    }

    /// Keeps a decoded song for the next span.
    pub(crate) async fn put_back(&self, record: &Record, rate: u32, song: Song) {
        let mut kept = self.kept.lock().await;
        if let Some(at) = position(&kept, record) {
            kept[at].decoded = Some((rate, song));
        }
    }
}

fn position(kept: &[Kept], record: &Record) -> Option<usize> {
    kept.iter().position(|kept| kept.song == record.song && kept.tenant == record.tenant)
}

async fn fetch(
    ledger: &Ledger,
    record: &Record,
    settings: &Settings,
    beat: &Beat,
) -> Result<NamedTempFile, Failed> {
    let key = ObjectKey::song(&record.tenant, &record.song);
    let object = match ledger.store().get(&key, None).await {
        Ok(object) => object,
        Err(StoreError::NotFound(_)) => return Err(Failed::Permanent("the song is gone".to_owned())),
        Err(error) => return Err(error.into()),
    };
    let file = match &settings.temp_dir {
        Some(dir) => NamedTempFile::new_in(dir)?,
        None => NamedTempFile::new()?,
    };
    let mut out = tokio::fs::File::from_std(file.reopen()?);
    let mut body = object.body;
    while let Some(piece) = body.next().await {
        out.write_all(&piece?).await?;
        beat.tick();
        if let Some(ended) = beat.ended() {
            return Err(Failed::Ended(ended));
        }
    }
    out.flush().await?;
    Ok(file)
}

/// Decodes hostile bytes: limits of the decoder, and a panic in it is a fault of the song.
fn decode(path: &Path, settings: &Settings, beat: &Beat, rate: u32) -> Result<Song, Failed> {
    let limits = DecodeLimits { max_seconds: settings.max_song_s, ..DecodeLimits::default() };
    let reading = Reading { limits, track: None, temp_dir: settings.temp_dir.as_deref(), rate };
    let song = Song::open_watched(path, &reading, beat.stop(), &mut |_| beat.tick());
    song.map_err(|error| beat.ended().map_or_else(|| error.into(), Failed::Ended))
}
