//! Songs of a campaign: seeded, all different, some divided, some that are none.

use std::io::Cursor;

use audio::{Format, WavDepth};
use common::StemName;
use demucs::seeded::splitmix;

use crate::processes::{MODEL, RATE};

/// Numbers that follow from a seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(splitmix(seed))
    }

    /// A number below `sides`.
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(1);
        (splitmix(self.0) >> 20) as usize % sides
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A song and what is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) bytes: Vec<u8>,
    /// Samples per channel; 0 for what only looks like a song.
    pub(crate) frames: u64,
    pub(crate) rate_hz: u32,
    pub(crate) format: Format,
    /// Of all stems where none is named.
    pub(crate) stems: Vec<StemName>,
    /// What becomes of it on the way.
    pub(crate) turn: Turn,
}

/// What a client does with its job later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Nothing,
    Cancel,
    Delete,
}

impl Wish {
    /// Wish number `number` of a campaign.
    pub(crate) fn of(seed: u64, number: usize) -> Self {
        let mut dice = Dice::new(splitmix(seed) ^ number as u64);
        let poison = dice.chance(5);
        // Only MP3 wants a rate that it has, and has its results under the names of the older contract too.
        let (format, rate_hz) = match dice.below(10) {
            0..6 => (Format::Flac(audio::FlacDepth::Bits16), RATE),
            6..8 => (Format::Wav(WavDepth::Float32), RATE),
            _ => (Format::mp3(audio::Bitrate::Cbr(192)), 44_100),
        };
        let frames = if poison { 0 } else { (1 + dice.below(12)) * rate_hz as usize / 8 + dice.below(500) };
        let stems: &[&str] = if dice.chance(50) { &["bass", "vocals"] } else { &[] };
        let turn = match dice.below(100) {
            0..6 => Turn::Cancel,
            6..10 => Turn::Delete,
            _ => Turn::Nothing,
        };
        let stems = stems.iter().map(|stem| stem.parse().unwrap()).collect();
        let bytes = bytes(&mut dice, frames, rate_hz);
        Self { bytes, frames: frames as u64, rate_hz, format, stems, turn }
    }

    /// A song of `frames` frames; 0 for what only looks like one.
    pub(crate) fn with(seed: u64, frames: usize, rate_hz: u32, format: Format) -> Self {
        let bytes = bytes(&mut Dice::new(seed), frames, rate_hz);
        Self { bytes, frames: frames as u64, rate_hz, format, stems: Vec::new(), turn: Turn::Nothing }
    }

    pub(crate) fn is_poison(&self) -> bool {
        self.frames == 0
    }

    /// Path and query that ask for it; `hook` is told of the end.
    pub(crate) fn path(&self, hook: &str) -> String {
        let format = match self.format {
            Format::Wav(_) => "format=wav&bits=32",
            Format::Flac(_) => "format=flac&bits=16",
            Format::Mp3 { .. } => "format=mp3&bitrate_kbps=192",
        };
        let names: Vec<&str> = self.stems.iter().map(StemName::as_str).collect();
        format!("/v2/jobs?model={MODEL}&{format}&stems={}&callback={hook}", names.join(","))
    }
}

fn bytes(dice: &mut Dice, frames: usize, rate_hz: u32) -> Vec<u8> {
    if frames == 0 { no_song(dice) } else { song(dice, frames, rate_hz) }
}

/// Two tones and some noise.
fn song(dice: &mut Dice, frames: usize, rate_hz: u32) -> Vec<u8> {
    let steps = [0, 1].map(|_| (100 + dice.below(1500)) as f32 * std::f32::consts::TAU / rate_hz as f32);
    let noise = dice.below(1 << 30) as u64;
    let sample = |channel: usize, t: usize| {
        let hiss = (splitmix(noise + (2 * t + channel) as u64) >> 40) as f32 / (1 << 24) as f32 - 0.5;
        0.4 * (t as f32 * steps[channel]).sin() + 0.2 * hiss
    };
    let planes = [0, 1].map(|channel| (0..frames).map(|t| sample(channel, t)).collect::<Vec<f32>>());
    let mut wav = Cursor::new(Vec::new());
    let mut encoder = Format::Wav(WavDepth::Bits16).encoder(&mut wav, rate_hz, 2).unwrap();
    encoder.write(&planes).unwrap();
    encoder.finish().unwrap();
    wav.into_inner()
}

/// Begins as a FLAC file, and is none.
fn no_song(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = b"fLaC\x80\x00\x00\x22\x10\x00\x10\x00".to_vec();
    bytes.resize(42, 0);
    bytes.extend((0..2000).map(|_| dice.below(256) as u8));
    bytes
}
