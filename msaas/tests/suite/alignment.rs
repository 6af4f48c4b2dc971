//! Whatever the network does, `vocals` and `no_vocals` (the song minus the vocals) add up to the song. So length
//! and alignment of both, and the whole way through decoder, resamplers and encoders, show in their sum.

use std::path::{Path, PathBuf};

use audio::{Block, resampled_len};

use crate::network::Network;
use crate::sound::{at_rate, decode, encode_by_ffmpeg, frames_by_ffmpeg, music, write_wav};
use crate::support::{Place, run};

/// One way to make an input file.
struct Kind {
    name: &'static str,
    rate: u32,
    channels: usize,
    /// For ffmpeg.
    options: &'static [&'static str],
    /// Least agreement in dB of the summed stems with the song, in formats without loss.
    min_db: f64,
}

const fn kind(
    name: &'static str,
    rate: u32,
    channels: usize,
    options: &'static [&'static str],
    min_db: f64,
) -> Kind {
    Kind { name, rate, channels, options, min_db }
}

/// Least agreement in dB of summed MP3 stems with the song: 39.8 and more were measured, the loss of 320 kbit/s.
const MP3_DB: f64 = 37.0;

/// Its headers do not say where the music starts and ends: encoder delay and padding count as music.
const UNTAGGED: &str = "untagged.mp3";

/// The agreements are 2 to 3 dB below the measured ones. What is lost is 24-bit rounding (123 to 132 dB), and where
/// the rate is changed and changed back, what the song's own quantisation noise has near half its rate (53 to
/// 115 dB).
const KINDS: [Kind; 12] = [
    kind("cbr.mp3", 44_100, 2, &["-c:a", "libmp3lame", "-b:a", "192k"], 120.0),
    kind("vbr.mp3", 44_100, 2, &["-c:a", "libmp3lame", "-q:a", "2"], 120.0),
    kind(UNTAGGED, 44_100, 2, &["-c:a", "libmp3lame", "-b:a", "192k", "-write_xing", "0"], 120.0),
    kind("mono22.wav", 22_050, 1, &["-c:a", "pcm_s16le"], 97.0),
    kind("dat48.wav", 48_000, 2, &["-c:a", "pcm_s16le"], 86.0),
    kind("high96.wav", 96_000, 2, &["-c:a", "pcm_s24le"], 112.0),
    kind("surround.wav", 48_000, 6, &["-c:a", "pcm_s24le"], 111.0),
    kind("eight-bit.wav", 32_000, 2, &["-c:a", "pcm_u8"], 50.0),
    kind("aac.m4a", 44_100, 2, &["-c:a", "aac", "-b:a", "192k"], 120.0),
    kind("flac.flac", 44_100, 2, &["-sample_fmt", "s16"], 129.0),
    kind("vorbis.ogg", 44_100, 2, &["-c:a", "libvorbis", "-q:a", "6"], 120.0),
    kind("aiff.aiff", 44_100, 2, &["-c:a", "pcm_s16be"], 129.0),
];

#[test]
fn mp3_stems_of_every_kind_of_input_are_aligned_and_add_up() {
    stems_are_aligned_and_add_up("mp3");
}

#[test]
fn wav_stems_of_every_kind_of_input_are_aligned_and_add_up() {
    stems_are_aligned_and_add_up("wav");
}

#[test]
fn flac_stems_of_every_kind_of_input_are_aligned_and_add_up() {
    stems_are_aligned_and_add_up("flac");
}

#[test]
fn a_forced_rate_is_that_of_the_stems() {
    let place = Place::new(Network::Plain);
    let song = Song::make(&place, &KINDS[6]);
    for (format, rate, min_db) in [("mp3", 32_000, 44.0), ("wav", 22_050, 120.0), ("flac", 96_000, 112.0)] {
        separate(&place, &[&song], &["--format", format, "--rate", &rate.to_string()]);
        println!("{}", song.check(&place, format, rate, min_db).expect("aligned stems"));
    }
}

fn stems_are_aligned_and_add_up(format: &str) {
    let place = Place::new(Network::Plain);
    let songs: Vec<Song> = KINDS.iter().map(|kind| Song::make(&place, kind)).collect();
    separate(&place, &songs.iter().collect::<Vec<_>>(), &["--format", format]);
    let mut wrong = Vec::new();
    for (song, kind) in songs.iter().zip(&KINDS) {
        let kept = format != "mp3" || [32_000, 44_100, 48_000].contains(&kind.rate);
        let rate = if kept { kind.rate } else { 44_100 };
        let min_db = if format == "mp3" { MP3_DB } else { kind.min_db };
        match song.check(&place, format, rate, min_db) {
            Ok(line) => eprintln!("{line}"),
            Err(fault) => wrong.push(fault),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn separate(place: &Place, songs: &[&Song], options: &[&str]) {
    let mut command = place.separate(["--two-stems", "vocals", "--other-method", "minus", "--quiet"]);
    let ran =
        run(command.args(["--clip-mode", "clamp"]).args(options).args(songs.iter().map(|song| &song.path)));
    assert_eq!(ran.succeeds().len(), 2 * songs.len());
}

/// An input file and what went into it.
struct Song {
    path: PathBuf,
    original: Block,
    rate: u32,
    gapless: bool,
}

impl Song {
    /// About four seconds; no frame size divides the length.
    fn make(place: &Place, kind: &Kind) -> Self {
        let music = music(kind.rate, 4 * kind.rate as usize + 1237);
        let planes: Block = match kind.channels {
            1 => vec![music[0].clone()],
            2 => music.clone(),
            // What is not in front must not be heard.
            n => (0..n)
                .map(|i| music[i % 2].iter().map(|s| if i < 2 { *s } else { -0.9 * s }).collect())
                .collect(),
        };
        let source = place.path("source.wav");
        write_wav(&source, &planes, kind.rate);
        let path = place.path(kind.name);
        encode_by_ffmpeg(&source, kind.options, &path);
        let original = if kind.channels == 1 { vec![planes[0].clone(); 2] } else { music };
        Self { path, original, rate: kind.rate, gapless: kind.name != UNTAGGED }
    }

    /// Compares the stems with what the file holds, and with what went into it. Gives a line of figures.
    fn check(&self, place: &Place, format: &str, rate: u32, min_db: f64) -> Result<String, String> {
        let name = self.path.file_stem().and_then(|name| name.to_str()).expect("a name");
        let stems = ["vocals", "no_vocals"].map(|stem| place.stem(name, &format!("{stem}.{format}")));
        let (file_rate, held) = decode(&self.path);
        assert_eq!(file_rate, self.rate);
        let frames = resampled_len(held[0].len(), self.rate, rate);
        for stem in &stems {
            let counted = frames_by_ffmpeg(stem);
            if counted != frames {
                return Err(format!("{name}: ffmpeg finds {counted} frames, promised are {frames}"));
            }
        }
        let compare = |block: &[Vec<f32>], min_db: f64| -> Result<String, String> {
            let reference = place.path("reference.wav");
            write_wav(&reference, &at_rate(block, self.rate, rate), rate);
            compare(place, &reference, &stems, min_db).map_err(|fault| format!("{name}: {fault}"))
        };
        if self.gapless {
            assert_eq!(held[0].len(), self.original[0].len(), "{name}");
            // A lossy file is not what went into it, but it lies where that lay; 29.9 dB and more were measured.
            compare(&self.original, 27.0)?;
        }
        let line = compare(&held, min_db)?;
        Ok(format!("{name:12} {format:4} {} -> {rate} Hz: {line}", self.rate))
    }
}

/// The three lines that `msaas compare` prints about recordings that are aligned, or its complaint.
fn compare(place: &Place, reference: &Path, stems: &[PathBuf], min_db: f64) -> Result<String, String> {
    let mut command = place.msaas();
    command.args(["compare", "--aligned", "--min-sdr", &min_db.to_string()]).arg(reference).args(stems);
    let ran = run(&mut command);
    let lines = ran.stdout.lines().collect::<Vec<_>>().join(", ");
    if ran.code == Some(0) { Ok(lines) } else { Err(format!("{} ({lines})", ran.stderr.trim())) }
}
