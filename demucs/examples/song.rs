//! Separates decoded samples into decoded stems and prints what it took as a line of JSON:
//! `song FILE.safetensors SAMPLES [THREADS] [KERNELS] [STEMS]`. `SAMPLES` are interleaved 32-bit floats of two
//! channels at the network's rate; stems are written to `STEMS` in the same way, one behind the other.
#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::io::Write;
use std::time::Instant;

use demucs::weights::Checkpoint;
use demucs::{Bag, Compute, Request, Samples, Separator, Settings, Stem};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let path = |place: usize| args.get(place).ok_or("which weights, which samples?");
    let threads = args.get(3).map_or(Ok(0), |text| text.parse())?;
    let compute = Compute::named("cpu", args.get(4).map_or("auto", String::as_str))?;
    let start = Instant::now();
    let checkpoint = Checkpoint::from_bytes(&std::fs::read(path(1)?)?)?;
    let separator = Separator::new(
        Bag::new(vec![checkpoint], None, &compute)?,
        Settings { threads, ..Settings::default() },
    )?;
    let load_s = start.elapsed().as_secs_f64();

    let bytes = std::fs::read(path(2)?)?;
    let samples = bytes.as_chunks::<8>().0.iter();
    let channel = |first: usize| {
        let sample = |frame: &[u8; 8]| f32::from_le_bytes(std::array::from_fn(|i| frame[4 * first + i]));
        samples.clone().map(sample).collect::<Vec<f32>>()
    };
    let mut song = Samples { channels: [channel(0), channel(1)] };
    drop(bytes);
    let frames = song.channels[0].len();
    let request = Request::new(Stem::all(separator.bag().sources()));
    let mut stems = Vec::new();
    // What is built at the first segment belongs to neither peer's time.
    let mut first = Samples {
        channels: song.channels.clone().map(|mut channel| channel.drain(..44_100.min(frames)).collect()),
    };
    separator.separate(&mut first, &request, &mut stems, &mut ())?;
    stems.clear();

    let (start, cpu) = (Instant::now(), cpu_s());
    separator.separate(&mut song, &request, &mut stems, &mut ())?;
    let (wall_s, cpu_s) = (start.elapsed().as_secs_f64(), cpu_s() - cpu);
    let audio_s = frames as f64 / f64::from(separator.bag().samplerate());
    let peak_mib = highest_resident_kib() as f64 / 1024.0;
    println!(
        r#"{{"audio_s": {audio_s:.3}, "wall_s": {wall_s:.3}, "cpu_s": {cpu_s:.2}, "peak_mib": {peak_mib:.0}, "load_s": {load_s:.3}}}"#
    );
    if let Some(path) = args.get(5) {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        for [left, right] in &stems {
            for (left, right) in left.iter().zip(right) {
                file.write_all(&left.to_le_bytes())?;
                file.write_all(&right.to_le_bytes())?;
            }
        }
        file.flush()?;
    }
    Ok(())
}

/// Time of all threads so far; 0 where the system does not tell.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// 0 where the system does not tell.
fn highest_resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
