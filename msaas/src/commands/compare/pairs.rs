use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use crate::songs::{self, Found};

/// A recording that is right, and those whose sum is to be judged by it.
#[derive(Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) reference: PathBuf,
    pub(super) estimates: Vec<PathBuf>,
}

/// What is to be compared.
#[derive(Debug)]
pub(super) struct Pairs {
    pub(super) matched: Vec<Pair>,
    pub(super) lonely: Lonely,
    /// Whether they come from two folders.
    pub(super) folders: bool,
}

/// Names that only one of two folders has.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Lonely {
    pub(super) in_reference: Vec<String>,
    pub(super) in_estimate: Vec<String>,
}

type Files = BTreeMap<String, PathBuf>;

impl Pairs {
    /// Two or more files, or two folders, whose files are matched by name.
    pub(super) fn find(reference: &Path, estimates: &[PathBuf]) -> Result<Self> {
        if !reference.is_dir() && !estimates.iter().any(|path| path.is_dir()) {
            let name = Found { path: reference.to_path_buf(), folder: PathBuf::new() }.name();
            let pair = Pair { name, reference: reference.to_path_buf(), estimates: estimates.to_vec() };
            return Ok(Self { matched: vec![pair], lonely: Lonely::default(), folders: false });
        }
        match estimates {
            [estimate] if reference.is_dir() && estimate.is_dir() => Self::of_folders(reference, estimate),
            [_] => bail!("a file can only be compared with files, and a folder with a folder"),
            _ => bail!("only files have a sum; folders are compared two at a time"),
        }
    }

    fn of_folders(reference: &Path, estimate: &Path) -> Result<Self> {
        let (a, b) = (songs_in(reference)?, songs_in(estimate)?);
        // By the place in the folder, or where nothing lies at the same place, by the file's name alone.
        let by_place = (files(&a, Found::place), files(&b, Found::place));
        let by_name = || (files(&a, Found::name), files(&b, Found::name));
        let (mut a, mut b) = match by_place {
            (Ok(a), Ok(b)) if a.keys().any(|key| b.contains_key(key)) => (a, b),
            (Err(twice), _) | (_, Err(twice)) => return Err(twice),
            (Ok(a_places), Ok(b_places)) => match by_name() {
                (Ok(a), Ok(b)) if a.keys().any(|key| b.contains_key(key)) => (a, b),
                _ => (a_places, b_places),
            },
        };
        let mut matched = Vec::new();
        a.retain(|name, path| {
            let found = b.remove(name);
            matched.extend(found.iter().map(|estimate| Pair {
                name: name.clone(),
                reference: path.clone(),
                estimates: vec![estimate.clone()],
            }));
            found.is_none()
        });
        ensure!(
            !matched.is_empty(),
            "no file in {} has the name of one in {}",
            reference.display(),
            estimate.display()
        );
        let lonely = Lonely { in_reference: a.into_keys().collect(), in_estimate: b.into_keys().collect() };
        Ok(Self { matched, lonely, folders: true })
    }
}

fn songs_in(folder: &Path) -> Result<Vec<Found>> {
    songs::find(&[folder.to_path_buf()], Path::new(""))
}

fn files(found: &[Found], key: impl Fn(&Found) -> String) -> Result<Files> {
    let mut files = Files::new();
    for song in found {
        if let Some(other) = files.insert(key(song), song.path.clone()) {
            bail!("{} and {} have the same name", other.display(), song.path.display());
        }
    }
    Ok(files)
}

impl Found {
    /// Where it lies in its folder, without its extension.
    fn place(&self) -> String {
        self.folder.join(self.name()).display().to_string()
    }
}
