//! One result file: blocks at the network's rate in, an encoded file out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use audio::{Block, Format, Resampler, Spool, StemFile};
use tags::Tags;

use crate::cli::ClipArg;
use crate::clip;

/// What all files of one song share.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) format: Format,
    pub(crate) clip: ClipArg,
    /// Rate of the engine's blocks in Hz.
    pub(crate) engine_rate: u32,
    /// Rate of the file in Hz.
    pub(crate) rate: u32,
    /// Exact length of the file in samples per channel.
    pub(crate) frames: usize,
    pub(crate) temp_dir: Option<PathBuf>,
}

/// A result on its way to disk. Nothing is seen at its path before [`Sealed::publish`].
#[derive(Debug)]
pub(crate) struct Output {
    plan: Plan,
    path: PathBuf,
    resampler: Resampler,
    file: StemFile,
    /// Where samples wait when the peak of the whole stem has to be known first.
    waiting: Option<(Spool, f32)>,
}

/// A finished file that still has its hidden name.
#[derive(Debug)]
pub(crate) struct Sealed {
    path: PathBuf,
    file: audio::SealedFile,
}

/// Frames that are read back at a time.
const BLOCK_FRAMES: usize = 1 << 16;

impl Output {
    /// Starts the file.
    pub(crate) fn create(path: &Path, plan: &Plan) -> Result<Self> {
        // Found only when the stem is shown, it would come after others of the song.
        ensure!(!path.is_dir(), "cannot write {}: there is a folder in its place", path.display());
        let waiting = clip::needs_peak(plan.clip).then(|| (Spool::new(2, plan.temp_dir.as_deref()), 0.0));
        Ok(Self {
            plan: plan.clone(),
            path: path.to_owned(),
            resampler: Resampler::new(plan.engine_rate, plan.rate, 2)?,
            file: StemFile::create(path, plan.format, plan.rate, 2)
                .with_context(|| format!("cannot write {}", path.display()))?,
            waiting,
        })
    }

    /// Takes the next block at the engine's rate.
    pub(crate) fn write(&mut self, block: &Block) -> Result<()> {
        let block = self.resampler.push(block)?;
        self.take(block)
    }

    /// Ends the audio and puts in the tags.
    pub(crate) fn seal(mut self, tags: &Tags) -> Result<Sealed> {
        let unused = Resampler::new(self.plan.rate, self.plan.rate, 2)?;
        let tail = std::mem::replace(&mut self.resampler, unused).finish(Some(self.plan.frames))?;
        self.take(tail)?;
        if let Some((mut spool, peak)) = self.waiting.take() {
            let mut block = vec![Vec::new(); 2];
            for start in (0..spool.frames()).step_by(BLOCK_FRAMES) {
                for channel in &mut block {
                    channel.resize(BLOCK_FRAMES.min(spool.frames() - start), 0.0);
                }
                spool.read(start, &mut block)?;
                for channel in &mut block {
                    clip::clip(self.plan.clip, peak, channel);
                }
                self.file.write(&block)?;
            }
        }
        Ok(Sealed { path: self.path, file: self.file.seal(tags)? })
    }

    fn take(&mut self, mut block: Block) -> Result<()> {
        if let Some((spool, peak)) = &mut self.waiting {
            *peak = peak.max(audio::measure::peak(&block));
            return Ok(spool.append(&block)?);
        }
        for channel in &mut block {
            clip::clip(self.plan.clip, 0.0, channel);
        }
        Ok(self.file.write(&block)?)
    }
}

impl Sealed {
    /// Shows the file at its path, which is returned.
    pub(crate) fn publish(self) -> Result<PathBuf> {
        self.file.publish().with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(self.path)
    }
}
