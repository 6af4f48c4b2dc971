//! Bytes to samples.

mod codec;
mod coupling;
mod edit;
mod frames;
mod info_tag;
mod open;
mod packets;
mod riff;
mod trim;
mod window;

use std::fs::File;
use std::path::Path;

use tags::Container;

use crate::{Block, Error, Front, Result};
use packets::{Packets, Pulled};
use trim::Trim;

pub use symphonia::core::io::MediaSource;

/// Sample rates that are accepted, in Hz.
pub(crate) const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// Channels that are accepted.
pub(crate) const MAX_CHANNELS: usize = 64;

/// Frames of silence in one block.
const SILENCE_BLOCK: usize = 65_536;

/// How much of a file is decoded before it is given up. Headers that promise lengths are never trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeLimits {
    /// Decoded audio, in seconds. One hour at 8 kbit/s is 3.6 MB in and 1.27 GB out.
    pub max_seconds: f64,
    /// Packets that may be broken.
    pub max_errors: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_seconds: 7_200.0, max_errors: 1_000 }
    }
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioInfo {
    /// Frames per second, as decoded.
    pub sample_rate: u32,
    /// Channels of every block.
    pub channels: usize,
    /// Which of them are front left and front right.
    pub front: Front,
    /// File format.
    pub container: Container,
    /// Short name of the codec, such as `mp3`, `pcm_s16le`, `alac`.
    pub codec: String,
    /// Frames that the file's headers promise, after trimming. For progress bars: files lie.
    pub promised_frames: Option<usize>,
    /// The audio track that is decoded, counted from 0.
    pub track: usize,
    /// Audio tracks in the file.
    pub tracks: usize,
}

/// What happened while decoding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Frames given out.
    pub frames: usize,
    /// Packets that could not be decoded.
    pub skipped_packets: usize,
    /// Frames of silence put in their place, so that what follows stays aligned.
    pub silent_frames: usize,
}

/// Decodes one audio track, block by block, in bounded memory.
///
/// The container is found by content. Encoder delay and padding are cut where the file states them (LAME tag,
/// edit list or iTunes note, Ogg granule positions), so that the result has the length and the alignment of
/// what was encoded. Broken packets become silence of equal length.
pub struct Decoder {
    packets: Packets,
    trim: Trim,
    info: AudioInfo,
    report: Report,
    /// Frames of silence that are still to be given out.
    silence: usize,
    /// Decoded while opening, to learn the true rate and channels.
    first: Option<Block>,
    /// Frames that may be decoded, delay included.
    max_frames: usize,
    max_seconds: f64,
    decoded: usize,
    ended: bool,
}

impl Decoder {
    /// Opens a file on disk; `track` counts audio tracks from 0, and none means the default one.
    ///
    /// # Errors
    /// Those of [`Decoder::open`], and [`Error::Io`] when there is no such file.
    pub fn open_path(path: &Path, limits: &DecodeLimits, track: Option<usize>) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open the file"))?;
        Self::open(Box::new(file), limits, track)
    }

    /// Opens a seekable source, such as a [`File`] or a [`std::io::Cursor`] over bytes, and decodes up to the
    /// first good packet.
    ///
    /// # Errors
    /// [`Error::File`] for what is not audio, [`Error::Demux`] and [`Error::Unsupported`] for what cannot be
    /// read, [`Error::NoTrack`], [`Error::NoSuchTrack`], [`Error::NothingDecoded`], [`Error::Rate`],
    /// [`Error::Channels`], [`Error::Panicked`].
    pub fn open(source: Box<dyn MediaSource>, limits: &DecodeLimits, track: Option<usize>) -> Result<Self> {
        let opened = open::open(source, track)?;
        let mut packets = Packets::new(opened.parts, limits.max_errors);
        let mut silence = 0;
        let first = loop {
            match packets.pull()? {
                Pulled::Silence(frames) => silence += frames,
                Pulled::Block(block) if packets.has_decoded() => break Some(block),
                Pulled::Block(_) => {}
                Pulled::End => break None,
            }
        };
        let spec = packets.spec()?;
        let trim = Trim::new(opened.skip, opened.end);
        let info = AudioInfo {
            sample_rate: spec.rate,
            channels: spec.channels,
            front: spec.front,
            container: opened.container,
            codec: opened.codec,
            promised_frames: opened.promised_frames,
            track: opened.track,
            tracks: opened.tracks,
        };
        let max_frames = (limits.max_seconds * f64::from(spec.rate)).max(0.0) as usize;
        Ok(Self {
            packets,
            trim,
            info,
            report: Report::default(),
            silence,
            first,
            max_frames: max_frames.saturating_add(opened.skip),
            max_seconds: limits.max_seconds,
            decoded: 0,
            ended: false,
        })
    }

    /// What the file holds.
    #[must_use]
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// What happened so far; complete once [`Decoder::next_block`] has given none.
    #[must_use]
    pub fn report(&self) -> Report {
        let skipped_packets = self.packets.skipped();
        Report { skipped_packets, silent_frames: self.packets.silent_frames(), ..self.report }
    }

    /// The next frames `[channels][frames]`, full scale at 1, at least one frame; none at the end.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::TooDamaged`], [`Error::RateChanged`], [`Error::Panicked`], [`Error::Demux`].
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        while !self.ended {
            let block = if let Some(block) = self.pull().inspect_err(|_| self.ended = true)? {
                self.decoded += block.first().map_or(0, Vec::len);
                self.trim.push(block)
            } else {
                self.ended = true;
                self.trim.finish()
            };
            // The padding at the end may pass the limit; what is given out may not.
            let frames = block.first().map_or(0, Vec::len);
            if self.decoded > self.max_frames.saturating_add(8192)
                || self.report.frames + frames > self.max_frames
            {
                self.ended = true;
                return Err(Error::TooLong { max_seconds: self.max_seconds });
            }
            if frames > 0 {
                self.report.frames += frames;
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// The next decoded frames before trimming.
    fn pull(&mut self) -> Result<Option<Block>> {
        while self.silence == 0 && self.first.is_none() {
            if self.trim.is_full() {
                return Ok(None);
            }
            match self.packets.pull()? {
                Pulled::Silence(frames) => self.silence = frames,
                Pulled::Block(block) => self.first = Some(block),
                Pulled::End => return Ok(None),
            }
        }
        if self.silence == 0 {
            return Ok(self.first.take());
        }
        let part = self.silence.min(SILENCE_BLOCK);
        self.silence -= part;
        Ok(Some(vec![vec![0.0; part]; self.info.channels]))
    }

    /// Everything that is left, in memory. For short files and tests.
    ///
    /// # Errors
    /// Those of [`Decoder::next_block`].
    pub fn read_all(&mut self) -> Result<Block> {
        let mut whole = vec![Vec::new(); self.info.channels];
        while let Some(block) = self.next_block()? {
            for (plane, part) in whole.iter_mut().zip(block) {
                plane.extend(part);
            }
        }
        Ok(whole)
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("info", &self.info)
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}
