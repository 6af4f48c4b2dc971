use std::io::Read;
use std::path::Path;

use audio::{DecodeLimits, Decoder, MediaSource, Resampler, Spool, resampled_len, stereo};
use demucs::{BoxError, Mixture};
use sha2::{Digest, Sha256};

use crate::{Error, Result, Stop};

/// A song as the engine reads it: decoded, in stereo, at the network's rate.
///
/// Kept in memory while it is short and in an unlinked temporary file from then on.
#[derive(Debug)]
pub struct Song {
    spool: Spool,
    buffer: audio::Block,
    rate: u32,
    frames: usize,
    damaged: usize,
}

/// How to read a song.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// What is refused.
    pub limits: DecodeLimits,
    /// Audio track of a file that has several, from 0; none takes the default one.
    pub track: Option<usize>,
    /// Folder for what does not stay in memory; none takes the system's.
    pub temp_dir: Option<&'a Path>,
    /// The rate that the network wants, in Hz: [`crate::Engine::rate`].
    pub rate: u32,
}

impl Default for Reading<'_> {
    /// For the published networks: 44.1 kHz.
    fn default() -> Self {
        Self { limits: DecodeLimits::default(), track: None, temp_dir: None, rate: 44_100 }
    }
}

impl Song {
    /// Decodes a whole file, so that a bad one fails before anything is separated.
    ///
    /// # Errors
    /// [`Error::Audio`] for what cannot be decoded or kept, [`Error::Empty`], [`Error::Stopped`].
    pub fn read(source: Box<dyn MediaSource>, reading: &Reading<'_>, stop: &Stop) -> Result<Self> {
        Self::read_watched(source, reading, stop, &mut |_| ())
    }

    /// [`Song::read`] for a file on disk.
    ///
    /// # Errors
    /// Those of [`Song::read`], and [`Error::Audio`] when there is no such file.
    pub fn open(path: &Path, reading: &Reading<'_>, stop: &Stop) -> Result<Self> {
        Self::decode(Decoder::open_path(path, &reading.limits, reading.track)?, reading, stop, &mut |_| ())
    }

    /// [`Song::read`]; `watch` hears of the frames that each block brought, at the engine's rate.
    ///
    /// # Errors
    /// Those of [`Song::read`].
    pub fn read_watched(
        source: Box<dyn MediaSource>,
        reading: &Reading<'_>,
        stop: &Stop,
        watch: &mut dyn FnMut(usize),
    ) -> Result<Self> {
        Self::decode(Decoder::open(source, &reading.limits, reading.track)?, reading, stop, watch)
    }

    fn decode(
        mut decoder: Decoder,
        reading: &Reading<'_>,
        stop: &Stop,
        watch: &mut dyn FnMut(usize),
    ) -> Result<Self> {
        let (rate, front) = (decoder.info().sample_rate, decoder.info().front);
        let mut resampler = Resampler::new(rate, reading.rate, 2)?;
        let mut spool = Spool::new(2, reading.temp_dir);
        while let Some(block) = decoder.next_block()? {
            let block = resampler.push(&stereo(block, front))?;
            spool.append(&block)?;
            watch(block[0].len());
            stop.check()?;
        }
        let report = decoder.report();
        if report.frames == 0 {
            return Err(Error::Empty);
        }
        let target = resampled_len(report.frames, rate, reading.rate);
        spool.append(&resampler.finish(Some(target))?)?;
        Ok(Self { spool, buffer: Vec::new(), rate, frames: report.frames, damaged: report.skipped_packets })
    }

    /// `frames` frames of silence at `rate` Hz.
    ///
    /// # Errors
    /// [`Error::Audio`] when it cannot be kept.
    pub fn silence(frames: usize, rate: u32) -> Result<Self> {
        let mut spool = Spool::new(2, None);
        spool.append(&[vec![0.0; frames], vec![0.0; frames]])?;
        Ok(Self { spool, buffer: Vec::new(), rate, frames, damaged: 0 })
    }

    /// Sample rate of the file in Hz.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Length of the file in samples per channel, at its own rate.
    #[must_use]
    pub fn file_frames(&self) -> usize {
        self.frames
    }

    /// Length of the file in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.frames as f64 / f64::from(self.rate)
    }

    /// Packets that could not be decoded and became silence.
    #[must_use]
    pub fn damaged_packets(&self) -> usize {
        self.damaged
    }
}

impl Mixture for Song {
    fn frames(&self) -> usize {
        self.spool.frames()
    }

    fn read(
        &mut self,
        start: usize,
        left: &mut [f32],
        right: &mut [f32],
    ) -> std::result::Result<(), BoxError> {
        self.buffer.resize_with(2, Vec::new);
        for channel in &mut self.buffer {
            channel.resize(left.len(), 0.0);
        }
        self.spool.read(start, &mut self.buffer)?;
        left.copy_from_slice(&self.buffer[0]);
        right.copy_from_slice(&self.buffer[1]);
        Ok(())
    }
}

/// SHA-256 of all bytes of a file, from which shifts are drawn.
///
/// # Errors
/// Those of the reader.
pub fn hash(mut reader: impl Read) -> std::io::Result<[u8; 32]> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let n = reader.read(&mut buffer)?;
        if n == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&buffer[..n]);
    }
}
