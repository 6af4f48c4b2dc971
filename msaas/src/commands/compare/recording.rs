use std::path::Path;

use anyhow::{Context, Result};
use audio::{Block, DecodeLimits, Decoder, stereo};

/// A file that is decoded in blocks of any size.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) name: String,
    decoder: Decoder,
    waiting: Block,
    /// In Hz.
    pub(super) rate: u32,
    /// Decoded so far.
    pub(super) frames: usize,
    ended: bool,
}

impl Recording {
    pub(super) fn open(path: &Path, track: Option<usize>) -> Result<Self> {
        let name = path.display().to_string();
        let decoder =
            Decoder::open_path(path, &DecodeLimits::default(), track).with_context(|| name.clone())?;
        let rate = decoder.info().sample_rate;
        Ok(Self { name, decoder, waiting: vec![Vec::new(); 2], rate, frames: 0, ended: false })
    }

    /// The next `n` frames in stereo; fewer only at the end.
    pub(super) fn take(&mut self, n: usize) -> Result<Block> {
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
}
