//! Names of result files: text with `{track}`, `{trackext}`, `{stem}` and `{ext}`.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail, ensure};

/// A parsed `--filename`.
#[derive(Debug)]
pub(crate) struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Track,
    TrackExt,
    Stem,
    Ext,
}

/// What the places of one file stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) track: &'a str,
    pub(crate) track_ext: &'a str,
    pub(crate) stem: &'a str,
    pub(crate) ext: &'a str,
}

impl Template {
    /// Reads a template; one that leads out of the folder of the results is refused.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some(start) = rest.find('{') {
            let Some(end) = rest[start..].find('}') else {
                bail!("--filename {text}: a brace is not closed")
            };
            if start > 0 {
                pieces.push(Piece::Text(rest[..start].to_owned()));
            }
            pieces.push(match &rest[start + 1..start + end] {
                "track" => Piece::Track,
                "trackext" => Piece::TrackExt,
                "stem" => Piece::Stem,
                "ext" => Piece::Ext,
                other => bail!(
                    "--filename {text}: there is no {{{other}}}, only {{track}}, {{trackext}}, {{stem}}, {{ext}}"
                ),
            });
            rest = &rest[start + end + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        let template = Self { text: text.to_owned(), pieces };
        template.path(Names { track: "track", track_ext: "mp3", stem: "stem", ext: "mp3" })?;
        Ok(template)
    }

    /// Whether files of different songs get different names.
    pub(crate) fn names_the_track(&self) -> bool {
        self.pieces.contains(&Piece::Track)
    }

    /// The path of one file below the folder of the results.
    pub(crate) fn path(&self, names: Names<'_>) -> Result<PathBuf> {
        let value = |piece: &Piece| match piece {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Track => inner(names.track),
            Piece::TrackExt => inner(names.track_ext),
            Piece::Stem => inner(names.stem),
            Piece::Ext => inner(names.ext),
        };
        let path: Result<String> = self.pieces.iter().map(value).collect();
        let path = PathBuf::from(path?);
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        let plain = !path.as_os_str().is_empty() && !path.to_string_lossy().contains('\0');
        ensure!(
            inside && plain && !self.text.ends_with(std::path::is_separator),
            "--filename {}: {} is no file in the folder of the results",
            self.text,
            shown(&path)
        );
        Ok(path)
    }
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// A value may not bring folders of its own.
fn inner(value: &str) -> Result<String> {
    ensure!(!value.contains(std::path::is_separator), "the name {value} leads to another folder");
    Ok(value.to_owned())
}

fn shown(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'static> = Names { track: "a song", track_ext: "wav", stem: "vocals", ext: "mp3" };

    #[test]
    fn places_are_filled_in() {
        for (text, expected) in [
            ("{track}/{stem}.{ext}", "a song/vocals.mp3"),
            ("{stem}/{track}-{trackext}", "vocals/a song-wav"),
            ("{track}", "a song"),
            ("x", "x"),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.path(NAMES).unwrap(), Path::new(expected), "{text}");
        }
    }

    #[test]
    fn templates_that_lead_elsewhere_or_make_no_sense_are_refused() {
        for text in [
            "",
            "/{track}",
            "../{track}",
            "a/../{stem}",
            "..",
            ".",
            "./{stem}",
            "{stem}/",
            "{track",
            "{song}",
            "{}",
            "a\0b",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_when_they_are_filled_in() {
        let template = Template::parse("{track}/{stem}").unwrap();
        for (track, stem) in [("..", "a"), ("", "a"), ("a", ".."), ("a/b", "c"), ("a", "../c")] {
            assert!(template.path(Names { track, stem, ..NAMES }).is_err(), "{track} {stem}");
        }
    }
}
