//! A song as the engine reads it: decoded, in stereo, at the network's rate.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use audio::{DecodeLimits, Decoder, Resampler, Spool, resampled_len, stereo};
use demucs::{BoxError, Mixture};
use sha2::{Digest, Sha256};

/// A decoded song, kept in memory while it is short and in a temporary file from then on.
#[derive(Debug)]
pub(crate) struct Song {
    spool: Spool,
    buffer: audio::Block,
    /// Sample rate of the file in Hz.
    pub(crate) rate: u32,
    /// Length of the file in samples per channel.
    pub(crate) frames: usize,
    /// Packets that could not be decoded and became silence.
    pub(crate) damaged: usize,
}

/// How to read a song.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) limits: DecodeLimits,
    pub(crate) track: Option<usize>,
    pub(crate) temp_dir: Option<&'a Path>,
    /// The rate that the network wants, in Hz.
    pub(crate) rate: u32,
}

impl Song {
    /// Decodes a whole file, so that a bad one fails before anything is separated.
    pub(crate) fn read(path: &Path, reading: Reading<'_>) -> Result<Self> {
        let mut decoder = Decoder::open_path(path, &reading.limits, reading.track)?;
        let (rate, front) = (decoder.info().sample_rate, decoder.info().front);
        let mut resampler = Resampler::new(rate, reading.rate, 2)?;
        let mut spool = Spool::new(2, reading.temp_dir);
        while let Some(block) = decoder.next_block()? {
            spool.append(&resampler.push(&stereo(block, front))?)?;
            ensure!(!crate::stop::requested(), "stopped");
        }
        let report = decoder.report();
        ensure!(report.frames > 0, "the file holds no audio");
        let target = resampled_len(report.frames, rate, reading.rate);
        spool.append(&resampler.finish(Some(target))?)?;
        Ok(Self { spool, buffer: Vec::new(), rate, frames: report.frames, damaged: report.skipped_packets })
    }
}

impl Mixture for Song {
    fn frames(&self) -> usize {
        self.spool.frames()
    }

    fn read(&mut self, start: usize, left: &mut [f32], right: &mut [f32]) -> Result<(), BoxError> {
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

/// SHA-256 of a file's bytes.
pub(crate) fn hash(path: &Path) -> Result<[u8; 32]> {
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let n = file.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))?;
        if n == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&buffer[..n]);
    }
}
