use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tags::Tags;

use crate::spool::full_or;
use crate::{AtomicFile, Encoded, Encoder, Error, Format, Result};

/// One encoded file with its tags, which appears at its path only when it is complete, or has no path at all.
pub struct StemFile {
    encoder: Box<dyn Encoder>,
    place: Place,
}

/// Where the bytes are.
#[derive(Debug)]
enum Place {
    Named(AtomicFile),
    Unnamed { file: File, dir: PathBuf },
}

impl StemFile {
    /// Starts a file of `channels` channels at `rate` Hz; the directory of `path` has to exist.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`], [`Error::FormatRate`], [`Error::Channels`].
    pub fn create(path: &Path, format: Format, rate: u32, channels: usize) -> Result<Self> {
        Self::start(Place::Named(AtomicFile::create(path)?), format, rate, channels)
    }

    /// Starts a file without a name in the folder `dir`, or in the system's temporary one: it is read by
    /// [`SealedFile::into_file`] and vanishes when it is closed.
    ///
    /// # Errors
    /// Those of [`StemFile::create`].
    pub fn unnamed(dir: Option<&Path>, format: Format, rate: u32, channels: usize) -> Result<Self> {
        let dir = dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let file =
            tempfile::tempfile_in(&dir).map_err(|source| full_or(source, &dir, "create a temporary file"))?;
        Self::start(Place::Unnamed { file, dir }, format, rate, channels)
    }

    fn start(mut place: Place, format: Format, rate: u32, channels: usize) -> Result<Self> {
        let handle = place.file().try_clone().map_err(Error::io("create the output file"))?;
        let encoder = format.encoder(BufWriter::with_capacity(1 << 16, handle), rate, channels)?;
        Ok(Self { encoder, place })
    }

    /// Appends `[channels][frames]`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::DiskFull`], [`Error::Io`], [`Error::Encode`].
    pub fn write(&mut self, block: &[Vec<f32>]) -> Result<()> {
        let Self { encoder, place } = self;
        encoder.write(block).map_err(|error| place.full(error))
    }

    /// Ends the audio and puts in the tags (none where they are empty). The file stays hidden until it is
    /// published, so that several can appear together.
    ///
    /// # Errors
    /// Those of [`StemFile::write`], and [`Error::File`] when the tags do not fit; nothing remains then.
    pub fn seal(self, tags: &Tags) -> Result<SealedFile> {
        let Self { encoder, mut place } = self;
        let encoded = encoder.finish().map_err(|error| place.full(error))?;
        if !tags.is_empty() {
            tags::write(place.file(), tags)?;
        }
        if let Place::Named(file) = &mut place {
            // Now, so that files which are published together appear within moments of each other.
            file.sync()?;
        }
        Ok(SealedFile { place, encoded })
    }

    /// [`StemFile::seal`] and [`SealedFile::publish`] in one.
    ///
    /// # Errors
    /// Those of both; nothing remains then.
    pub fn commit(self, tags: &Tags) -> Result<Encoded> {
        self.seal(tags)?.publish()
    }
}

/// A finished file that is not seen yet. Dropped, it vanishes.
#[derive(Debug)]
pub struct SealedFile {
    place: Place,
    encoded: Encoded,
}

impl SealedFile {
    /// What was encoded.
    #[must_use]
    pub fn encoded(&self) -> Encoded {
        self.encoded
    }

    /// Shows the file at its path, over an older one if there is one; one without a name vanishes.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`]; nothing remains then.
    pub fn publish(self) -> Result<Encoded> {
        if let Place::Named(file) = self.place {
            file.commit()?;
        }
        Ok(self.encoded)
    }

    /// The file itself, to be read from its start. It has no name and vanishes when it is closed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn into_file(mut self) -> Result<File> {
        let file = self.place.file().try_clone();
        let rewound = file.and_then(|mut file| file.seek(SeekFrom::Start(0)).map(|_| file));
        rewound.map_err(Error::io("read the finished file"))
    }
}

impl Place {
    fn file(&mut self) -> &mut File {
        match self {
            Self::Named(file) => file.file_mut(),
            Self::Unnamed { file, .. } => file,
        }
    }

    /// Tells which disk is full.
    fn full(&self, error: Error) -> Error {
        let dir = match self {
            Self::Named(file) => file.target().parent().unwrap_or(file.target()),
            Self::Unnamed { dir, .. } => dir,
        };
        match error {
            Error::Io { action, source } => full_or(source, dir, action),
            other => other,
        }
    }
}

impl std::fmt::Debug for StemFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StemFile").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::WavDepth;

    #[test]
    fn a_file_without_a_name_is_complete_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let format = Format::Wav(WavDepth::Bits16);
        let mut file = StemFile::unnamed(Some(dir.path()), format, 8000, 1).unwrap();
        file.write(&[vec![0.5; 1000]]).unwrap();
        let sealed = file.seal(&Tags::default()).unwrap();
        assert_eq!(sealed.encoded().frames, 1000);
        let mut bytes = Vec::new();
        sealed.into_file().unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!((&bytes[..4], bytes.len()), (&b"RIFF"[..], 2080));
        assert_eq!(bytes[4..8], 2072u32.to_le_bytes());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
