//! The loop around the decoder: one track's packets in, raw blocks out, faults contained.

use symphonia::core::audio::{AudioSpec, GenericAudioBufferRef};
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::packet::Packet;
use tags::Container;

use super::codec::{guard, make_decoder};
use super::open::{audio_params, stated_spec};
use super::{MAX_CHANNELS, RATES};
use crate::stereo::Front;
use crate::{Block, Error, Result};

/// Frames of silence that one broken packet may stand for; the largest packet of any codec here is a FLAC
/// block of 65535 frames.
const MAX_SILENCE: usize = 65_536;

/// Faults of the container in a row before it counts as ended.
const MAX_FAULTS_IN_A_ROW: usize = 16;

/// Packets in a row of tracks that were not asked for.
const MAX_FOREIGN_IN_A_ROW: usize = 200_000;

/// Frames missing between two packets that are filled up; more is a time stamp that lies.
const MAX_GAP: i64 = 1 << 21;

/// Packets in a row at another sample rate that make it a change and not a fault.
const RATE_CHANGE_PACKETS: usize = 3;

/// An opened track.
pub(super) struct Parts {
    pub(super) container: Container,
    pub(super) reader: Box<dyn FormatReader>,
    pub(super) decoder: Box<dyn AudioDecoder>,
    pub(super) track: Track,
}

/// What one turn gave.
pub(super) enum Pulled {
    /// Frames, as many channels as [`Packets::spec`] says.
    Block(Block),
    /// Frames of silence in place of a broken packet.
    Silence(usize),
    /// Nothing more will come.
    End,
}

/// Rate and channels, as decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) rate: u32,
    pub(super) channels: usize,
    pub(super) front: Front,
}

/// The packets of one track.
pub(super) struct Packets {
    parts: Parts,
    /// Decoder for the other channel count of an MP3 that switches between mono and stereo.
    other: Option<Box<dyn AudioDecoder>>,
    spec: Option<Spec>,
    good: usize,
    skipped: usize,
    silent: usize,
    frames: usize,
    max_errors: usize,
    other_rate: usize,
    /// Where the next packet should start, in formats whose readers drop broken packets without a word.
    expected: Option<i64>,
    /// A packet behind a gap.
    waiting: Option<Packet>,
}

impl Packets {
    pub(super) fn new(parts: Parts, max_errors: usize) -> Self {
        Self {
            parts,
            other: None,
            spec: None,
            good: 0,
            skipped: 0,
            silent: 0,
            frames: 0,
            max_errors,
            other_rate: 0,
            expected: None,
            waiting: None,
        }
    }

    pub(super) fn has_decoded(&self) -> bool {
        self.good > 0
    }

    pub(super) fn skipped(&self) -> usize {
        self.skipped
    }

    pub(super) fn silent_frames(&self) -> usize {
        self.silent
    }

    /// Rate and channels of what was decoded, or of the header where the file holds no packets at all.
    pub(super) fn spec(&self) -> Result<Spec> {
        if let Some(spec) = self.spec {
            return Ok(spec);
        }
        let container = self.parts.container.name();
        if self.skipped > 0 {
            return Err(Error::NothingDecoded { container, skipped: self.skipped });
        }
        let params = self.parts.decoder.codec_params();
        match (params.sample_rate, params.channels.clone()) {
            (Some(rate), Some(channels)) => check(&AudioSpec::new(rate, channels)),
            _ => Err(Error::Demux { container, reason: "it holds no audio packets".to_owned() }),
        }
    }

    /// Decodes one packet.
    pub(super) fn pull(&mut self) -> Result<Pulled> {
        let packet = match self.waiting.take() {
            Some(packet) => packet,
            None => match self.next_packet()? {
                Some(packet) => packet,
                None => return Ok(Pulled::End),
            },
        };
        if let Some(gap) = self.gap(&packet) {
            self.waiting = Some(packet);
            return self.skip(gap);
        }
        let stated = stated_spec(self.parts.container, &packet.data);
        let frames = stated.map_or_else(|| self.duration(&packet), |(_, _, frames)| frames);
        if let (Some((rate, _, _)), Some(spec)) = (stated, self.spec)
            && rate != spec.rate
        {
            return self.at_other_rate(rate, spec, frames);
        }
        match self.decode(&packet, stated.map(|(_, channels, _)| channels))? {
            // A frame that comes out short would shift everything behind it.
            Ok((_, block)) if stated.is_some() && block.first().map_or(0, Vec::len) != frames => {
                self.skip(frames)
            }
            Ok((spec, block)) => self.accept(&spec, block),
            Err(_) => self.skip(frames.min(MAX_SILENCE)),
        }
    }

    /// Frames that are missing before a packet, where packets know their place in the stream.
    fn gap(&mut self, packet: &Packet) -> Option<usize> {
        if !matches!(
            self.parts.container,
            Container::Mp3 | Container::Adts | Container::Flac | Container::Ogg
        ) {
            return None;
        }
        let start = packet.pts.get();
        let gap = start - self.expected.unwrap_or(start);
        if (1..=MAX_GAP).contains(&gap) {
            self.expected = Some(start);
            return Some(gap as usize);
        }
        self.expected = start.checked_add_unsigned(packet.block_dur().get());
        None
    }

    /// The next packet of the track; faults of the container are counted.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        let (mut faults, mut foreign) = (0, 0);
        while faults < MAX_FAULTS_IN_A_ROW && foreign < MAX_FOREIGN_IN_A_ROW {
            let reader = &mut self.parts.reader;
            match guard(self.parts.container, || reader.next_packet())? {
                Ok(Some(packet)) if packet.track_id == self.parts.track.id => return Ok(Some(packet)),
                Ok(Some(_)) => foreign += 1,
                Ok(None) => return Ok(None),
                // A file that is cut short ends here.
                Err(Fault::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Ok(None);
                }
                Err(Fault::IoError(source)) => return Err(Error::Io { action: "read the file", source }),
                Err(Fault::ResetRequired) => {
                    faults += 1;
                    self.follow_chain()?;
                }
                Err(_) => {
                    faults += 1;
                    self.count_fault()?;
                }
            }
        }
        Ok(None)
    }

    /// A chained Ogg file goes on with another stream.
    fn follow_chain(&mut self) -> Result<()> {
        let next = self.parts.reader.first_track_known_codec(TrackType::Audio).cloned();
        let Some(track) = next else { return Ok(()) };
        if let Some(params) = audio_params(&track) {
            (self.parts.decoder, _) = make_decoder(self.parts.container, params)?;
            self.parts.track = track;
            self.expected = None;
        }
        Ok(())
    }

    /// Decodes with the decoder for the packet's channel count. The outer error ends it all.
    fn decode(
        &mut self,
        packet: &Packet,
        channels: Option<usize>,
    ) -> Result<std::result::Result<(AudioSpec, Block), Fault>> {
        let container = self.parts.container;
        let switched = channels.is_some_and(|n| self.spec.is_some_and(|spec| spec.channels != n));
        if switched && self.other.is_none() {
            let params = self.parts.decoder.codec_params().clone();
            self.other = Some(make_decoder(container, &params)?.0);
        }
        let decoder = match &mut self.other {
            Some(other) if switched => other,
            _ => &mut self.parts.decoder,
        };
        guard(container, || decoder.decode(packet).map(|buffer| (buffer.spec().clone(), planes(&buffer))))
    }

    fn accept(&mut self, found: &AudioSpec, block: Block) -> Result<Pulled> {
        let frames = block.first().map_or(0, Vec::len);
        self.other_rate = 0;
        let spec = match self.spec {
            Some(spec) if spec.rate == found.rate() => spec,
            Some(spec) => return Err(self.rate_changed(found.rate(), spec)),
            // Decoders answer some packets with nothing at all.
            None if frames == 0 && found.rate() == 0 => return Ok(Pulled::Block(Block::new())),
            None => *self.spec.insert(check(found)?),
        };
        self.good += 1;
        self.frames += frames;
        Ok(Pulled::Block(conform(block, spec.channels)))
    }

    fn skip(&mut self, frames: usize) -> Result<Pulled> {
        self.count_fault()?;
        self.silent += frames;
        self.frames += frames;
        Ok(Pulled::Silence(frames))
    }

    fn count_fault(&mut self) -> Result<()> {
        self.skipped += 1;
        if self.skipped <= self.max_errors {
            return Ok(());
        }
        Err(match self.good {
            0 => Error::NothingDecoded { container: self.parts.container.name(), skipped: self.skipped },
            _ => Error::TooDamaged { skipped: self.skipped },
        })
    }

    /// One packet at another rate is a damaged header; several are a file glued from two.
    fn at_other_rate(&mut self, rate: u32, spec: Spec, frames: usize) -> Result<Pulled> {
        self.other_rate += 1;
        if self.other_rate >= RATE_CHANGE_PACKETS {
            return Err(self.rate_changed(rate, spec));
        }
        self.skip(frames)
    }

    fn rate_changed(&self, to_hz: u32, spec: Spec) -> Error {
        let at_s = self.frames as f64 / f64::from(spec.rate);
        Error::RateChanged { from_hz: spec.rate, to_hz, at_s }
    }

    /// Length of a packet in frames, by the container.
    fn duration(&self, packet: &Packet) -> usize {
        let ticks = packet.dur.get();
        let rate = self.spec.map(|spec| spec.rate);
        let seconds = self.parts.track.time_base.zip(rate).map(|(base, rate)| {
            ticks as f64 * f64::from(base.numer.get()) / f64::from(base.denom.get()) * f64::from(rate)
        });
        seconds.map_or(ticks as usize, |frames| frames.round() as usize)
    }
}

fn planes(buffer: &GenericAudioBufferRef<'_>) -> Block {
    let mut block = Block::new();
    buffer.copy_to_vecs_planar(&mut block);
    block
}

fn check(found: &AudioSpec) -> Result<Spec> {
    let channels = found.channels().count();
    if !RATES.contains(&found.rate()) {
        return Err(Error::Rate { hz: found.rate() });
    }
    if !(1..=MAX_CHANNELS).contains(&channels) {
        return Err(Error::Channels { channels, max: MAX_CHANNELS });
    }
    Ok(Spec { rate: found.rate(), channels, front: Front::of(found.channels()) })
}

/// Gives a block the channel count of the first one: the last channel repeated, or the mean of stereo.
fn conform(mut block: Block, channels: usize) -> Block {
    if block.len() == 2 && channels == 1 {
        let right = block.pop().unwrap_or_default();
        for (left, right) in block[0].iter_mut().zip(right) {
            *left = f32::midpoint(*left, right);
        }
    }
    let last = block.last().cloned().unwrap_or_default();
    block.resize(channels, last);
    block
}
