//! Room in the temporary folder: songs that are in work at the same time shall not fail for want of it together.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The temporary folder; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Folder>);

#[derive(Debug, Default)]
struct Folder {
    dir: Option<PathBuf>,
    /// None takes what is free.
    most_bytes: Option<u64>,
    taken: Mutex<Taken>,
    /// Told whenever something is taken or given back.
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Taken {
    /// By results in work, whose tasks end by themselves.
    work_bytes: u64,
    /// By songs and sums, which may stay for long, and are bounded by their number.
    kept_bytes: u64,
    /// What both may have together.
    room_bytes: u64,
    /// Tasks that wait for room.
    waiting: usize,
}

/// Bytes that are somebody's until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    disk: Disk,
    bytes: u64,
    kept: bool,
}

impl Disk {
    /// A folder, or the system's, of which so many bytes may be used, or all that are free.
    pub(crate) fn new(dir: Option<PathBuf>, most_bytes: Option<u64>) -> Self {
        Self(Arc::new(Folder { dir, most_bytes, ..Folder::default() }))
    }

    /// Counts what is there, whether there was room for it or not.
    pub(crate) fn kept(&self, bytes: u64) -> Room {
        self.taken().kept_bytes += bytes;
        self.0.news.send_replace(());
        Room { disk: self.clone(), bytes, kept: true }
    }

    /// Waits for room for the results of a task. Who has some waits for nothing else, and nobody waits where nobody has
    /// any: a song that needs more than there is comes to its end, too.
    pub(crate) async fn room(&self, bytes: u64) -> Room {
        let mut news = self.0.news.subscribe();
        let mut waiting = None;
        loop {
            if let Some(room) = self.take(bytes) {
                return room;
            }
            waiting.get_or_insert_with(|| Waiting::begin(self));
            // The sender is this folder's own.
            let _ = news.changed().await;
        }
    }

    /// Whether somebody waits for room.
    pub(crate) fn is_short(&self) -> bool {
        self.taken().waiting > 0
    }

    /// Waits until there may be more room, or less.
    pub(crate) async fn changes(&self) {
        let _ = self.0.news.subscribe().changed().await;
    }

    fn take(&self, bytes: u64) -> Option<Room> {
        let mut taken = self.taken();
        let alone = taken.work_bytes == 0;
        if alone {
            taken.room_bytes = self.0.most_bytes.unwrap_or_else(|| self.free_bytes(taken.kept_bytes));
        }
        if !alone && taken.work_bytes + taken.kept_bytes + bytes > taken.room_bytes {
            return None;
        }
        taken.work_bytes += bytes;
        Some(Room { disk: self.clone(), bytes, kept: false })
    }

    /// What is free where so many bytes are kept. A system that does not tell is believed to have room.
    fn free_bytes(&self, kept_bytes: u64) -> u64 {
        let dir = self.0.dir.clone().unwrap_or_else(std::env::temp_dir);
        audio::free_bytes(&dir).map_or(u64::MAX, |free_bytes| free_bytes.saturating_add(kept_bytes))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// How much.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.disk.taken();
        let bytes = if self.kept { &mut taken.kept_bytes } else { &mut taken.work_bytes };
        *bytes -= self.bytes;
        drop(taken);
        self.disk.0.news.send_replace(());
    }
}

/// A task waits, until this is dropped.
struct Waiting<'a>(&'a Disk);

impl<'a> Waiting<'a> {
    fn begin(disk: &'a Disk) -> Self {
        disk.taken().waiting += 1;
        tracing::info!("a task waits for room in the temporary folder");
        disk.0.news.send_replace(());
        Self(disk)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.taken().waiting -= 1;
        self.0.0.news.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whether it has to be waited for.
    async fn waits(room: impl Future<Output = Room>) -> bool {
        tokio::time::timeout(Duration::from_millis(20), room).await.is_err()
    }

    #[tokio::test]
    async fn who_does_not_fit_waits_for_those_before_it() {
        let disk = Disk::new(None, Some(100));
        let (song, first) = (disk.kept(10), disk.room(60).await);
        assert!(waits(disk.room(31)).await && !disk.is_short(), "it has gone away");
        let fitting = disk.room(30).await;
        let second = tokio::spawn({
            let disk = disk.clone();
            async move { disk.room(60).await }
        });
        while !disk.is_short() {
            tokio::task::yield_now().await;
        }
        drop(song);
        assert!(waits(disk.room(11)).await);
        drop(first);
        assert_eq!(second.await.map(|room| room.bytes()).ok(), Some(60));
        assert!(!disk.is_short());
        drop(fitting);
    }

    #[tokio::test]
    async fn one_that_is_too_large_comes_alone() {
        let disk = Disk::new(None, Some(100));
        let small = disk.room(1).await;
        assert!(waits(disk.room(200)).await);
        drop(small);
        let large = disk.room(200).await;
        assert!(waits(disk.room(1)).await);
        drop(large);
        // What is kept bounds nobody who comes alone.
        let _kept = disk.kept(100);
        let _one = disk.room(1).await;
    }

    #[tokio::test]
    async fn without_a_limit_there_is_what_is_free() {
        let disk = Disk::default();
        let small = disk.room(1).await;
        assert!(waits(disk.room(u64::MAX / 2)).await);
        drop((disk.room(1 << 10).await, small));
    }
}
