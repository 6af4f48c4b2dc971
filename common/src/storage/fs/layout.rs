//! Which file an object is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::is_absent;
use crate::keys::{Bucket, ObjectKey};
use crate::storage::{Result, name};

/// Folder of what is being written; in the root, where no key leads.
const PARTIAL: &str = ".partial";

/// The folders of a store.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of a bucket.
    pub(super) fn bucket(&self, bucket: Bucket) -> PathBuf {
        self.root.join(match bucket {
            Bucket::Queue => "queue",
            Bucket::Output => "output",
        })
    }

    /// Folder of what is being written.
    pub(super) fn partial(&self) -> PathBuf {
        self.root.join(PARTIAL)
    }

    /// File of an object, always below the folder of its bucket.
    pub(super) fn file(&self, key: &ObjectKey) -> Result<PathBuf> {
        Ok(self.bucket(key.bucket()).join(name::checked(key)?))
    }

    /// Makes the folders and removes what a crash left.
    pub(super) fn make(&self) -> io::Result<()> {
        for folder in [self.bucket(Bucket::Queue), self.bucket(Bucket::Output), self.partial()] {
            fs::create_dir_all(&folder)?;
            sync(&folder)?;
        }
        sync(&self.root)?;
        // The root may be new in its own folder.
        if let Some(above) = self.root.canonicalize()?.parent() {
            sync(above)?;
        }
        for entry in fs::read_dir(self.partial())? {
            let path = entry?.path();
            // Who writes a file holds its lock, and loses it by dying. Locked until it is gone: nobody begins to write it.
            let left = File::open(&path).ok().filter(|file| file.try_lock().is_ok());
            if left.is_some() {
                fs::remove_file(&path)
                    .or_else(|error| if is_absent(&error) { Ok(()) } else { Err(error) })?;
                tracing::info!(path = %path.display(), "removed what a crash left");
            }
        }
        Ok(())
    }

    /// Removes a file and the folders that it leaves empty.
    pub(super) fn remove(&self, key: &ObjectKey) -> io::Result<()> {
        let (top, path) = (self.bucket(key.bucket()), self.bucket(key.bucket()).join(key.path()));
        if fs::symlink_metadata(&path)?.is_dir() {
            return Ok(());
        }
        fs::remove_file(&path)?;
        let mut left = path.parent();
        while let Some(folder) = left.filter(|folder| *folder != top) {
            // Fails where something is left, perhaps since a moment ago.
            if fs::remove_dir(folder).is_err() {
                break;
            }
            left = folder.parent();
        }
        match left.map(sync) {
            Some(Err(error)) if !is_absent(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Brings the name of a file and of the folders above it to the disk.
    pub(super) fn sync_above(&self, key: &ObjectKey) -> io::Result<()> {
        let top = self.bucket(key.bucket());
        let path = top.join(key.path());
        for folder in path.ancestors().skip(1) {
            match sync(folder) {
                // The object was removed again.
                Err(error) if is_absent(&error) => {}
                done => done?,
            }
            if folder == top {
                break;
            }
        }
        Ok(())
    }
}

/// Brings the names in a folder to the disk.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    fn path_of(text: &str) -> Option<PathBuf> {
        let layout = Layout::new(PathBuf::from("/store"));
        layout.file(&ObjectKey::listed(Bucket::Output, text.to_owned())).ok()
    }

    fn stays_inside(text: &str) -> bool {
        path_of(text).is_none_or(|path| {
            let inside = path.strip_prefix("/store/output").expect("a path below the folder of the bucket");
            let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
            plain && inside.to_str() == Some(text)
        })
    }

    #[test]
    fn a_thousand_ways_up_lead_nowhere() {
        let steps = ["..", ".", "", "a", "...", "..\\", "%2e%2e", "/", "~", "\0"];
        let mut tried = 0;
        for a in steps {
            for b in steps {
                for c in steps {
                    let text = format!("{a}/{b}/{c}");
                    assert!(stays_inside(&text), "{text:?}");
                    tried += 1;
                }
            }
        }
        assert_eq!(tried, 1000);
    }

    proptest! {
        #[test]
        fn a_path_stays_below_its_bucket_and_keeps_the_key(text in "[./a\\\\~%\u{0}-\u{20}]{0,12}|\\PC{0,40}|[a-z0-9/_.-]{0,300}") {
            prop_assert!(stays_inside(&text), "{:?}", text);
        }

        #[test]
        fn two_keys_have_two_files(a in "[.a/]{0,6}", b in "[.a/]{0,6}") {
            if let (Some(one), Some(other)) = (path_of(&a), path_of(&b)) {
                prop_assert_eq!(a == b, one == other);
            }
        }
    }
}
