use std::fs::File;
use std::path::{Path, PathBuf};

use audio::measure::Waveform;
use audio::{Block, FlacDepth, Format, Resampler, SealedFile, Spool, StemFile};
use tags::Tags;

use crate::{ClipMode, Error, Plan, Pulse, Result, Stop, Wanted, space};

/// Where a result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To this path, whose folder has to exist.
    Path(PathBuf),
    /// To a file without a name: see [`Sealed::into_file`].
    Unnamed,
}

/// How a result is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoding {
    pub(crate) format: Format,
    /// Sample rate in Hz.
    pub(crate) rate: u32,
    clip: ClipMode,
}

impl Encoding {
    /// As the plan says, but for what is kept.
    pub(crate) fn of(wanted: &Wanted, plan: &Plan, engine_rate: u32) -> Self {
        if wanted.kept {
            let format = Format::Flac(FlacDepth::Bits24);
            return Self { format, rate: engine_rate, clip: ClipMode::Headroom };
        }
        Self { format: plan.format, rate: plan.rate, clip: plan.clip }
    }
}

/// A result on its way to disk: blocks at the network's rate in, an encoded file out.
#[derive(Debug)]
pub(crate) struct Output {
    clip: ClipMode,
    target: Target,
    rate: u32,
    frames: usize,
    resampler: Resampler,
    file: StemFile,
    /// Where samples wait while the peaks of whole results are not known.
    waiting: Option<Spool>,
    peak: f32,
    waveform: Waveform,
}

/// A finished result that nobody sees yet. Dropped, it vanishes.
#[derive(Debug)]
pub struct Sealed {
    target: Target,
    file: SealedFile,
    gain: f32,
    rate: u32,
    waveform: Waveform,
}

/// Parts of a waveform: more than a screen is wide.
const WAVEFORM_PARTS: usize = 2000;

/// Frames that are read back at a time.
const BLOCK_FRAMES: usize = 1 << 16;

impl Output {
    /// Starts the file of `frames` frames.
    pub(crate) fn create(
        target: Target,
        encoding: Encoding,
        plan: &Plan,
        engine_rate: u32,
        frames: usize,
    ) -> Result<Self> {
        let temp_dir = plan.temp_dir.as_deref();
        let memory_bytes = space::memory_of_each(plan.results.len());
        let waiting = encoding.clip.needs_peaks().then(|| Spool::with_memory(2, temp_dir, memory_bytes));
        Ok(Self {
            clip: encoding.clip,
            rate: encoding.rate,
            frames,
            resampler: Resampler::new(engine_rate, encoding.rate, 2)?,
            file: start(&target, encoding, temp_dir)?,
            target,
            waiting,
            peak: 0.0,
            waveform: Waveform::new(frames, WAVEFORM_PARTS),
        })
    }

    /// Takes the next block at the engine's rate.
    pub(crate) fn write(&mut self, block: &[Vec<f32>]) -> Result<()> {
        let block = self.resampler.push(block)?;
        self.take(block)
    }

    /// Ends the audio at its exact length.
    pub(crate) fn end(&mut self) -> Result<()> {
        let unused = Resampler::new(self.rate, self.rate, 2)?;
        let tail = std::mem::replace(&mut self.resampler, unused).finish(Some(self.frames))?;
        self.take(tail)
    }

    /// Largest magnitude of all samples, where the clip mode asks for it.
    pub(crate) fn peak(&self) -> f32 {
        self.peak
    }

    /// Encodes what has waited, with `gain`, and puts in the tags.
    pub(crate) fn seal(mut self, gain: f32, tags: &Tags, stop: &Stop, pulse: &Pulse) -> Result<Sealed> {
        if let Some(mut spool) = self.waiting.take() {
            let mut block = vec![Vec::new(); 2];
            for start in (0..spool.frames()).step_by(BLOCK_FRAMES) {
                stop.check()?;
                for channel in &mut block {
                    channel.resize(BLOCK_FRAMES.min(spool.frames() - start), 0.0);
                }
                spool.read(start, &mut block)?;
                for channel in &mut block {
                    self.clip.apply(gain, channel);
                }
                self.waveform.add(&block);
                self.file.write(&block)?;
                pulse.beat();
            }
        }
        let Self { target, file, rate, waveform, .. } = self;
        Ok(Sealed { target, file: file.seal(tags)?, gain, rate, waveform })
    }

    fn take(&mut self, mut block: Block) -> Result<()> {
        if let Some(spool) = &mut self.waiting {
            self.peak = self.peak.max(audio::measure::peak(&block));
            return Ok(spool.append(&block)?);
        }
        for channel in &mut block {
            self.clip.apply(1.0, channel);
        }
        self.waveform.add(&block);
        Ok(self.file.write(&block)?)
    }
}

fn start(target: &Target, encoding: Encoding, temp_dir: Option<&Path>) -> Result<StemFile> {
    match target {
        // Found only when the stem is shown, it would come after others of the song.
        Target::Path(path) if path.is_dir() => Err(Error::Folder { path: path.clone() }),
        Target::Path(path) => StemFile::create(path, encoding.format, encoding.rate, 2)
            .map_err(|source| Error::Write { path: path.clone(), source }),
        Target::Unnamed => Ok(StemFile::unnamed(temp_dir, encoding.format, encoding.rate, 2)?),
    }
}

impl Sealed {
    /// Whether it was [`Target::Unnamed`].
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.target == Target::Unnamed
    }

    /// The gain that the clip mode applied; 1 for none.
    #[must_use]
    pub fn gain(&self) -> f32 {
        self.gain
    }

    /// Length in samples per channel.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.file.encoded().frames
    }

    /// Sample rate in Hz.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// What is drawn of it, from the samples as they were encoded.
    #[must_use]
    pub fn waveform(&self) -> &Waveform {
        &self.waveform
    }

    /// Shows the file at its path, which is returned; a file without a name vanishes.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn publish(self) -> Result<Option<PathBuf>> {
        match self.target {
            Target::Path(path) => match self.file.publish() {
                Ok(_) => Ok(Some(path)),
                Err(source) => Err(Error::Write { path, source }),
            },
            Target::Unnamed => Ok(None),
        }
    }

    /// The file itself, to be read from its start. It has no name and vanishes when it is closed.
    ///
    /// # Errors
    /// [`Error::Audio`].
    pub fn into_file(self) -> Result<File> {
        Ok(self.file.into_file()?)
    }
}
