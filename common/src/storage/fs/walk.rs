//! Listing folders in the order of S3: keys by their bytes, whatever folders they lie in.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use super::{is_absent, meta};
use crate::keys::{Bucket, ObjectKey};
use crate::storage::{Page, name};

/// A page that is being filled. Memory: the page, and the names in the folders from the top to where it ends.
pub(super) struct Listing<'a> {
    bucket: Bucket,
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
    page: Page,
}

impl<'a> Listing<'a> {
    pub(super) fn new(bucket: Bucket, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Self {
        Self { bucket, prefix, after, limit, page: Page::default() }
    }

    pub(super) fn page(self) -> Page {
        self.page
    }

    /// Fills the page from the folder `root` of the bucket.
    pub(super) fn walk(&mut self, root: &Path) -> io::Result<()> {
        // Straight to the folder that the prefix names: the ones above may hold a million other names.
        match self.prefix.rsplit_once('/') {
            Some((folder, _)) if name::is_good(folder) => {
                self.folder(&root.join(folder), &format!("{folder}/"))
            }
            Some(_) => Ok(()),
            None => self.folder(root, ""),
        }
    }

    /// Goes through a folder whose keys all begin with `above`.
    fn folder(&mut self, folder: &Path, above: &str) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let entry = entry?;
            // A folder sorts with its slash, since that is how the keys below it go on: `a-b` is before `a/b`.
            if let Some(key) = key_of(&entry, above)?
                && self.wants(&key)
            {
                keys.push((key, entry.path()));
            }
        }
        keys.sort_unstable();
        for (key, path) in keys {
            if self.page.more {
                break;
            }
            if key.ends_with('/') {
                self.folder(&path, &key)?;
            } else if let Some(found) = metadata(&path)? {
                if self.page.objects.len() == self.limit {
                    self.page.more = true;
                } else {
                    self.page.objects.push((ObjectKey::listed(self.bucket, key), meta(&found)));
                }
            }
        }
        Ok(())
    }

    /// Whether a key, or one below a folder that ends with a slash, may belong to the page.
    fn wants(&self, key: &str) -> bool {
        let is_folder = key.ends_with('/');
        let named = key.starts_with(self.prefix) || is_folder && self.prefix.starts_with(key);
        let later = self.after.is_none_or(|after| key > after || is_folder && after.starts_with(key));
        named && later
    }
}

/// The key of a file or, with a slash, of a folder; none of what is neither or has no name of ours.
fn key_of(entry: &DirEntry, above: &str) -> io::Result<Option<String>> {
    let kind = match entry.file_type() {
        Ok(kind) => kind,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let name = entry.file_name();
    Ok(match name.to_str() {
        Some(name) if kind.is_dir() => Some(format!("{above}{name}/")),
        Some(name) if kind.is_file() => Some(format!("{above}{name}")),
        _ => None,
    })
}

/// What is known of a file; none when it was removed meanwhile.
fn metadata(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_file().then_some(found)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pages_are_what_sorting_the_keys_gives(
            names in prop::collection::btree_set("[ab.!0-]{1,2}(/[ab.!0-]{1,2}){0,2}", 1..25),
            prefix in "([ab]{0,2}|[ab.!0-]{1,2}/[ab.]{0,1})",
            after in prop::option::of("[ab.!/0-]{0,4}"),
            limit in 1_usize..8,
        ) {
            let root = tempfile::tempdir().unwrap();
            let mut keys = BTreeSet::new();
            for name in names.iter().filter(|name| name::is_good(name)) {
                let path = root.path().join(name);
                let made = fs::create_dir_all(path.parent().unwrap()).and_then(|()| fs::File::create_new(&path));
                if made.is_ok() {
                    keys.insert(name.clone());
                }
            }
            let wanted: Vec<_> = keys
                .iter()
                .filter(|key| key.starts_with(&prefix) && after.as_ref().is_none_or(|after| *key > after))
                .collect();
            let mut listing = Listing::new(Bucket::Queue, &prefix, after.as_deref(), limit);
            listing.walk(root.path()).unwrap();
            let page = listing.page();
            let got: Vec<_> = page.objects.iter().map(|(key, _)| key.path().to_owned()).collect();
            prop_assert_eq!(page.more, wanted.len() > limit);
            prop_assert_eq!(got, wanted.into_iter().take(limit).cloned().collect::<Vec<_>>());
        }
    }
}
