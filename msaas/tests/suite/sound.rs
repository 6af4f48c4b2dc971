//! Songs to separate, files of real encoders, and what is in the results.

use std::f64::consts::TAU;
use std::path::Path;
use std::process::Command;

use audio::{Block, DecodeLimits, Decoder, Format, Resampler, StemFile, WavDepth, stereo};
use tags::Tags;

/// Music of a kind in stereo: a sweep and six wavering tones, nothing above 9 kHz, so that no resampler has a
/// reason to change it. Its peak is about 0.25: stems of a random network stay below full scale too.
pub(crate) fn music(rate: u32, frames: usize) -> Block {
    let fade = f64::from(rate) / 200.0;
    let channel = |side: f64| {
        let sample = |i: usize| {
            let t = i as f64 / f64::from(rate);
            let tones = [131.0, 347.0, 523.3, 1187.0, 2793.8, 6271.9].iter().enumerate().map(|(k, hz)| {
                let waver = 0.5 + 0.5 * (TAU * (0.7 + 0.31 * k as f64) * t + side).sin();
                waver * (TAU * hz * t + 2.1 * side * k as f64).sin() / (k + 1) as f64
            });
            let sweep = (TAU * (90.0 + 1000.0 * t) * t + side).sin();
            let edge = (i.min(frames - 1 - i) as f64 / fade).min(1.0);
            (0.08 * edge * (tones.sum::<f64>() + sweep)) as f32
        };
        (0..frames).map(sample).collect()
    };
    vec![channel(0.0), channel(1.0)]
}

/// The signal at another rate, as far as that is possible at all.
pub(crate) fn at_rate(block: &[Vec<f32>], from: u32, to: u32) -> Block {
    let mut resampler = Resampler::new(from, to, block.len()).expect("a resampler");
    let mut out = resampler.push(block).expect("resampled");
    let tail = resampler.finish(None).expect("resampled");
    out.iter_mut().zip(tail).for_each(|(plane, tail)| plane.extend(tail));
    out
}

/// Writes a 32-bit float WAV file.
pub(crate) fn write_wav(path: &Path, block: &[Vec<f32>], rate: u32) {
    let format = Format::Wav(WavDepth::Float32);
    let mut file = StemFile::create(path, format, rate, block.len()).expect("created");
    file.write(block).expect("written");
    file.commit(&Tags::default()).expect("committed");
}

/// Decodes a file with our decoder, in stereo: its rate and its samples.
pub(crate) fn decode(path: &Path) -> (u32, Block) {
    let name = path.display();
    let mut decoder = Decoder::open_path(path, &DecodeLimits::default(), None)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let front = decoder.info().front;
    let block = decoder.read_all().unwrap_or_else(|error| panic!("{name}: {error}"));
    (decoder.info().sample_rate, stereo(block, front))
}

/// Samples per channel that ffmpeg decodes from a stereo file.
pub(crate) fn frames_by_ffmpeg(path: &Path) -> usize {
    ffmpeg([&["-i", text(path)], &["-f", "f32le", "-c:a", "pcm_f32le", "-"][..]].concat()).len() / 8
}

/// Has ffmpeg make `path` from a source with the encoder's options.
pub(crate) fn encode_by_ffmpeg(source: &Path, options: &[&str], path: &Path) {
    ffmpeg([&["-i", text(source)], options, &[text(path)]].concat());
}

/// Runs ffmpeg and gives its output.
pub(crate) fn ffmpeg<'a>(args: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]).args(args);
    let output = command.output().expect("these tests need ffmpeg on the path: install the package `ffmpeg`");
    assert!(output.status.success(), "ffmpeg failed: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in utf-8")
}
