//! Songs on this machine: fetched once, though many of their spans come here.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use audio::DecodeLimits;
use common::job::Record;
use common::keys::ObjectKey;
use common::{SongHash, Tenant};
use demucs::Mixture as _;
use separation::{Reading, Song};
use tokio::sync::Mutex;

use super::files::{Place, fetch};
use super::{Failed, Room, Tools, blocking};
use crate::decoder;
use crate::lease::{Beat, Lease};
use crate::settings::Settings;

/// The songs that were used last.
#[derive(Debug)]
pub(crate) struct Songs {
    kept: Mutex<Vec<Kept>>,
    /// How many.
    most: AtomicUsize,
}

impl Default for Songs {
    fn default() -> Self {
        Self { kept: Mutex::default(), most: AtomicUsize::new(2) }
    }
}

#[derive(Debug)]
struct Kept {
    tenant: Tenant,
    song: SongHash,
    file: Arc<File>,
    _room: Room,
    /// Decoded, at the engine's rate; none while a task has it.
    decoded: Option<(u32, (Song, Room))>,
}

/// Bytes of a frame of a decoded song: two channels of 32-bit floats.
const FRAME_BYTES: u64 = 8;

impl Songs {
    /// Keeps those of so many tasks, and the one before.
    pub(crate) fn keep_for(&self, tasks: usize) {
        self.most.store(tasks + 1, Ordering::Relaxed);
    }

    /// The song as it was uploaded.
    pub(crate) async fn file(
        &self,
        tools: &Tools,
        lease: &Lease,
        record: &Record,
    ) -> Result<Arc<File>, Failed> {
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
        let key = ObjectKey::song(&record.tenant, &record.song);
        let file = fetch(&tools.ledger, &key, &tools.settings, lease.beat()).await?;
        // Of a job that is wanted it may be on its way back: see `Ledger::release_song`.
        let file = Arc::new(file.ok_or_else(|| Failed::Transient("the song is gone".to_owned()))?);
        let mut kept = self.kept.lock().await;
        if position(&kept, record).is_none() {
            if kept.len() >= self.most.load(Ordering::Relaxed) {
                kept.remove(0);
            }
            let (tenant, song) = (record.tenant.clone(), record.song);
            let room = tools.disk.kept(file.metadata()?.len());
            kept.push(Kept { tenant, song, file: Arc::clone(&file), _room: room, decoded: None });
        }
        Ok(file)
    }

    /// The song decoded at `rate` Hz, and the room that it takes; both go back with [`Songs::put_back`].
    pub(crate) async fn decoded(
        &self,
        tools: &Tools,
        lease: &Lease,
        record: &Record,
        rate: u32,
    ) -> Result<(Song, Room), Failed> {
        let file = self.file(tools, lease, record).await?;
        {
            let mut kept = self.kept.lock().await;
            if let Some(at) = position(&kept, record)
                && let Some((_, song)) = kept[at].decoded.take_if(|(kept_rate, _)| *kept_rate == rate)
            {
                return Ok(song);
            }
        }
        let (beat, settings) = (lease.beat().clone(), tools.settings.clone());
        let song = blocking(move || decode(&file, &settings, &beat, rate)).await?;
        let room = tools.disk.kept(song.frames() as u64 * FRAME_BYTES);
        Ok((song, room))
    }

    /// Keeps a decoded song for the next span.
    pub(crate) async fn put_back(&self, record: &Record, rate: u32, song: (Song, Room)) {
        let mut kept = self.kept.lock().await;
        if let Some(at) = position(&kept, record) {
            kept[at].decoded = Some((rate, song));
        }
    }
}

fn position(kept: &[Kept], record: &Record) -> Option<usize> {
    kept.iter().position(|kept| kept.song == record.song && kept.tenant == record.tenant)
}

/// Decodes hostile bytes: in a process of its own where there is a program for it.
#[tracing::instrument(skip_all)]
fn decode(file: &Arc<File>, settings: &Settings, beat: &Beat, rate: u32) -> Result<Song, Failed> {
    if let Some(program) = &settings.decoder {
        return decoder::decode(program, file, settings, beat, rate);
    }
    let limits = DecodeLimits { max_seconds: settings.max_song_s, ..DecodeLimits::default() };
    let reading = Reading { limits, track: None, temp_dir: settings.temp_dir.as_deref(), rate };
    let source = Box::new(Place::new(Arc::clone(file))?);
    let song = Song::read_watched(source, &reading, beat.stop(), &mut |_| beat.tick());
    song.map_err(|error| beat.ended().map_or_else(|| error.into(), Failed::Ended))
}
