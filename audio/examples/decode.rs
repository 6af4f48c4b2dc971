//! Decodes a song to what a network takes, interleaved 32-bit floats of two channels at 44.1 kHz: `decode SONG SAMPLES`.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use audio::{Block, DecodeLimits, Decoder, Resampler, stereo};

const RATE: u32 = 44_100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut arg = || args.next().ok_or("usage: decode SONG SAMPLES");
    let mut decoder = Decoder::open_path(Path::new(&arg()?), &DecodeLimits::default(), None)?;
    let mut file = BufWriter::new(File::create(arg()?)?);
    let (rate, front) = (decoder.info().sample_rate, decoder.info().front);
    let mut resampler = Resampler::new(rate, RATE, 2)?;
    while let Some(block) = decoder.next_block()? {
        write(&mut file, &resampler.push(&stereo(block, front))?)?;
    }
    write(&mut file, &resampler.finish(None)?)?;
    Ok(file.flush()?)
}

fn write(file: &mut impl Write, block: &Block) -> std::io::Result<()> {
    let (left, right) = (&block[0], &block[1]);
    left.iter().zip(right).try_for_each(|(left, right)| {
        file.write_all(&left.to_le_bytes())?;
        file.write_all(&right.to_le_bytes())
    })
}
