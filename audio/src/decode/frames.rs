//! MP3 and ADTS streams: frames behind one another, without a table of contents or time stamps.
//!
//! A reader of our own, because what is lost between two frames has to be measured: that is the only way to
//! keep what follows in its place.

use std::io::{Read, Seek, SeekFrom};

use symphonia::core::audio::{Channels, Position};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_MP3};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};
use symphonia::core::errors::{Result, SeekErrorKind, decode_error, seek_error};
use symphonia::core::formats::well_known::{FORMAT_ID_ADTS, FORMAT_ID_MP3};
use symphonia::core::formats::{FormatInfo, FormatReader, MediaInfo, SeekMode, SeekTo, SeekedTo, Track};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::{Metadata, MetadataLog};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};
use tags::frame::{Frame, MAX_BYTES, Parser, adts, mp3};

use super::info_tag;
use super::window::Window;

/// Bytes kept around the position.
const CACHE_BYTES: usize = 1 << 16;

/// Frames of another kind than the first that have to follow one before it counts.
const OTHER_KIND: usize = 2;

/// Bytes that have to be in sight to judge a frame by the two that follow it.
const SIGHT: usize = 2 * MAX_BYTES + 16;

/// A stream of frames. The time stamps of its packets leave gaps where bytes are lost.
pub(super) struct Frames {
    window: Window,
    codec: AudioCodecId,
    parse: Parser,
    first: Frame,
    at: u64,
    cache: Vec<u8>,
    cache_at: u64,
    /// Bytes and number of the frames so far, for the mean.
    seen: (u64, u64),
    tracks: Vec<Track>,
    pts: i64,
    media: MediaInfo,
    metadata: MetadataLog,
}

/// What comes next in a stream.
enum Next {
    /// A whole frame, header included.
    Frame(Frame, Vec<u8>),
    /// Bytes that are no frames, as long as this many samples per channel.
    Lost(usize),
    /// Nothing.
    End,
}

impl Frames {
    /// The MP3 stream that starts with the window. Delay, padding and length are those of its LAME tag.
    pub(super) fn mp3(window: Window) -> Result<Self> {
        let mut frames = Self::new(window, CODEC_ID_MP3, mp3)?;
        if let Next::Frame(frame, bytes) = frames.next()? {
            match info_tag::read(frame, &bytes) {
                None => frames.at = 0,
                Some(tag) => {
                    let track = &mut frames.tracks[0];
                    let (delay, padding) = tag.gaps.unwrap_or_default();
                    if tag.gaps.is_some() {
                        track.with_delay(delay as u32).with_padding(padding as u32);
                    }
                    if let Some(packets) = tag.packets {
                        let all = packets as u64 * frame.frames as u64;
                        track.with_num_frames(all.saturating_sub((delay + padding) as u64));
                    }
                }
            }
            // Neither a frame of silence nor one that is read twice says how long frames are.
            frames.seen = (0, 0);
        }
        Ok(frames)
    }

    /// The AAC stream that starts with the window.
    pub(super) fn adts(window: Window) -> Result<Self> {
        Self::new(window, CODEC_ID_AAC, adts)
    }

    fn new(window: Window, codec: AudioCodecId, parse: Parser) -> Result<Self> {
        let first = Frame { kind: 0, bytes: 0, header_bytes: 0, rate: 0, channels: 0, frames: 0 };
        let mut frames = Self {
            window,
            codec,
            parse,
            first,
            at: 0,
            cache: Vec::new(),
            cache_at: 0,
            seen: (0, 0),
            tracks: Vec::new(),
            pts: 0,
            media: MediaInfo::default(),
            metadata: MetadataLog::default(),
        };
        let Some(first) = parse(frames.sight(0)?) else { return decode_error("no frame at the start") };
        frames.first = first;
        let mut params = AudioCodecParameters::new();
        params.for_codec(codec).with_sample_rate(first.rate).with_channels(layout(first.channels));
        let mut track = Track::new(0);
        track.with_codec_params(CodecParameters::Audio(params));
        frames.tracks.push(track);
        Ok(frames)
    }

    /// The next frame, or how much is lost before it.
    fn next(&mut self) -> std::io::Result<Next> {
        let (parse, kind, mixed) = (self.parse, self.first.kind, self.codec == CODEC_ID_MP3);
        let ahead = self.sight(self.at)?;
        let found = match parse(ahead) {
            Some(frame) if frame.kind == kind => frame,
            Some(frame) if mixed && follows(parse, ahead, frame, OTHER_KIND) => frame,
            _ => {
                // Files that were joined have tags in the middle: those are not lost music.
                if let Some(size) = tag_bytes(ahead).filter(|size| self.at + size <= self.window.len()) {
                    self.at += size;
                    return Ok(Next::Lost(0));
                }
                return self.resync();
            }
        };
        let Some(bytes) = ahead.get(..found.bytes) else { return Ok(Next::End) };
        let bytes = bytes.to_vec();
        self.at += found.bytes as u64;
        self.seen = (self.seen.0 + found.bytes as u64, self.seen.1 + 1);
        Ok(Next::Frame(found, bytes))
    }

    /// Looks for the next frame that another one follows.
    fn resync(&mut self) -> std::io::Result<Next> {
        let (parse, kind, start) = (self.parse, self.first.kind, self.at);
        loop {
            self.at += 1;
            let ahead = self.sight(self.at)?;
            if ahead.is_empty() {
                return Ok(Next::End);
            }
            let Some(skip) = ahead.iter().position(|byte| *byte == 0xff) else {
                self.at += ahead.len() as u64 - 1;
                continue;
            };
            // What was just skipped may have been most of what is in sight.
            self.at += skip as u64;
            let ahead = self.sight(self.at)?;
            if let Some(frame) = parse(ahead)
                && follows(parse, ahead, frame, if frame.kind == kind { 1 } else { OTHER_KIND })
            {
                return Ok(Next::Lost(self.frames_in(self.at - start)));
            }
        }
    }

    fn is_info(&self, frame: Frame, bytes: &[u8]) -> bool {
        self.codec == CODEC_ID_MP3 && info_tag::read(frame, bytes).is_some()
    }

    /// Samples per channel in `bytes` bytes, by the mean so far.
    fn frames_in(&self, bytes: u64) -> usize {
        let (sum, count) = if self.seen.1 == 0 { (self.first.bytes as u64, 1) } else { self.seen };
        let frames = (bytes as f64 * count as f64 / sum.max(1) as f64).round();
        frames as usize * self.first.frames
    }

    /// What the window has from `at` on: at least `SIGHT` bytes unless it ends before.
    fn sight(&mut self, at: u64) -> std::io::Result<&[u8]> {
        let offset = at.checked_sub(self.cache_at).map_or(usize::MAX, |offset| offset as usize);
        let ends = self.cache_at + self.cache.len() as u64 >= self.window.len();
        if offset > self.cache.len() || (self.cache.len() - offset < SIGHT && !ends) {
            self.window.seek(SeekFrom::Start(at))?;
            self.cache.clear();
            self.cache_at = at;
            self.window.by_ref().take(CACHE_BYTES as u64).read_to_end(&mut self.cache)?;
            return Ok(&self.cache);
        }
        Ok(&self.cache[offset..])
    }
}

impl FormatReader for Frames {
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        loop {
            match self.next()? {
                Next::End => return Ok(None),
                Next::Lost(frames) => self.pts += frames as i64,
                // Files that were joined have such frames in the middle.
                Next::Frame(frame, bytes) if self.is_info(frame, &bytes) => {}
                Next::Frame(frame, mut bytes) => {
                    if self.codec == CODEC_ID_AAC {
                        bytes.drain(..frame.header_bytes);
                    }
                    let (pts, length) = (Timestamp::new(self.pts), Duration::new(frame.frames as u64));
                    self.pts += frame.frames as i64;
                    return Ok(Some(Packet::new(0, pts, length, bytes)));
                }
            }
        }
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn format_info(&self) -> &FormatInfo {
        if self.codec == CODEC_ID_MP3 { &MP3 } else { &ADTS }
    }

    fn media_info(&self) -> &MediaInfo {
        &self.media
    }

    fn metadata(&mut self) -> Metadata<'_> {
        self.metadata.metadata()
    }

    fn seek(&mut self, _mode: SeekMode, _to: SeekTo) -> Result<SeekedTo> {
        seek_error(SeekErrorKind::Unseekable)
    }

    fn into_inner<'s>(self: Box<Self>) -> MediaSourceStream<'s>
    where
        Self: 's,
    {
        MediaSourceStream::new(Box::new(self.window), MediaSourceStreamOptions::default())
    }
}

const MP3: FormatInfo =
    FormatInfo { format: FORMAT_ID_MP3, short_name: "mp3", long_name: "MPEG audio layer III" };

const ADTS: FormatInfo = FormatInfo { format: FORMAT_ID_ADTS, short_name: "adts", long_name: "AAC in ADTS" };

fn layout(channels: usize) -> Channels {
    match channels {
        1 => Channels::Positioned(Position::FRONT_LEFT),
        2 => Channels::Positioned(Position::FRONT_LEFT | Position::FRONT_RIGHT),
        more => Channels::Discrete(more as u16),
    }
}

/// Size of the `ID3v2`, `APEv2` or `ID3v1` tag that `bytes` start with.
fn tag_bytes(bytes: &[u8]) -> Option<u64> {
    match bytes {
        [b'I', b'D', b'3', _, _, flags, a, b, c, d, ..] => {
            let body = [a, b, c, d].into_iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f));
            Some(10 + body + u64::from(flags >> 4 & 1) * 10)
        }
        [b'A', b'P', b'E', b'T', b'A', b'G', b'E', b'X', _, _, _, _, a, b, c, d, ..] => {
            Some(32 + u64::from(u32::from_le_bytes([*a, *b, *c, *d])))
        }
        [b'T', b'A', b'G', ..] => Some(128),
        _ => None,
    }
}

/// Whether `count` frames like `frame` follow it, as far as the bytes go.
fn follows(parse: Parser, bytes: &[u8], frame: Frame, count: usize) -> bool {
    let mut at = 0;
    let mut last = frame;
    for _ in 0..count {
        at += last.bytes;
        match bytes.get(at..) {
            Some([]) => return true,
            None => return false,
            Some(rest) => match parse(rest) {
                Some(next) if next.kind == frame.kind => last = next,
                _ => return false,
            },
        }
    }
    true
}
