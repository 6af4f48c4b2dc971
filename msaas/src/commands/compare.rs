//! `msaas compare`: how near one recording is to another.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use audio::measure::{Sdr, lag};
use audio::{Block, DecodeLimits, Decoder, stereo};

use crate::cli::CompareArgs;
use crate::terminal;

/// Seconds from the start in which the lag is looked for.
const LAG_WINDOW_S: usize = 30;
/// Largest lag that is found, in frames.
const MAX_LAG: usize = 4096;

/// Runs the command.
pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let mut reference = Recording::open(&args.reference, args.track)?;
    let mut estimates =
        args.estimates.iter().map(|path| Recording::open(path, None)).collect::<Result<Vec<_>>>()?;
    for estimate in &estimates {
        ensure!(
            estimate.rate == reference.rate,
            "{} has {} Hz and {} has {} Hz",
            args.reference.display(),
            reference.rate,
            estimate.name,
            estimate.rate
        );
    }
    let mut sdr = Sdr::default();
    let (mut head, mut estimated_head) = (Vec::new(), Vec::new());
    let window = LAG_WINDOW_S * reference.rate as usize;
    loop {
        let block = reference.take(BLOCK_FRAMES)?;
        let mut sum = vec![Vec::new(); 2];
        for estimate in &mut estimates {
            add(&mut sum, &estimate.take(BLOCK_FRAMES)?);
        }
        let n = block[0].len().min(sum[0].len());
        if n == 0 {
            break;
        }
        let cut = |block: &Block| -> Block { block.iter().map(|channel| channel[..n].to_vec()).collect() };
        let (block, sum) = (cut(&block), cut(&sum));
        sdr.add(&block, &sum);
        if head.len() < window {
            head.extend_from_slice(&block[0]);
            estimated_head.extend_from_slice(&sum[0]);
        }
    }
    reference.skip_rest()?;
    let mut equal = true;
    for estimate in &mut estimates {
        estimate.skip_rest()?;
        equal &= estimate.frames == reference.frames;
        if estimate.frames != reference.frames {
            terminal::print(&format!("length: {} and {} frames", reference.frames, estimate.frames))?;
        }
    }
    if equal {
        terminal::print(&format!("length: {} frames, equal", reference.frames))?;
    }
    let lag = lag(&head, &estimated_head, MAX_LAG);
    match &lag {
        Some(lag) => terminal::print(&format!("lag: {} frames", lag.frames))?,
        None => terminal::print("lag: none found (silence)")?,
    }
    terminal::print(&format!("sdr: {:.2} dB", sdr.db()))?;
    ensure!(!args.aligned || equal, "the lengths differ");
    ensure!(!args.aligned || lag.is_none_or(|lag| lag.frames == 0), "the recordings are not aligned");
    if let Some(min) = args.min_sdr {
        ensure!(sdr.db() >= min, "the ratio is below {min} dB");
    }
    Ok(())
}

const BLOCK_FRAMES: usize = 1 << 16;

/// A file that is decoded in blocks of any size.
struct Recording {
    name: String,
    decoder: Decoder,
    waiting: Block,
    rate: u32,
    frames: usize,
    ended: bool,
}

impl Recording {
    fn open(path: &Path, track: Option<usize>) -> Result<Self> {
        let name = path.display().to_string();
        let decoder =
            Decoder::open_path(path, &DecodeLimits::default(), track).with_context(|| name.clone())?;
        let rate = decoder.info().sample_rate;
        Ok(Self { name, decoder, waiting: vec![Vec::new(); 2], rate, frames: 0, ended: false })
    }

    /// The next `n` frames in stereo; fewer only at the end.
    fn take(&mut self, n: usize) -> Result<Block> {
        while !self.ended && self.waiting[0].len() < n {
            match self.decoder.next_block().with_context(|| self.name.clone())? {
                Some(block) => {
                    let block = stereo(block, self.decoder.info().front);
                    self.frames += block[0].len();
                    for (waiting, channel) in self.waiting.iter_mut().zip(block) {
                        waiting.extend(channel);
                    }
                }
                None => self.ended = true,
            }
        }
        let n = n.min(self.waiting[0].len());
        Ok(self.waiting.iter_mut().map(|channel| channel.drain(..n).collect()).collect())
    }

    fn skip_rest(&mut self) -> Result<()> {
        while !self.take(BLOCK_FRAMES)?[0].is_empty() {}
        Ok(())
    }
}

fn add(sum: &mut Block, block: &Block) {
    for (sum, channel) in sum.iter_mut().zip(block) {
        if sum.len() < channel.len() {
            sum.resize(channel.len(), 0.0);
        }
        for (sum, sample) in sum.iter_mut().zip(channel) {
            *sum += sample;
        }
    }
}
