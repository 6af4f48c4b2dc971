use std::io::Cursor;
use std::time::{Duration, Instant};

use audio::{Bitrate, DecodeLimits, Decoder, FlacDepth, Format, WavDepth};

use crate::support::{dir, encode, made_by_ffmpeg, music};

/// Mutations of each kind of file.
const MUTATIONS: usize = 300;

/// Longest time for one of them; a debug build on a busy machine needs a tenth of it.
const MAX_TIME: Duration = Duration::from_secs(10);

/// A small generator, so that every run tries the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(6) {
        // Headers are at the front, and break in more interesting ways.
        let reach = if dice.roll(2) == 0 { bytes.len().min(600) } else { bytes.len() };
        let at = dice.roll(reach);
        let size = dice.roll(64).min(bytes.len() - at);
        match dice.roll(6) {
            0 => bytes[at] ^= 1 << dice.roll(8),
            1 => bytes[at..at + size].fill([0, 0xff, 0x7f, 0x80][dice.roll(4)]),
            2 => bytes.truncate(at.max(16)),
            3 => drop(bytes.drain(at..at + size)),
            4 => {
                let part = bytes[at..at + size].to_vec();
                let to = dice.roll(bytes.len());
                bytes.splice(to..to, part);
            }
            _ => bytes[at..at + size].iter_mut().for_each(|byte| *byte = dice.roll(256) as u8),
        }
    }
}

/// Reads all of it, as a program would, whatever comes.
fn consume(bytes: Vec<u8>) {
    let limits = DecodeLimits { max_seconds: 30.0, max_errors: 100 };
    tags::read(&mut Cursor::new(&bytes));
    let Ok(mut decoder) = Decoder::open(Box::new(Cursor::new(bytes)), &limits, None) else { return };
    let mut frames = 0;
    while let Ok(Some(block)) = decoder.next_block() {
        assert_eq!(block.len(), decoder.info().channels);
        assert!(block.iter().all(|plane| plane.len() == block[0].len()));
        frames += block[0].len();
    }
    assert!(frames as f64 <= 31.0 * f64::from(decoder.info().sample_rate));
    assert_eq!(decoder.report().frames, frames);
}

#[test]
fn mutated_files_of_every_kind_neither_panic_nor_hang() {
    let dir = dir();
    let signal = music(2, 20_000, 44_100);
    let made = |name: &str, options: &[&str]| {
        std::fs::read(made_by_ffmpeg(dir.path(), name, &signal, 44_100, options)).expect("read")
    };
    let files = [
        ("mp3", encode(&signal, Format::mp3(Bitrate::Vbr(4)), 44_100)),
        ("wav", encode(&signal, Format::Wav(WavDepth::Bits24), 44_100)),
        ("flac", encode(&signal, Format::Flac(FlacDepth::Bits16), 44_100)),
        ("rf64", made("a.wav", &["-rf64", "always"])),
        ("ogg", made("a.ogg", &["-c:a", "libvorbis"])),
        ("aac.m4a", made("b.m4a", &["-c:a", "aac", "-metadata", "title=Song"])),
        ("alac.m4a", made("c.m4a", &["-c:a", "alac"])),
        ("aiff", made("a.aiff", &[])),
        ("adts", made("a.aac", &["-c:a", "aac"])),
    ];
    let mut dice = Dice(2026);
    for (name, file) in files {
        let mut slowest = Duration::ZERO;
        for _ in 0..MUTATIONS {
            let mut bytes = file.clone();
            mutate(&mut bytes, &mut dice);
            let start = Instant::now();
            consume(bytes);
            slowest = slowest.max(start.elapsed());
        }
        println!("{name}: slowest {slowest:?}");
        assert!(slowest < MAX_TIME, "{name}: {slowest:?}");
    }
}
