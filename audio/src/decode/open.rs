//! From a file to a stream of packets of one track, and the frames to cut from its ends.

use std::io::Seek;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions, ReadBytes};
use symphonia::core::units::Duration;
use symphonia::default::formats::{AiffReader, FlacReader, IsoMp4Reader, OggReader, WavReader};
use tags::{Container, Sniffed};

use super::codec::{guard, make_decoder, read_error};
use super::edit::Edits;
use super::frames::Frames;
use super::packets::Parts;
use super::trim::End;
use super::window::Window;
use super::{edit, riff};
use crate::{Error, Result};

/// A track ready to be decoded.
pub(super) struct Opened {
    pub(super) parts: Parts,
    pub(super) container: Container,
    pub(super) codec: String,
    pub(super) skip: usize,
    pub(super) end: End,
    pub(super) promised_frames: Option<usize>,
    pub(super) track: usize,
    pub(super) tracks: usize,
}

pub(super) fn open(source: Box<dyn MediaSource>, wanted: Option<usize>) -> Result<Opened> {
    let mut whole = Whole(source);
    let Sniffed { container, audio } = tags::sniff(&mut whole)?;
    let mut window = Window::new(whole.0, audio);
    let mut edits = Edits::default();
    if container == Container::Wav {
        window = riff::mend(window)?;
    } else if container == Container::Mp4 {
        edits = edit::read(&mut window).map_err(Error::io("read the file"))?;
    }
    window.rewind().map_err(Error::io("read the file"))?;
    let reader =
        guard(container, || reader(container, window))?.map_err(|error| read_error(container, &error))?;

    let audio_tracks: Vec<&Track> =
        reader.tracks().iter().filter(|track| track.track_type() == Some(TrackType::Audio)).collect();
    let tracks = audio_tracks.len();
    let track = match wanted {
        Some(track) => track,
        None => default_track(&audio_tracks),
    };
    let Some(chosen) = audio_tracks.get(track).copied().cloned() else {
        return Err(match tracks {
            0 => Error::NoTrack { container: container.name() },
            _ => Error::NoSuchTrack { track, tracks },
        });
    };
    let params = audio_params(&chosen).ok_or(Error::NoTrack { container: container.name() })?;
    let (decoder, codec) = make_decoder(container, params)?;
    let rate = params.sample_rate.unwrap_or(0);
    let (skip, end) = ends(container, &chosen, rate, &edits);
    let promised_frames = match end {
        End::After(frames) => Some(frames),
        _ => chosen.num_frames.map(|frames| (frames as usize).saturating_sub(mp4_skip(container, skip))),
    };
    let parts = Parts { container, reader, decoder, track: chosen };
    Ok(Opened { parts, container, codec, skip, end, promised_frames, track, tracks })
}

/// Of several tracks the one marked as default, or the first that names a codec.
fn default_track(tracks: &[&Track]) -> usize {
    let known = |track: &&Track| audio_params(track).is_some_and(|params| params.sample_rate.is_some());
    tracks.iter().position(known).unwrap_or(0)
}

pub(super) fn audio_params(track: &Track) -> Option<&AudioCodecParameters> {
    track.codec_params.as_ref().and_then(CodecParameters::audio)
}

fn reader(container: Container, window: Window) -> symphonia::core::errors::Result<Box<dyn FormatReader>> {
    match container {
        Container::Mp3 => return Ok(Box::new(Frames::mp3(window)?)),
        Container::Adts => return Ok(Box::new(Frames::adts(window)?)),
        _ => {}
    }
    let mut stream = MediaSourceStream::new(Box::new(window), MediaSourceStreamOptions::default());
    let options = FormatOptions::default();
    Ok(match container {
        Container::Wav => Box::new(WavReader::try_new(stream, options)?),
        Container::Flac => Box::new(FlacReader::try_new(stream, options)?),
        Container::Ogg => Box::new(OggReader::try_new(stream, options)?),
        Container::Aiff => Box::new(AiffReader::try_new(stream, options)?),
        _ => {
            // This reader expects to stand behind the size of the first box.
            stream.read_quad_bytes()?;
            Box::new(IsoMp4Reader::try_new(stream, options)?)
        }
    })
}

/// Frames to drop at the start, and where to stop.
fn ends(container: Container, track: &Track, rate: u32, edits: &Edits) -> (usize, End) {
    match container {
        Container::Mp3 => {
            let delay = track.delay.unwrap_or(0) as usize;
            let padding = track.padding.unwrap_or(0) as usize;
            match track.num_frames {
                Some(frames) if delay > 0 => {
                    let decoded = (frames as usize).saturating_add(delay + padding);
                    (delay, End::Before { padding, decoded })
                }
                _ => (delay, End::Open),
            }
        }
        Container::Mp4 => mp4_ends(track, rate, edits),
        _ => (0, End::Open),
    }
}

fn mp4_skip(container: Container, skip: usize) -> usize {
    if container == Container::Mp4 { skip } else { 0 }
}

/// The edit list wins; where it is silent, iTunes' note speaks.
fn mp4_ends(track: &Track, rate: u32, edits: &Edits) -> (usize, End) {
    let Some(tick) = track.time_base else { return (0, End::Open) };
    let ticks_hz = f64::from(tick.denom.get()) / f64::from(tick.numer.get());
    let to_frames = |ticks: f64| (ticks * f64::from(rate) / ticks_hz).round().max(0.0) as usize;
    let edit = edits.tracks.iter().find(|(id, _)| *id == track.id).map(|(_, edit)| *edit);
    let note = edits.note.filter(|note| edit.is_none_or(|edit| edit.start == 0 || edit.start == note.delay));
    if let Some(note) = note {
        return (note.delay as usize, End::After(note.frames as usize));
    }
    let Some(edit) = edit else { return (0, End::Open) };
    let skip = to_frames(edit.start as f64);
    let total = track.duration.map_or(0, Duration::get);
    // The sample table counts frames, the edit list movie ticks, often milliseconds: where they agree to
    // within a tick, the table is the exact one.
    let listed = edit.length as f64 / f64::from(edit.movie_hz.max(1)) * ticks_hz;
    let counted = total.saturating_sub(edit.start) as f64;
    let movie_tick = ticks_hz / f64::from(edit.movie_hz.max(1));
    let length = if (listed - counted).abs() <= movie_tick { counted } else { listed };
    let end = if edit.length == 0 { End::Open } else { End::After(to_frames(length)) };
    (skip, end)
}

/// Rate, channels and frames that a packet states for itself; only MP3 packets do.
pub(super) fn stated_spec(container: Container, bytes: &[u8]) -> Option<(u32, usize, usize)> {
    let frame = tags::frame::mp3(bytes).filter(|_| container == Container::Mp3)?;
    Some((frame.rate, frame.channels, frame.frames))
}

/// Lets `tags` read from a boxed source.
struct Whole(Box<dyn MediaSource>);

impl std::io::Read for Whole {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl std::io::Seek for Whole {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}
