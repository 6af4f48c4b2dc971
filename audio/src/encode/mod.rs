//! Samples to bytes.

mod flac;
mod mp3;
mod quantize;
mod wav;

use std::io::{Seek, Write};

use crate::decode::MAX_CHANNELS;
use crate::{Error, Result};

/// A file format to write, with its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// MP3 with a LAME tag, so that players give back the exact length.
    Mp3 {
        /// How it spends its bits.
        bitrate: Bitrate,
        /// How long it thinks about them.
        preset: Preset,
    },
    /// WAV; RF64 where it would pass 4 GiB.
    Wav(WavDepth),
    /// FLAC with its MD5 sum.
    Flac(FlacDepth),
}

/// How an MP3 spends its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bitrate {
    /// Constant, in kbit/s: 64, 80, 96, 112, 128, 160, 192, 224, 256 or 320.
    Cbr(u16),
    /// Variable, LAME's `-V`: 0 is best (about 245 kbit/s), 9 is smallest.
    Vbr(u8),
}

/// How carefully LAME encodes, its `-q`: from 2, the best and the default, to 7, the fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Preset(u8);

impl Preset {
    /// What demucs asks for where nobody asks.
    pub const BEST: Self = Self(2);

    /// `None` outside of 2 to 7.
    #[must_use]
    pub fn new(quality: u8) -> Option<Self> {
        (2..=7).contains(&quality).then_some(Self(quality))
    }
}

/// Sample format of a WAV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WavDepth {
    /// 16-bit integers.
    Bits16,
    /// 24-bit integers.
    Bits24,
    /// 32-bit floats, bit for bit what was written.
    Float32,
}

/// Sample format of a FLAC file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlacDepth {
    /// 16-bit integers.
    Bits16,
    /// 24-bit integers.
    Bits24,
}

impl Default for Format {
    /// What demucs writes: MP3 at 320 kbit/s.
    fn default() -> Self {
        Self::mp3(Bitrate::Cbr(320))
    }
}

impl Format {
    /// MP3, encoded as well as demucs does.
    #[must_use]
    pub const fn mp3(bitrate: Bitrate) -> Self {
        Self::Mp3 { bitrate, preset: Preset::BEST }
    }

    /// The usual file extension, without a dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp3 { .. } => "mp3",
            Self::Wav(_) => "wav",
            Self::Flac(_) => "flac",
        }
    }

    /// The media type.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Mp3 { .. } => "audio/mpeg",
            Self::Wav(_) => "audio/wav",
            Self::Flac(_) => "audio/flac",
        }
    }

    /// Whether files of this format are written at `hz`.
    ///
    /// MP3: 32, 44.1 and 48 kHz (the lower ones of MPEG-2 lose too much). FLAC: up to 655350 Hz. WAV: any.
    #[must_use]
    pub fn supports_rate(self, hz: u32) -> bool {
        match self {
            Self::Mp3 { .. } => matches!(hz, 32_000 | 44_100 | 48_000),
            Self::Wav(_) => hz > 0,
            Self::Flac(_) => (1..=655_350).contains(&hz),
        }
    }

    /// Channels that a file of this format can have.
    #[must_use]
    pub fn max_channels(self) -> usize {
        match self {
            Self::Mp3 { .. } => 2,
            Self::Wav(_) => MAX_CHANNELS,
            Self::Flac(_) => 8,
        }
    }

    /// An encoder that writes to `out` from its current position on, which has to be its start.
    ///
    /// Writes are small; wrap a file in a [`std::io::BufWriter`]. `rate` in Hz.
    ///
    /// # Errors
    /// [`Error::FormatRate`], [`Error::Channels`], [`Error::Encode`] for settings that do not exist,
    /// [`Error::Io`].
    pub fn encoder<'a, W>(self, out: W, rate: u32, channels: usize) -> Result<Box<dyn Encoder + 'a>>
    where
        W: Write + Seek + Send + 'a,
    {
        if !self.supports_rate(rate) {
            return Err(Error::FormatRate { format: self.extension(), hz: rate });
        }
        if !(1..=self.max_channels()).contains(&channels) {
            return Err(Error::Channels { channels, max: self.max_channels() });
        }
        Ok(match self {
            Self::Mp3 { bitrate, preset } => Box::new(mp3::Mp3::new(out, bitrate, preset, rate, channels)?),
            Self::Wav(depth) => Box::new(wav::Wav::new(out, depth, rate, channels)?),
            Self::Flac(depth) => Box::new(flac::Flac::new(out, depth, rate, channels)?),
        })
    }
}

/// What was encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Frames written.
    pub frames: usize,
    /// Samples beyond full scale, which were clamped. Always 0 for float WAV.
    pub clipped_samples: u64,
}

/// Writes one file, block by block, in bounded memory.
pub trait Encoder: Send {
    /// Appends `[channels][frames]`, full scale at 1.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Io`], [`Error::Encode`].
    fn write(&mut self, block: &[Vec<f32>]) -> Result<()>;

    /// Writes what is left, and the headers that could not be known before. Without it the file is broken.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Encode`].
    fn finish(self: Box<Self>) -> Result<Encoded>;
}

/// Writing failed.
fn io(source: std::io::Error) -> Error {
    Error::Io { action: "write the output file", source }
}
