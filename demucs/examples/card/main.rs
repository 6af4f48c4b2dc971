//! Measures a network on a card. Each line that it prints is a JSON object: `card WHAT DEVICE WEIGHTS [SAMPLES] [NUMBER]`.
//!
//! - `floor`: what the card does at best, and what a segment takes at that rate
//! - `parity`, with samples and a batch: single precision against the CPU, half against single
//! - `speed`, with seconds for each measurement: segments of all batches
//! - `kernels`, with a batch: where the time goes
//! - `song`, with samples and minutes: from samples to stems
//! - `queue`, with samples and a number of songs of four minutes each, that wait together
//!
//! A device is `cuda`, `cuda:N` or `emulated`. Weights are a file, or drawn: `seeded` is as large as the real network and takes as
//! long, `small` is for the emulation. Samples are a file of interleaved 32-bit floats of two channels, or `signal`.
#![cfg_attr(
    any(feature = "cuda", feature = "emulation"),
    expect(clippy::print_stdout, reason = "prints its figures")
)]

#[cfg(any(feature = "cuda", feature = "emulation"))]
mod figures;
#[cfg(any(feature = "cuda", feature = "emulation"))]
mod measure;

use demucs::BoxError;

const USAGE: &str = "usage: card floor|parity|speed|kernels|song|queue DEVICE WEIGHTS [SAMPLES] [NUMBER]";

#[cfg(any(feature = "cuda", feature = "emulation"))]
fn main() -> Result<(), BoxError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, device, weights, rest @ ..] = &args[..] else { return Err(USAGE.into()) };
    let number = |place: usize, default: f64| rest.get(place).map_or(Ok(default), |text| text.parse());
    let samples = || rest.first().ok_or(USAGE);
    let measure = measure::Measure::new(device, weights)?;
    match what.as_str() {
        "floor" => measure.floor(number(0, 0.5)?),
        "parity" => measure.parity(samples()?, number(1, 4.0)? as usize),
        "speed" => measure.speed(number(0, 1.0)?),
        "kernels" => measure.kernels(number(0, 8.0)? as usize),
        "song" => measure.song(samples()?, number(1, measure::SONG)?),
        "queue" => measure.queue(samples()?, number(1, 100.0)? as usize),
        _ => Err(USAGE.into()),
    }
}

#[cfg(not(any(feature = "cuda", feature = "emulation")))]
fn main() -> Result<(), BoxError> {
    Err(format!("built without cards; with the feature `cuda` or `emulation`, {USAGE}").into())
}
