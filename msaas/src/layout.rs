//! Where every result of every song goes; no two go to the same place.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

use crate::songs::Found;
use crate::template::{Names, Template};

/// Gives out places.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The folder of the results of one network.
    root: PathBuf,
    template: Template,
    stems: Vec<String>,
    ext: &'static str,
    taken: HashSet<PathBuf>,
}

impl Layout {
    /// Results of the names `stems` below `root`.
    pub(crate) fn new(root: PathBuf, template: Template, stems: Vec<String>, ext: &'static str) -> Self {
        Self { root, template, stems, ext, taken: HashSet::new() }
    }

    /// The paths of a song's results. Of songs with the same name the second is called like its file, the others
    /// are numbered.
    pub(crate) fn place(&mut self, song: &Found) -> Result<Vec<PathBuf>> {
        let full = song.full_name();
        let numbered = (2..).map(|i| format!("{full}-{i}"));
        for track in [song.name(), full.clone()].into_iter().chain(numbered) {
            let paths = self.paths(song, &track)?;
            if paths.iter().all(|path| !self.taken.contains(path)) {
                self.taken.extend(paths.iter().cloned());
                return Ok(paths);
            }
            ensure!(
                self.template.names_the_track(),
                "--filename {} gives two songs the same files: it needs {{track}}",
                self.template
            );
        }
        bail!("there are too many songs called {full}")
    }

    fn paths(&self, song: &Found, track: &str) -> Result<Vec<PathBuf>> {
        let track_ext = song.path.extension().unwrap_or_default().to_string_lossy();
        let path = |stem: &String| {
            let names = Names { track, track_ext: &track_ext, stem, ext: self.ext };
            Ok(self.root.join(&song.folder).join(self.template.path(names)?))
        };
        let paths = self.stems.iter().map(path).collect::<Result<Vec<_>>>()?;
        let different: HashSet<_> = paths.iter().collect();
        ensure!(
            different.len() == paths.len(),
            "--filename {} gives two stems the same file: it needs {{stem}}",
            self.template
        );
        Ok(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(template: &str, stems: &[&str], songs: &[&str]) -> Result<Vec<Vec<PathBuf>>> {
        let stems = stems.iter().map(ToString::to_string).collect();
        let mut layout = Layout::new("out".into(), Template::parse(template)?, stems, "mp3");
        let found = |path: &&str| Found { path: path.into(), folder: PathBuf::new() };
        songs.iter().map(|song| layout.place(&found(song))).collect()
    }

    #[test]
    fn songs_of_the_same_name_get_places_of_their_own() {
        let places = place("{track}-{stem}", &["a"], &["x.mp3", "b/x.mp3", "x.wav", "x.wav", "-"]).unwrap();
        let expected = ["x-a", "x.mp3-a", "x.wav-a", "x.wav-2-a", "stdin-a"];
        assert_eq!(places.concat(), expected.map(|name| PathBuf::from("out").join(name)));
    }

    #[test]
    fn templates_under_which_results_would_meet_are_refused() {
        assert!(place("{track}.{ext}", &["a", "b"], &["x"]).is_err());
        assert!(place("{track}.{ext}", &["a"], &["x", "y"]).is_ok());
        assert!(place("{stem}.{ext}", &["a"], &["x", "y"]).is_err());
        assert!(place("{stem}.{ext}", &["a", "b"], &["x"]).is_ok());
    }
}
