use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::SpooledTempFile;

use crate::{Error, Result, frames_of};

/// Bytes kept in memory before a file is used: 24 s of stereo at 44.1 kHz take 8 MiB.
const MAX_MEMORY_BYTES: usize = 16 << 20;

/// Frames converted at a time.
const PART: usize = 8192;

/// Audio that is written once from front to back and then read from anywhere, without growing in memory.
///
/// Kept as interleaved 32-bit floats: in memory up to 16 MiB or as many bytes as are allowed, then in an unlinked
/// temporary file (about 1.3 GB for an hour of stereo at 44.1 kHz), which vanishes with the process.
#[derive(Debug)]
pub struct Spool {
    file: Kept,
    dir: PathBuf,
    channels: usize,
    frames: usize,
    /// Where the file's own cursor stands, in bytes.
    at: u64,
}

impl Spool {
    /// An empty spool of `channels` channels, with its file in `dir` or in the system's temporary directory.
    #[must_use]
    pub fn new(channels: usize, dir: Option<&Path>) -> Self {
        Self::with_memory(channels, dir, MAX_MEMORY_BYTES)
    }

    /// [`Spool::new`] with at most `memory_bytes` in memory.
    #[must_use]
    pub fn with_memory(channels: usize, dir: Option<&Path>, memory_bytes: usize) -> Self {
        let dir = dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let file = Kept::Spooled(tempfile::spooled_tempfile_in(memory_bytes, &dir));
        Self { file, dir, channels, frames: 0, at: 0 }
    }

    /// A spool over a file without a name in which the audio is already: `frames` frames of interleaved 32-bit
    /// floats, least byte first.
    ///
    /// # Errors
    /// [`Error::Io`] when the file is shorter.
    pub fn of_file(file: File, channels: usize, frames: usize) -> Result<Self> {
        let bytes = frames as u64 * channels as u64 * 4;
        if file.metadata().map_err(Error::io("read kept audio"))?.len() < bytes {
            return Err(Error::io("read kept audio")(ErrorKind::UnexpectedEof.into()));
        }
        let file = Kept::File(file);
        // Where the cursor stands is not known: the first read or write has to go to its place.
        Ok(Self { file, dir: std::env::temp_dir(), channels, frames, at: u64::MAX })
    }

    /// Channels of every block.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Frames appended so far.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Appends `[channels][frames]`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::DiskFull`] with directory and free space, [`Error::Io`].
    pub fn append(&mut self, block: &[Vec<f32>]) -> Result<()> {
        let frames = frames_of(block, self.channels)?;
        self.go_to(self.frames)?;
        let mut bytes = Vec::with_capacity(PART.min(frames) * self.channels * 4);
        for start in (0..frames).step_by(PART) {
            bytes.clear();
            for frame in start..frames.min(start + PART) {
                bytes.extend(block.iter().flat_map(|plane| plane[frame].to_le_bytes()));
            }
            self.file.write_all(&bytes).map_err(|source| full_or(source, &self.dir, "keep audio"))?;
            self.at += bytes.len() as u64;
        }
        self.frames += frames;
        Ok(())
    }

    /// Fills the planes of `out`, all of one length, with frames from `start` on; gives how many there were.
    ///
    /// What lies beyond the end becomes zeros.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Io`].
    pub fn read(&mut self, start: usize, out: &mut [Vec<f32>]) -> Result<usize> {
        let wanted = frames_of(out, self.channels)?;
        let found = self.frames.saturating_sub(start).min(wanted);
        self.go_to(start.min(self.frames))?;
        let mut bytes = vec![0; PART.min(found) * self.channels * 4];
        for first in (0..found).step_by(PART) {
            let frames = PART.min(found - first);
            let bytes = &mut bytes[..frames * self.channels * 4];
            self.file.read_exact(bytes).map_err(Error::io("read kept audio"))?;
            self.at += bytes.len() as u64;
            let samples = bytes.as_chunks::<4>().0;
            for (channel, plane) in out.iter_mut().enumerate() {
                let own = samples[channel..].iter().step_by(self.channels);
                for (sample, bytes) in plane[first..first + frames].iter_mut().zip(own) {
                    *sample = f32::from_le_bytes(*bytes);
                }
            }
        }
        for plane in out {
            plane[found..].fill(0.0);
        }
        Ok(found)
    }

    fn go_to(&mut self, frame: usize) -> Result<()> {
        let at = frame as u64 * self.channels as u64 * 4;
        if at != self.at {
            self.at = self.file.seek(SeekFrom::Start(at)).map_err(Error::io("read kept audio"))?;
        }
        Ok(())
    }
}

/// Where the bytes are.
#[derive(Debug)]
enum Kept {
    /// In memory while they are few.
    Spooled(SpooledTempFile),
    /// In a file that someone else wrote.
    File(File),
}

impl Read for Kept {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Spooled(file) => file.read(bytes),
            Self::File(file) => file.read(bytes),
        }
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Spooled(file) => file.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Spooled(file) => file.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

impl Seek for Kept {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match self {
            Self::Spooled(file) => file.seek(to),
            Self::File(file) => file.seek(to),
        }
    }
}

/// A full disk in words with numbers, anything else as it is.
pub(crate) fn full_or(source: std::io::Error, dir: &Path, action: &'static str) -> Error {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Error::DiskFull { dir: dir.to_path_buf(), free_mib: free_bytes(dir).unwrap_or(0) >> 20 }
        }
        _ => Error::Io { action, source },
    }
}

/// Bytes that are free for files in the folder `dir`; none when the system does not tell.
#[must_use]
pub fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(File::open(dir).ok()?).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_a_spool_can_be_read_in_memory_and_on_disk() {
        for blocks in [3, 200] {
            let mut spool = Spool::new(2, None);
            for i in 0..blocks {
                let plane: Vec<f32> = (0..13_000).map(|n| (i * 13_000 + n) as f32).collect();
                let other = plane.iter().map(|sample| -sample).collect();
                spool.append(&[plane, other]).unwrap();
            }
            assert!(matches!(&spool.file, Kept::Spooled(file) if file.is_rolled() == (blocks == 200)));
            let frames = spool.frames();
            for (start, found) in
                [(0, 20_000), (12_999, 20_000), (frames - 7, 7), (frames, 0), (frames + 9, 0)]
            {
                let mut out = vec![vec![9.0; 20_000]; 2];
                assert_eq!(spool.read(start, &mut out).unwrap(), found);
                let wanted: Vec<f32> = (start..start + found).map(|n| n as f32).collect();
                assert_eq!(out[0][..found], wanted);
                assert_eq!(out[1][..found], wanted.iter().map(|sample| -sample).collect::<Vec<_>>());
                assert_eq!(out[1][found..], vec![0.0; 20_000 - found]);
            }
            spool.append(&[vec![1.0], vec![2.0]]).unwrap();
            let mut out = vec![vec![0.0]; 2];
            assert_eq!(spool.read(frames, &mut out).unwrap(), 1);
            assert_eq!(out, [[1.0], [2.0]]);
        }
    }

    #[test]
    fn a_file_of_samples_is_a_spool() {
        let mut file = tempfile::tempfile().unwrap();
        for sample in [1.0f32, -1.0, 2.0, -2.0, 3.0, -3.0] {
            file.write_all(&sample.to_le_bytes()).unwrap();
        }
        let mut spool = Spool::of_file(file.try_clone().unwrap(), 2, 3).unwrap();
        let mut out = vec![vec![9.0; 3]; 2];
        assert_eq!(spool.read(1, &mut out).unwrap(), 2);
        assert_eq!(out, [[2.0, 3.0, 0.0], [-2.0, -3.0, 0.0]]);
        assert!(Spool::of_file(file, 2, 4).is_err());
    }

    #[test]
    fn a_full_disk_is_named_with_its_free_space() {
        let error = full_or(ErrorKind::StorageFull.into(), Path::new("/"), "keep audio");
        let text = error.to_string();
        assert!(text.starts_with("the disk is full: ") && text.ends_with(" MiB are free in /"), "{text}");
    }

    #[test]
    fn a_block_of_the_wrong_shape_is_refused() {
        let mut spool = Spool::new(2, None);
        assert!(matches!(spool.append(&[vec![0.0]]), Err(Error::Shape { expected: 2, got: 1 })));
        assert!(spool.append(&[vec![0.0], vec![]]).is_err());
    }
}
