//! The songs that the arguments name.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use url::Url;

use crate::source::STANDARD_INPUT;

/// A song, and the folder in the results that mirrors where it was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) folder: PathBuf,
}

impl Found {
    /// File name without its extension, or with it where the rest would lead to another folder.
    pub(crate) fn name(&self) -> String {
        if self.is_standard_input() {
            return "stdin".to_owned();
        }
        let full = self.full_name();
        let stem = Path::new(&full).file_stem().filter(|stem| *stem != "." && *stem != "..");
        stem.map_or_else(|| full.clone(), |stem| stem.to_string_lossy().into_owned())
    }

    /// File name with its extension.
    pub(crate) fn full_name(&self) -> String {
        if self.is_standard_input() {
            return self.name();
        }
        if let Some(link) = self.link() {
            let mut names = link.path_segments().into_iter().flatten();
            return names.rfind(|name| !name.is_empty()).or(link.host_str()).unwrap_or("song").to_owned();
        }
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// The address, where a song is behind one.
    pub(crate) fn link(&self) -> Option<Url> {
        let url = Url::parse(self.path.to_str()?).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(url)
    }

    /// What people call it.
    pub(crate) fn label(&self) -> String {
        if self.is_standard_input() { "standard input".to_owned() } else { self.path.display().to_string() }
    }

    fn is_standard_input(&self) -> bool {
        self.path == Path::new(STANDARD_INPUT)
    }
}

/// Every song; folders are walked in order of their names, and `out` is left out.
pub(crate) fn find(paths: &[PathBuf], out: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let inputs = paths.iter().filter(|path| *path == Path::new(STANDARD_INPUT));
    ensure!(inputs.count() <= 1, "standard input is one song");
    for path in paths {
        if path != Path::new(STANDARD_INPUT) && path.is_dir() {
            let before = found.len();
            walk(path, out, Path::new(""), &mut HashSet::new(), &mut found)?;
            ensure!(found.len() > before, "there is no audio file in {}", path.display());
        } else {
            // One that is missing fails in its turn, as any other bad song does.
            found.push(Found { path: path.clone(), folder: PathBuf::new() });
        }
    }
    Ok(found)
}

/// Adds the songs of a folder and of those in it; `seen` are the folders so far, which links may lead back to.
fn walk(
    dir: &Path,
    out: &Path,
    folder: &Path,
    seen: &mut HashSet<PathBuf>,
    found: &mut Vec<Found>,
) -> Result<()> {
    let read = || format!("cannot read the folder {}", dir.display());
    let entries =
        std::fs::read_dir(dir).with_context(read)?.collect::<Result<Vec<_>, _>>().with_context(read)?;
    if !seen.insert(dir.canonicalize().with_context(read)?) {
        return Ok(());
    }
    let mut entries: Vec<_> = entries.into_iter().map(|entry| (entry.path(), entry.file_name())).collect();
    entries.sort();
    for (path, name) in entries {
        if name.to_string_lossy().starts_with('.') || same_folder(&path, out) {
            continue;
        }
        if path.is_dir() {
            walk(&path, out, &folder.join(&name), seen, found)?;
        } else if path.is_file() && tags::sniff_path(&path).is_ok() {
            found.push(Found { path, folder: folder.to_path_buf() });
        }
    }
    Ok(())
}

fn same_folder(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_named_as_its_file() {
        let found = |text: &str| Found { path: text.into(), folder: PathBuf::new() };
        for (link, full, name) in [
            ("https://a.example/b/song.mp3?token=../x", "song.mp3", "song"),
            ("http://a.example/b/", "b", "b"),
            ("HTTP://a.example", "a.example", "a"),
            ("https://a.example/%2e%2e/..%2fx.mp3", "..%2fx.mp3", "..%2fx"),
        ] {
            let found = found(link);
            assert!(found.link().is_some(), "{link}");
            assert_eq!((&*found.full_name(), &*found.name()), (full, name), "{link}");
        }
        for file in ["song.mp3", "http.mp3", "c:song.mp3", "ftp://a.example/x.mp3", "-"] {
            assert_eq!(found(file).link(), None, "{file}");
        }
    }
}
