//! Where a song comes from: a file, or standard input.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use separation::{Reading, Song, Stop};
use tags::Tags;

/// Most bytes that are taken from standard input.
const MAX_INPUT_BYTES: u64 = 2 << 30;

/// How standard input is named on the command line.
pub(crate) const STANDARD_INPUT: &str = "-";

/// A song's bytes, which can be read again.
#[derive(Debug)]
pub(crate) enum Source {
    File(PathBuf),
    /// Standard input, kept in a file without a name.
    Kept(File),
}

impl Source {
    /// Takes all of standard input where the path says so.
    pub(crate) fn open(path: &Path, temp_dir: Option<&Path>, stop: &Stop) -> Result<Self> {
        if path != Path::new(STANDARD_INPUT) {
            return Ok(Self::File(path.to_path_buf()));
        }
        let dir = temp_dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let file = tempfile::tempfile_in(&dir)
            .with_context(|| format!("cannot create a temporary file in {}", dir.display()))?;
        keep(std::io::stdin().lock(), file, MAX_INPUT_BYTES, stop).map(Self::Kept)
    }

    /// Decodes the song.
    pub(crate) fn song(&self, reading: &Reading<'_>, stop: &Stop) -> Result<Song> {
        Ok(match self {
            Self::File(path) => Song::open(path, reading, stop)?,
            Self::Kept(_) => Song::read(Box::new(self.bytes()?), reading, stop)?,
        })
    }

    /// What the song says about itself.
    pub(crate) fn tags(&self) -> Tags {
        self.bytes().map(|file| tags::read(&mut BufReader::new(file))).unwrap_or_default()
    }

    /// SHA-256 of the song's bytes.
    pub(crate) fn hash(&self) -> Result<[u8; 32]> {
        separation::hash(self.bytes()?).context("cannot read the song again")
    }

    fn bytes(&self) -> Result<File> {
        match self {
            Self::File(path) => File::open(path).with_context(|| format!("cannot open {}", path.display())),
            Self::Kept(file) => {
                let mut file = file.try_clone().context("cannot read the song again")?;
                file.seek(SeekFrom::Start(0)).context("cannot read the song again")?;
                Ok(file)
            }
        }
    }
}

/// Copies `input` to `file` up to its end.
fn keep(mut input: impl Read, mut file: File, max_bytes: u64, stop: &Stop) -> Result<File> {
    let (mut buffer, mut bytes) = (vec![0; 1 << 16], 0);
    loop {
        let n = input.read(&mut buffer).context("cannot read standard input")?;
        if n == 0 {
            return Ok(file);
        }
        bytes += n as u64;
        ensure!(bytes <= max_bytes, "standard input holds more than {} MiB", max_bytes >> 20);
        file.write_all(&buffer[..n]).context("cannot keep standard input in a temporary file")?;
        stop.check()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_beyond_its_cap_is_refused() {
        let kept = |bytes: usize| {
            keep(vec![7; bytes].as_slice(), tempfile::tempfile().unwrap(), 1 << 20, &Stop::default())
        };
        let source = Source::Kept(kept(1 << 20).unwrap());
        assert_eq!(source.bytes().unwrap().metadata().unwrap().len(), 1 << 20);
        let error = kept((1 << 20) + 1).unwrap_err();
        assert_eq!(error.to_string(), "standard input holds more than 1 MiB");
    }
}
