//! FLAC in blocks of 4096 frames. Source: RFC 9639.

mod bits;
mod frame;
mod lpc;
mod residual;

use std::io::{Seek, SeekFrom, Write};

use md5::{Digest, Md5};

use super::quantize::Quantizer;
use super::{Encoded, Encoder, FlacDepth, io};
use crate::{Result, frames_of};
use frame::{Stream, encode};

/// Frames of a block, as the reference encoder has them.
const BLOCK: usize = 4096;

/// Marker, block header and stream information.
const HEADER_BYTES: usize = 42;

pub(super) struct Flac<W> {
    out: W,
    stream: Stream,
    quantizer: Quantizer,
    /// Integers that do not fill a block yet, `[channels][frames]`.
    pending: Vec<Vec<i32>>,
    md5: Md5,
    frames: usize,
    blocks: u64,
    /// Smallest and largest encoded block, in bytes.
    block_bytes: Option<(usize, usize)>,
}

impl<W: Write + Seek> Flac<W> {
    pub(super) fn new(mut out: W, depth: FlacDepth, rate: u32, channels: usize) -> Result<Self> {
        let bits = if depth == FlacDepth::Bits16 { 16 } else { 24 };
        out.write_all(&[0; HEADER_BYTES]).map_err(io)?;
        Ok(Self {
            out,
            stream: Stream { rate, bits, block: BLOCK },
            quantizer: Quantizer::new(bits),
            pending: vec![Vec::with_capacity(BLOCK); channels],
            md5: Md5::new(),
            frames: 0,
            blocks: 0,
            block_bytes: None,
        })
    }

    /// Encodes what is pending as one block.
    fn flush(&mut self) -> Result<()> {
        let frames = self.pending[0].len();
        if frames == 0 {
            return Ok(());
        }
        let width = self.stream.bits as usize / 8;
        let mut raw = Vec::with_capacity(frames * self.pending.len() * width);
        for frame in 0..frames {
            for plane in &self.pending {
                raw.extend(&plane[frame].to_le_bytes()[..width]);
            }
        }
        self.md5.update(&raw);
        let bytes = encode(&self.stream, self.blocks, &self.pending);
        let (least, most) = self.block_bytes.unwrap_or((bytes.len(), bytes.len()));
        self.block_bytes = Some((least.min(bytes.len()), most.max(bytes.len())));
        self.frames += frames;
        self.blocks += 1;
        self.pending.iter_mut().for_each(Vec::clear);
        self.out.write_all(&bytes).map_err(io)
    }

    fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(b"fLaC\x80\0\0\x22");
        header[8..10].copy_from_slice(&(BLOCK as u16).to_be_bytes());
        header[10..12].copy_from_slice(&(BLOCK as u16).to_be_bytes());
        // 0 stands for unknown.
        let (least, most) = self.block_bytes.unwrap_or((0, 0));
        header[12..15].copy_from_slice(&(least as u32).to_be_bytes()[1..]);
        header[15..18].copy_from_slice(&(most as u32).to_be_bytes()[1..]);
        let word = u64::from(self.stream.rate) << 44
            | (self.pending.len() as u64 - 1) << 41
            | u64::from(self.stream.bits - 1) << 36
            | self.frames as u64 & ((1 << 36) - 1);
        header[18..26].copy_from_slice(&word.to_be_bytes());
        header[26..].copy_from_slice(&self.md5.clone().finalize());
        header
    }
}

impl<W: Write + Seek + Send> Encoder for Flac<W> {
    fn write(&mut self, block: &[Vec<f32>]) -> Result<()> {
        let frames = frames_of(block, self.pending.len())?;
        let mut start = 0;
        while start < frames {
            let end = frames.min(start + BLOCK - self.pending[0].len());
            for (pending, plane) in self.pending.iter_mut().zip(block) {
                pending.extend(plane[start..end].iter().map(|sample| self.quantizer.quantize(*sample)));
            }
            if self.pending[0].len() == BLOCK {
                self.flush()?;
            }
            start = end;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Encoded> {
        self.flush()?;
        let header = self.header();
        self.out.seek(SeekFrom::Start(0)).map_err(io)?;
        self.out.write_all(&header).map_err(io)?;
        self.out.seek(SeekFrom::End(0)).map_err(io)?;
        self.out.flush().map_err(io)?;
        Ok(Encoded { frames: self.frames, clipped_samples: self.quantizer.clipped() })
    }
}
