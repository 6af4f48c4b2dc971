//! Measures a network on a card. Each line that it prints is a JSON object: `card WHAT DEVICE WEIGHTS [ARGUMENT...]`.
//!
//! - `floor [SECONDS]`: what the card does at best, and what a segment takes at that rate
//! - `parity SAMPLES [BATCH]`: single precision against the CPU, half against single
//! - `sdr FOLDER...`: half against single on songs whose true stems are known
//! - `speed SAMPLES [SECONDS]`: segments in batches of all sizes
//! - `kernels SAMPLES [BATCH]`: where the time goes
//! - `song SAMPLES [MINUTES]`: from samples to stems
//! - `engine SAMPLES [SONGS [PRECISION [BATCH]]]`: songs of four minutes each that wait together
//! - `segment SAMPLES FILE`: writes what single precision makes of one segment, `[S, 2, N]`
//!
//! A device is `cuda`, `cuda:N` or `emulated`. Weights are a file, or drawn: `seeded` is as large as the real network and takes as
//! long, `small` is for the emulation. Samples are a file of interleaved 32-bit floats of two channels, or `signal`. A folder of `sdr`
//! has such files, `mixture.f32` and one for each stem.
#![cfg_attr(
    any(feature = "cuda", feature = "emulation"),
    expect(clippy::print_stdout, reason = "prints its figures")
)]

#[cfg(any(feature = "cuda", feature = "emulation"))]
mod engine;
#[cfg(any(feature = "cuda", feature = "emulation"))]
mod figures;
#[cfg(any(feature = "cuda", feature = "emulation"))]
mod measure;
#[cfg(any(feature = "cuda", feature = "emulation"))]
mod truth;

use demucs::BoxError;

const USAGE: &str =
    "usage: card floor|parity|sdr|speed|kernels|song|engine|segment DEVICE WEIGHTS [ARGUMENT...]";

#[cfg(any(feature = "cuda", feature = "emulation"))]
fn main() -> Result<(), BoxError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, device, weights, rest @ ..] = &args[..] else { return Err(USAGE.into()) };
    let number = |place: usize, default: f64| rest.get(place).map_or(Ok(default), |text| text.parse());
    let argument = |place: usize| rest.get(place).ok_or(USAGE);
    let measure = measure::Measure::new(device, weights)?;
    match what.as_str() {
        "floor" => measure.floor(number(0, 0.5)?),
        "parity" => measure.parity(argument(0)?, number(1, 4.0)? as usize),
        "sdr" => measure.sdr(rest),
        "speed" => measure.speed(argument(0)?, number(1, 1.0)?),
        "kernels" => measure.kernels(argument(0)?, number(1, 8.0)? as usize),
        "song" => measure.song(argument(0)?, number(1, measure::SONG)?),
        "engine" => {
            let kernels = rest.get(2).map_or("half", String::as_str).parse()?;
            measure.engine(argument(0)?, number(1, 100.0)? as usize, kernels, number(3, 16.0)? as usize)
        }
        "segment" => measure.segment(argument(0)?, argument(1)?),
        _ => Err(USAGE.into()),
    }
}

#[cfg(not(any(feature = "cuda", feature = "emulation")))]
fn main() -> Result<(), BoxError> {
    Err(format!("built without cards; with the feature `cuda` or `emulation`, {USAGE}").into())
}
