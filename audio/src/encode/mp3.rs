//! MP3 by LAME, with its tag. Source: the `lame.h` of LAME 3.100; "MP3 Info Tag revision 1 specification".

use std::io::{Seek, SeekFrom, Write};

use mp3lame_encoder::{
    Bitrate as Kbps, Builder, DualPcm, Encoder as Lame, FlushGap, MonoPcm, Quality, VbrMode,
    max_required_buffer_size,
};

use super::{Bitrate, Encoded, Encoder, Preset, io};
use crate::{Error, Result, frames_of};

/// Frames handed to LAME at a time.
const PART: usize = 8192;

pub(super) struct Mp3<W> {
    out: W,
    lame: Lame,
    channels: usize,
    gain: f32,
    frames: usize,
    clipped: u64,
    bytes: Vec<u8>,
    planes: [Vec<f32>; 2],
}

impl<W: Write + Seek> Mp3<W> {
    pub(super) fn new(out: W, bitrate: Bitrate, preset: Preset, rate: u32, channels: usize) -> Result<Self> {
        let lame = lame(bitrate, preset, rate, channels)?;
        let planes = [Vec::new(), Vec::new()];
        let gain = 1.0 / loudness_kept(bitrate);
        Ok(Self { out, lame, channels, gain, frames: 0, clipped: 0, bytes: Vec::new(), planes })
    }

    fn encode(&mut self, block: &[Vec<f32>], start: usize, end: usize) -> Result<()> {
        for (clean, plane) in self.planes.iter_mut().zip(block) {
            clean.clear();
            clean.extend(plane[start..end].iter().map(|sample| self.gain * clamped(*sample)));
            self.clipped += plane[start..end].iter().filter(|sample| sample.abs() > 1.0).count() as u64;
        }
        self.bytes.clear();
        self.bytes.reserve(max_required_buffer_size(end - start));
        let [left, right] = &self.planes;
        if self.channels == 1 {
            self.lame.encode_to_vec(MonoPcm(left), &mut self.bytes)
        } else {
            self.lame.encode_to_vec(DualPcm { left, right }, &mut self.bytes)
        }
        .map_err(fault)?;
        self.out.write_all(&self.bytes).map_err(io)
    }

    /// The last frames, then the tag over the place that LAME kept for it at the start.
    fn close(&mut self) -> Result<()> {
        self.bytes.clear();
        self.bytes.reserve(max_required_buffer_size(2 * 1152));
        self.lame.flush_to_vec::<FlushGap>(&mut self.bytes).map_err(fault)?;
        self.out.write_all(&self.bytes).map_err(io)?;
        self.bytes.clear();
        self.bytes.reserve(self.lame.lame_tag_size());
        if self.lame.lame_tag_encode_to_vec(&mut self.bytes).is_none() {
            return Err(Error::Encode { format: "mp3", reason: "no lame tag was made".to_owned() });
        }
        self.out.seek(SeekFrom::Start(0)).map_err(io)?;
        self.out.write_all(&self.bytes).map_err(io)?;
        self.out.seek(SeekFrom::End(0)).map_err(io)?;
        self.out.flush().map_err(io)
    }
}

impl<W: Write + Seek + Send> Encoder for Mp3<W> {
    fn write(&mut self, block: &[Vec<f32>]) -> Result<()> {
        let frames = frames_of(block, self.channels)?;
        for start in (0..frames).step_by(PART) {
            self.encode(block, start, frames.min(start + PART))?;
        }
        self.frames += frames;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Encoded> {
        self.close()?;
        Ok(Encoded { frames: self.frames, clipped_samples: self.clipped })
    }
}

fn lame(bitrate: Bitrate, preset: Preset, rate: u32, channels: usize) -> Result<Lame> {
    let refused = |reason: &str| Error::Encode { format: "mp3", reason: reason.to_owned() };
    let build = |error: mp3lame_encoder::BuildError| refused(&error.to_string().to_lowercase());
    let mut builder = Builder::new().ok_or_else(|| refused("no memory for the encoder"))?;
    builder.set_num_channels(channels as u8).map_err(build)?;
    builder.set_sample_rate(rate).map_err(build)?;
    let quality = graded(preset.0).ok_or_else(|| refused("there is no such preset"))?;
    builder.set_quality(quality).map_err(build)?;
    match bitrate {
        Bitrate::Cbr(kbps) => {
            let known = constant(kbps).ok_or_else(|| {
                let rates = CONSTANT.map(|rate| (rate as u16).to_string()).join(", ");
                refused(&format!("{kbps} kbit/s is none of the bit rates, which are {rates}"))
            })?;
            builder.set_brate(known).map_err(build)?;
        }
        Bitrate::Vbr(quality) => {
            let known = graded(quality).ok_or_else(|| {
                refused(&format!("there is no quality {quality}: 0 is best, 9 is smallest"))
            })?;
            builder.set_vbr_mode(VbrMode::Mtrh).map_err(build)?;
            builder.set_vbr_quality(known).map_err(build)?;
        }
    }
    builder.set_to_write_vbr_tag(true).map_err(build)?;
    // Otherwise low bit rates would change the sample rate.
    builder.set_output_sample_rate(std::num::NonZeroU32::new(rate)).map_err(build)?;
    builder.build().map_err(build)
}

/// Bit rates of MPEG-1 layer III whose frames have room for LAME's tag, without which a file has no exact length.
const CONSTANT: [Kbps; 10] = [
    Kbps::Kbps64,
    Kbps::Kbps80,
    Kbps::Kbps96,
    Kbps::Kbps112,
    Kbps::Kbps128,
    Kbps::Kbps160,
    Kbps::Kbps192,
    Kbps::Kbps224,
    Kbps::Kbps256,
    Kbps::Kbps320,
];

fn constant(kbps: u16) -> Option<Kbps> {
    CONSTANT.into_iter().find(|rate| *rate as u16 == kbps)
}

/// What LAME multiplies samples by before it encodes them, for fear of clipping at low bit rates. It is taken
/// back here, or stems would not add up to the song. Source: `presets.c` of LAME 3.100; a test measures each.
fn loudness_kept(bitrate: Bitrate) -> f32 {
    match bitrate {
        Bitrate::Cbr(..=160) => 0.95,
        Bitrate::Cbr(..=192) => 0.97,
        Bitrate::Cbr(..=224) => 0.98,
        Bitrate::Cbr(_) | Bitrate::Vbr(_) => 1.0,
    }
}

/// LAME's scale: 0 is best, 9 is worst.
fn graded(quality: u8) -> Option<Quality> {
    let known = [
        Quality::Best,
        Quality::SecondBest,
        Quality::NearBest,
        Quality::VeryNice,
        Quality::Nice,
        Quality::Good,
        Quality::Decent,
        Quality::Ok,
        Quality::SecondWorst,
        Quality::Worst,
    ];
    known.get(usize::from(quality)).copied()
}

/// Within full scale; what is not a number becomes 0, which LAME could not bear.
fn clamped(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

fn fault(error: mp3lame_encoder::EncodeError) -> Error {
    Error::Encode { format: "mp3", reason: error.to_string().to_lowercase() }
}
