//! What spans computed on this machine: read back from here where the merge comes here too.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use common::keys::ObjectKey;

use super::Room;

/// All that is kept, in bytes: some twelve minutes of four stems. The oldest go first.
const KEPT_BYTES: u64 = 1 << 30;

/// Copies of objects that are in the store, in files without names.
///
/// Writing them there and reading them back took a tenth of a song's time where one worker did all of its spans.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Debug)]
struct Kept {
    key: ObjectKey,
    file: Arc<File>,
    room: Room,
}

impl Sums {
    /// Keeps what has been stored under `key`.
    pub(super) fn keep(&self, key: ObjectKey, file: Arc<File>, room: Room) {
        self.keep_up_to(KEPT_BYTES, Kept { key, file, room });
    }

    fn keep_up_to(&self, most_bytes: u64, new: Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(new);
        while kept.iter().map(|kept| kept.room.bytes()).sum::<u64>() > most_bytes {
            kept.pop_front();
        }
    }

    /// Hands out the copy of an object, which is asked for once.
    pub(super) fn take(&self, key: &ObjectKey) -> Option<Arc<File>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|kept| kept.key == *key)?;
        kept.remove(at).map(|kept| kept.file)
    }
}

#[cfg(test)]
mod tests {
    use common::{Epoch, JobId};

    use super::*;
    use crate::task::Disk;

    fn kept(job: &JobId, index: u32, size_bytes: u64) -> std::io::Result<Kept> {
        let room = Disk::default().kept(size_bytes);
        Ok(Kept { key: ObjectKey::span(job, 0, index), file: Arc::new(tempfile::tempfile()?), room })
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_bytes() -> std::io::Result<()> {
        let (sums, job) = (Sums::default(), JobId::new(Epoch::default()));
        for index in 0..4 {
            sums.keep_up_to(100, kept(&job, index, 40)?);
        }
        let found = |index| sums.take(&ObjectKey::span(&job, 0, index)).is_some();
        assert_eq!([0, 1, 2, 3, 3].map(found), [false, false, true, true, false]);
        sums.keep_up_to(100, kept(&job, 9, 101)?);
        assert!(!found(9), "one that is too large was kept");
        Ok(())
    }
}
