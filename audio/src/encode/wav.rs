//! RIFF WAVE, and RF64 beyond 4 GiB. Source: EBU Tech 3306.

use std::io::{Seek, SeekFrom, Write};

use super::quantize::Quantizer;
use super::{Encoded, Encoder, WavDepth, io};
use crate::{Result, frames_of};

/// Body of the `ds64` chunk; a `JUNK` chunk keeps its place until it is needed.
const DS64_BYTES: u32 = 28;

/// Data beyond this makes a file RF64: what is left of 4 GiB is room for headers and tags.
const MAX_PLAIN_BYTES: u64 = u32::MAX as u64 - (64 << 20);

/// Frames converted at a time.
const PART: usize = 8192;

pub(super) struct Wav<W> {
    out: W,
    depth: WavDepth,
    quantizer: Quantizer,
    channels: usize,
    frames: usize,
    header: Vec<u8>,
    max_plain: u64,
}

impl<W: Write + Seek> Wav<W> {
    pub(super) fn new(mut out: W, depth: WavDepth, rate: u32, channels: usize) -> Result<Self> {
        let header = header(depth, rate, channels);
        out.write_all(&header).map_err(io)?;
        let quantizer = Quantizer::new(if depth == WavDepth::Bits24 { 24 } else { 16 });
        Ok(Self { out, depth, quantizer, channels, frames: 0, header, max_plain: MAX_PLAIN_BYTES })
    }

    fn put(&mut self, bytes: &mut Vec<u8>, sample: f32) {
        match self.depth {
            WavDepth::Bits16 => bytes.extend((self.quantizer.quantize(sample) as i16).to_le_bytes()),
            WavDepth::Bits24 => bytes.extend(&self.quantizer.quantize(sample).to_le_bytes()[..3]),
            WavDepth::Float32 => bytes.extend(sample.to_le_bytes()),
        }
    }

    /// Fills in the sizes.
    fn close(&mut self) -> std::io::Result<()> {
        let body = self.frames as u64 * self.channels as u64 * sample_bytes(self.depth);
        if body % 2 == 1 {
            self.out.write_all(&[0])?;
        }
        let data_at = self.header.len() - 4;
        let riff = self.header.len() as u64 - 8 + body + body % 2;
        let frames = self.frames as u64;
        let (plain_riff, plain_body) = if body <= self.max_plain {
            (riff as u32, body as u32)
        } else {
            self.header[..4].copy_from_slice(b"RF64");
            self.header[12..16].copy_from_slice(b"ds64");
            for (at, size) in [(20, riff), (28, body), (36, frames)] {
                self.header[at..at + 8].copy_from_slice(&size.to_le_bytes());
            }
            (u32::MAX, u32::MAX)
        };
        self.header[4..8].copy_from_slice(&plain_riff.to_le_bytes());
        self.header[data_at..].copy_from_slice(&plain_body.to_le_bytes());
        if self.depth == WavDepth::Float32 {
            let fact_at = data_at - 8;
            self.header[fact_at..fact_at + 4]
                .copy_from_slice(&u32::try_from(frames).unwrap_or(u32::MAX).to_le_bytes());
        }
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&self.header)?;
        self.out.seek(SeekFrom::End(0))?;
        self.out.flush()
    }
}

impl<W: Write + Seek + Send> Encoder for Wav<W> {
    fn write(&mut self, block: &[Vec<f32>]) -> Result<()> {
        let frames = frames_of(block, self.channels)?;
        let mut bytes = Vec::new();
        for start in (0..frames).step_by(PART) {
            bytes.clear();
            for frame in start..frames.min(start + PART) {
                for plane in block {
                    self.put(&mut bytes, plane[frame]);
                }
            }
            self.out.write_all(&bytes).map_err(io)?;
        }
        self.frames += frames;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Encoded> {
        self.close().map_err(io)?;
        Ok(Encoded { frames: self.frames, clipped_samples: self.quantizer.clipped() })
    }
}

fn sample_bytes(depth: WavDepth) -> u64 {
    match depth {
        WavDepth::Bits16 => 2,
        WavDepth::Bits24 => 3,
        WavDepth::Float32 => 4,
    }
}

/// Everything before the samples, with zeros for sizes.
fn header(depth: WavDepth, rate: u32, channels: usize) -> Vec<u8> {
    let float = depth == WavDepth::Float32;
    let bytes = sample_bytes(depth) as u32;
    let block = bytes * channels as u32;
    let mut header = b"RIFF\0\0\0\0WAVEJUNK".to_vec();
    header.extend(DS64_BYTES.to_le_bytes());
    header.extend([0; DS64_BYTES as usize]);
    header.extend(b"fmt ");
    header.extend(if float { 18u32 } else { 16 }.to_le_bytes());
    header.extend(if float { 3u16 } else { 1 }.to_le_bytes());
    header.extend((channels as u16).to_le_bytes());
    header.extend(rate.to_le_bytes());
    header.extend(rate.saturating_mul(block).to_le_bytes());
    header.extend((block as u16).to_le_bytes());
    header.extend((bytes as u16 * 8).to_le_bytes());
    if float {
        header.extend([0, 0]);
        header.extend(b"fact\x04\0\0\0\0\0\0\0");
    }
    header.extend(b"data\0\0\0\0");
    header
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{DecodeLimits, Decoder};

    #[test]
    fn a_file_beyond_the_plain_size_is_rf64_and_decodes_the_same() {
        let block = vec![(0..5000).map(|i| (i % 97) as f32 / 128.0).collect::<Vec<_>>(); 2];
        for max_plain in [u64::MAX, 1000] {
            for depth in [WavDepth::Bits16, WavDepth::Bits24, WavDepth::Float32] {
                let mut file = Cursor::new(Vec::new());
                let mut wav = Wav::new(&mut file, depth, 44_100, 2).unwrap();
                wav.max_plain = max_plain;
                wav.write(&block).unwrap();
                Box::new(wav).finish().unwrap();
                assert_eq!(file.get_ref().starts_with(b"RF64"), max_plain == 1000);
                let title = tags::Tags { title: Some("Bass".into()), ..Default::default() };
                tags::write(&mut file, &title).unwrap();
                let mut decoder = Decoder::open(Box::new(file), &DecodeLimits::default(), None).unwrap();
                assert_eq!(decoder.read_all().unwrap(), block);
            }
        }
    }
}
