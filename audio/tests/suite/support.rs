//! Signals, files of real encoders, and the reference decoder.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use audio::{Block, DecodeLimits, Decoder, Format, Result};
use tempfile::TempDir;

/// Frames of the usual test signal: prime, so that no frame size divides it.
pub(crate) const FRAMES: usize = 100_003;

/// Something like music: partials that come and go, and noise; different in each channel, peak below 0.9.
pub(crate) fn music(channels: usize, frames: usize, rate: u32) -> Block {
    (0..channels)
        .map(|channel| {
            let mut state = 77 + channel as u32;
            let mut smooth = 0.0;
            (0..frames)
                .map(|i| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    smooth += 0.2 * (f64::from(state >> 8) / f64::from(1 << 23) - 1.0 - smooth);
                    let t = i as f64 / f64::from(rate);
                    let tone = |hz: f64, beat: f64| {
                        (std::f64::consts::TAU * (hz + 31.0 * channel as f64) * t).sin()
                            * (0.5 + 0.5 * (beat * t).sin())
                    };
                    (0.3 * tone(220.0, 5.0)
                        + 0.2 * tone(587.3, 11.0)
                        + 0.1 * tone(1975.5, 17.0)
                        + 0.3 * smooth) as f32
                })
                .collect()
        })
        .collect()
}

/// A directory for one test's files.
pub(crate) fn dir() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Writes `block` with our own encoder.
pub(crate) fn encode(block: &[Vec<f32>], format: Format, rate: u32) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = format.encoder(&mut file, rate, block.len()).expect("an encoder");
    for start in (0..block[0].len()).step_by(1000) {
        let end = block[0].len().min(start + 1000);
        let part: Block = block.iter().map(|plane| plane[start..end].to_vec()).collect();
        encoder.write(&part).expect("written");
    }
    encoder.finish().expect("finished");
    file.into_inner()
}

/// Opens bytes with the usual limits.
pub(crate) fn open(bytes: Vec<u8>) -> Result<Decoder> {
    Decoder::open(Box::new(Cursor::new(bytes)), &DecodeLimits::default(), None)
}

/// Runs ffmpeg and gives its output.
pub(crate) fn ffmpeg<I, S>(args: I) -> Vec<u8>
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]).args(args);
    let output = command.output().expect("these tests need ffmpeg on the path: install the package `ffmpeg`");
    assert!(output.status.success(), "ffmpeg failed: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Has ffmpeg write `block` into `name` within `dir`, with the encoder options `options`.
pub(crate) fn made_by_ffmpeg(
    dir: &Path,
    name: &str,
    block: &[Vec<f32>],
    rate: u32,
    options: &[&str],
) -> PathBuf {
    let source = dir.join(format!("{name}.source.wav"));
    std::fs::write(&source, encode(block, Format::Wav(audio::WavDepth::Float32), rate)).expect("written");
    let path = dir.join(name);
    let mut args = vec!["-i", source.to_str().expect("utf-8")];
    args.extend(options);
    args.push(path.to_str().expect("utf-8"));
    ffmpeg(args);
    path
}

/// What ffmpeg decodes from stream `map` of a file.
pub(crate) fn decoded_by_ffmpeg(path: &Path, channels: usize, map: &str) -> Block {
    let path = path.to_str().expect("utf-8");
    let bytes = ffmpeg(["-i", path, "-map", map, "-f", "f32le", "-c:a", "pcm_f32le", "-"]);
    let mut block = vec![Vec::new(); channels];
    for (i, sample) in bytes.as_chunks::<4>().0.iter().enumerate() {
        block[i % channels].push(f32::from_le_bytes(*sample));
    }
    block
}

/// Agreement in dB over the frames that both have; ffmpeg keeps the padding at the end of M4A.
pub(crate) fn agreement_db(theirs: &[Vec<f32>], ours: &[Vec<f32>]) -> f64 {
    let frames = theirs[0].len().min(ours[0].len());
    let cut = |block: &[Vec<f32>]| block.iter().map(|plane| plane[..frames].to_vec()).collect::<Block>();
    audio::measure::sdr_db(&cut(theirs), &cut(ours))
}
