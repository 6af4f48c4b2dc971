//! Other formats and mixes of a song whose sources were kept, without the network.

use audio::{Block, DecodeLimits, Decoder, MediaSource, Spool};

use crate::clip::HEADROOM;
use crate::output::Output;
use crate::separate::{create, seal};
use crate::song::Decoded;
use crate::{Error, Plan, Result, Sealed, Stop};

/// Frames that are mixed at a time.
const BLOCK_FRAMES: usize = 1 << 16;

/// The sources of a song as [`crate::Wanted::kept`] wrote them, decoded again.
#[derive(Debug)]
pub struct Sources {
    spools: Vec<Spool>,
    /// Frames of each source, at `rate`.
    frames: usize,
    /// Sample rate in Hz.
    rate: u32,
    song: Decoded,
}

impl Sources {
    /// Decodes the files of all sources, in the network's order, of a song that was found to be `song`; `watch`
    /// hears of the frames that each block brought.
    ///
    /// # Errors
    /// [`Error::Audio`] for a file that is none of ours or cannot be kept, [`Error::Stopped`].
    pub fn read(
        files: Vec<Box<dyn MediaSource>>,
        song: Decoded,
        temp_dir: Option<&std::path::Path>,
        stop: &Stop,
        watch: &mut dyn FnMut(usize),
    ) -> Result<Self> {
        let mut sources = Self { spools: Vec::new(), frames: 0, rate: 0, song };
        let limits = DecodeLimits { max_seconds: f64::INFINITY, max_errors: 0 };
        for file in files {
            let mut decoder = Decoder::open(file, &limits, None)?;
            sources.rate = decoder.info().sample_rate;
            let mut spool = Spool::new(2, temp_dir);
            while let Some(block) = decoder.next_block()? {
                stop.check()?;
                spool.append(&block)?;
                watch(block[0].len());
            }
            sources.frames = spool.frames();
            sources.spools.push(spool);
        }
        Ok(sources)
    }

    /// Frames of each source.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }
}

/// Makes the results of a plan from kept sources, as [`crate::separate`] would, to the precision of 24 bits.
///
/// `watch` hears of the frames that are mixed so far. Stems that need the mixture itself cannot be made.
///
/// # Errors
/// Those of [`crate::separate`], without a network's.
pub fn derive(
    sources: &mut Sources,
    plan: &Plan,
    stop: &Stop,
    watch: &mut dyn FnMut(usize),
) -> Result<Vec<Sealed>> {
    if plan.results.iter().any(|w| w.stem.mixture != 0.0 || w.stem.gains.len() != sources.spools.len()) {
        let why = "such a stem cannot be made from the sources that are kept".to_owned();
        return Err(Error::Separate(demucs::Error::Request(why)));
    }
    let mut outputs = create(plan, sources.rate, (sources.song.frames, sources.song.rate))?;
    for start in (0..sources.frames).step_by(BLOCK_FRAMES) {
        stop.check()?;
        let frames = BLOCK_FRAMES.min(sources.frames - start);
        let mut blocks: Vec<Block> = Vec::new();
        for spool in &mut sources.spools {
            let mut block = vec![vec![0.0; frames]; 2];
            spool.read(start, &mut block)?;
            blocks.push(block);
        }
        for (output, wanted) in outputs.iter_mut().zip(&plan.results) {
            output.write(&mixed(&blocks, &wanted.stem.gains, frames))?;
        }
        watch(start + frames);
    }
    outputs.iter_mut().try_for_each(Output::end)?;
    seal(outputs, plan, stop)
}

/// The sum of all sources with their gains, at the level they had before [`HEADROOM`].
fn mixed(sources: &[Block], gains: &[f32], frames: usize) -> Block {
    let mut sum = vec![vec![0.0; frames]; 2];
    for (source, gain) in sources.iter().zip(gains).filter(|(_, gain)| **gain != 0.0) {
        let gain = gain / HEADROOM;
        for (sum, plane) in sum.iter_mut().zip(source) {
            sum.iter_mut().zip(plane).for_each(|(sum, sample)| *sum += gain * sample);
        }
    }
    sum
}
