use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use tags::Tags;

use crate::spool::full_or;
use crate::{AtomicFile, Encoded, Encoder, Error, Format, Result};

/// One encoded file with its tags, which appears at its path only when it is complete.
pub struct StemFile {
    encoder: Box<dyn Encoder>,
    file: AtomicFile,
}

impl StemFile {
    /// Starts a file of `channels` channels at `rate` Hz; the directory of `path` has to exist.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`], [`Error::FormatRate`], [`Error::Channels`].
    pub fn create(path: &Path, format: Format, rate: u32, channels: usize) -> Result<Self> {
        let mut file = AtomicFile::create(path)?;
        let handle: File = file.file_mut().try_clone().map_err(Error::io("create the output file"))?;
        let encoder = format.encoder(BufWriter::with_capacity(1 << 16, handle), rate, channels)?;
        Ok(Self { encoder, file })
    }

    /// Appends `[channels][frames]`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::DiskFull`], [`Error::Io`], [`Error::Encode`].
    pub fn write(&mut self, block: &[Vec<f32>]) -> Result<()> {
        let Self { encoder, file } = self;
        encoder.write(block).map_err(|error| place(error, file.target()))
    }

    /// Ends the audio and puts in the tags (none where they are empty). The file keeps its hidden name until it is
    /// published, so that several can appear together.
    ///
    /// # Errors
    /// Those of [`StemFile::write`], and [`Error::File`] when the tags do not fit; nothing remains then.
    pub fn seal(self, tags: &Tags) -> Result<SealedFile> {
        let Self { encoder, mut file } = self;
        let encoded = encoder.finish().map_err(|error| place(error, file.target()))?;
        if !tags.is_empty() {
            tags::write(file.file_mut(), tags)?;
        }
        Ok(SealedFile { file, encoded })
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
    file: AtomicFile,
    encoded: Encoded,
}

impl SealedFile {
    /// Shows the file at its path, over an older one if there is one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`]; nothing remains then.
    pub fn publish(self) -> Result<Encoded> {
        self.file.commit()?;
        Ok(self.encoded)
    }
}

/// Tells which disk is full.
fn place(error: Error, target: &Path) -> Error {
    match error {
        Error::Io { action, source } => full_or(source, target.parent().unwrap_or(target), action),
        other => other,
    }
}

impl std::fmt::Debug for StemFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StemFile").field("file", &self.file).finish_non_exhaustive()
    }
}
