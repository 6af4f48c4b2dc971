//! Songs that are kept for later: what the editor was sent and nobody has asked for yet, or not for the last time.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;

use super::sweep::{age, passed_by};
use super::{Ledger, Result, now_ms};
use crate::ids::{JobId, SongHash, Tenant};
use crate::job::{Music, Record, Title};
use crate::keys::{Bucket, MUSIC, ObjectKey};
use crate::storage::Write;

/// A song whose bytes are in the store already.
#[derive(Debug, Clone)]
pub struct NewMusic {
    /// Whose it is.
    pub tenant: Tenant,
    /// The song.
    pub song: SongHash,
    /// Of the song's tags.
    pub title: Title,
    /// Length of the upload in bytes.
    pub size_bytes: u64,
    /// Length of the song in milliseconds as its bytes suggest.
    pub cost_ms: u64,
}

/// What goes this soon is not held on to: a sweep may be about to remove it.
const SOON_S: u64 = 60;

impl Ledger {
    /// Keeps a song, or holds on to the one that is kept already. None where the song was taken away meanwhile: it has
    /// to be stored again.
    pub async fn keep_music(&self, new: &NewMusic) -> Result<Option<Music>> {
        let epoch = self.restore_epoch().await?;
        let now_s = now_ms() / 1000;
        let expires_s = now_s + self.keep.results.as_secs();
        let prefix = format!("{}{}/", ObjectKey::music_of(&new.tenant), new.song);
        let known =
            self.music_below(&prefix).await?.into_iter().find(|music| music.expires_s > now_s + SOON_S);
        let music = match known {
            Some(music) => Music { expires_s: music.expires_s.max(expires_s), ..music },
            None => Music {
                v: Music::VERSION,
                hold: JobId::new(epoch),
                tenant: new.tenant.clone(),
                song: new.song,
                title: new.title.clone(),
                size_bytes: new.size_bytes,
                cost_ms: new.cost_ms,
                expires_s,
                asked: None,
            },
        };
        self.mark(&ObjectKey::song_use(&music.tenant, &music.song, &music.hold)).await?;
        self.write_music(&music).await?;
        // Looked at last: whoever removes a song looks at what needs it after that.
        if self.store.head(&ObjectKey::song(&music.tenant, &music.song)).await?.is_some() {
            return Ok(Some(music));
        }
        self.remove_music(&music).await?;
        Ok(None)
    }

    /// Remembers which job was asked for last.
    pub async fn ask_music(&self, music: Music, record: &Record) -> Result<()> {
        self.write_music(&music.asking(record)).await
    }

    /// All songs that are kept for a tenant, in the order in which they came.
    pub async fn music(&self, tenant: &Tenant) -> Result<Vec<Music>> {
        self.music_below(&ObjectKey::music_of(tenant)).await
    }

    /// The song with this [number](SongHash::number).
    pub async fn music_numbered(&self, tenant: &Tenant, number: u64) -> Result<Option<Music>> {
        let found = self.music_below(&ObjectKey::music_numbered(tenant, number)).await?;
        Ok(found.into_iter().find(|music| music.song.number() == number))
    }

    /// Whether there was a song with this number whose time is over.
    pub async fn was_music(&self, tenant: &Tenant, number: u64) -> Result<bool> {
        self.has_any(Bucket::Queue, &ObjectKey::gone_numbered(tenant, number)).await
    }

    /// What is kept below a prefix, one for each song: of two that were sent at the same moment the first.
    async fn music_below(&self, prefix: &str) -> Result<Vec<Music>> {
        let (epoch, now_s) = (self.epoch().await?, now_ms() / 1000);
        let mut first: BTreeMap<SongHash, Music> = BTreeMap::new();
        for key in self.keys(Bucket::Queue, prefix).await? {
            if key.job_id().is_none_or(|hold| hold.epoch() < epoch) {
                continue;
            }
            let Some(music) = self.read::<Music>(&key).await? else { continue };
            if music.expires_s > now_s {
                first.entry(music.song).or_insert(music);
            }
        }
        let mut all: Vec<Music> = first.into_values().collect();
        all.sort_by_key(|music| (music.hold.epoch(), music.hold.unique()));
        Ok(all)
    }

    async fn write_music(&self, music: &Music) -> Result<()> {
        let key = ObjectKey::music(&music.tenant, &music.song, &music.hold);
        self.write(&key, music, Write::Replace).await?;
        Ok(())
    }

    /// Lets go of a song that is kept, and of its bytes where no job needs them.
    async fn remove_music(&self, music: &Music) -> Result<()> {
        let Music { tenant, song, hold, .. } = music;
        self.store.delete(&ObjectKey::song_use(tenant, song, hold)).await?;
        self.release_song(tenant, song).await?;
        Ok(self.store.delete(&ObjectKey::music(tenant, song, hold)).await?)
    }

    /// Removes songs whose time is over. When one was asked for is in its record; that it has been written to
    /// since then is in the listing.
    pub(super) async fn sweep_music(&self) -> Result<()> {
        let mut all = self.walk(Bucket::Queue, MUSIC);
        while let Some((key, meta)) = all.try_next().await? {
            if age(meta.modified) > self.keep.results {
                passed_by(&key, self.sweep_one_music(&key).await)?;
            }
        }
        Ok(())
    }

    async fn sweep_one_music(&self, key: &ObjectKey) -> Result<()> {
        let Some(music) = self.read::<Music>(key).await? else { return Ok(()) };
        if music.expires_s > now_ms() / 1000 {
            return Ok(());
        }
        self.mark(&ObjectKey::gone(&music.tenant, &music.song)).await?;
        self.remove_music(&music).await
    }
}
