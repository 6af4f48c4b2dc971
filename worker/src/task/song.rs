//! Songs on this machine: fetched once, though many of their spans come here.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::sync::Arc;

use audio::DecodeLimits;
use common::job::Record;
use common::keys::ObjectKey;
use common::ledger::Ledger;
use common::storage::StoreError;
use common::{SongHash, Tenant};
use futures_util::StreamExt;
use separation::{Reading, Song};
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
    upload: Arc<Upload>,
    /// Decoded, at the engine's rate; none while a task has it.
    decoded: Option<(u32, Song)>,
}

/// The bytes of a song in a file that has no name: it vanishes with this process, however that ends.
#[derive(Debug)]
pub(crate) struct Upload(File);

impl Upload {
    /// The file at its start. One reader at a time: all have one position.
    pub(crate) fn reader(&self) -> std::io::Result<File> {
        let mut file = self.0.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

/// Songs that are kept beside the one in work.
const KEPT: usize = 2;

impl Songs {
    /// The song as it was uploaded.
    pub(crate) async fn upload(
        &self,
        ledger: &Ledger,
        record: &Record,
        settings: &Settings,
        beat: &Beat,
    ) -> Result<Arc<Upload>, Failed> {
        {
            let mut kept = self.kept.lock().await;
            if let Some(at) = position(&kept, record) {
                // Used last: goes last.
                let song = kept.remove(at);
                let upload = Arc::clone(&song.upload);
                kept.push(song);
                return Ok(upload);
            }
        }
        let upload = Arc::new(fetch(ledger, record, settings, beat).await?);
        let mut kept = self.kept.lock().await;
        if position(&kept, record).is_none() {
            if kept.len() == KEPT {
                kept.remove(0);
            }
            let (tenant, song) = (record.tenant.clone(), record.song);
            kept.push(Kept { tenant, song, upload: Arc::clone(&upload), decoded: None });
        }
        Ok(upload)
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
        let upload = self.upload(ledger, record, settings, beat).await?;
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
        blocking(move || decode(&upload, &settings, &beat, rate)).await
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

async fn fetch(ledger: &Ledger, record: &Record, settings: &Settings, beat: &Beat) -> Result<Upload, Failed> {
    let key = ObjectKey::song(&record.tenant, &record.song);
    let object = match ledger.store().get(&key, None).await {
        Ok(object) => object,
        Err(StoreError::NotFound(_)) => return Err(Failed::Permanent("the song is gone".to_owned())),
        Err(error) => return Err(error.into()),
    };
    let file = match &settings.temp_dir {
        Some(dir) => tempfile::tempfile_in(dir)?,
        None => tempfile::tempfile()?,
    };
    let mut out = tokio::fs::File::from_std(file.try_clone()?);
    let mut body = object.body;
    while let Some(piece) = body.next().await {
        out.write_all(&piece?).await?;
        beat.tick();
        if let Some(ended) = beat.ended() {
            return Err(Failed::Ended(ended));
        }
    }
    out.flush().await?;
    Ok(Upload(file))
}

/// Decodes hostile bytes: limits of the decoder, and a panic in it is a fault of the song.
fn decode(upload: &Upload, settings: &Settings, beat: &Beat, rate: u32) -> Result<Song, Failed> {
    let limits = DecodeLimits { max_seconds: settings.max_song_s, ..DecodeLimits::default() };
    let reading = Reading { limits, track: None, temp_dir: settings.temp_dir.as_deref(), rate };
    let song = Song::read_watched(Box::new(upload.reader()?), &reading, beat.stop(), &mut |_| beat.tick());
    song.map_err(|error| beat.ended().map_or_else(|| error.into(), Failed::Ended))
}
