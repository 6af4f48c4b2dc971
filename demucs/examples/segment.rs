//! Times segments of a network: `segment FILE.safetensors [THREADS] [RUNS] [KERNELS]`.
#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::time::Instant;

use demucs::weights::Checkpoint;
use demucs::{Compute, Network};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let number = |place: usize, default: usize| args.get(place).map_or(Ok(default), |text| text.parse());
    let (threads, runs) = (number(2, 0)?, number(3, 3)?);
    let start = Instant::now();
    let checkpoint = Checkpoint::from_bytes(&std::fs::read(args.get(1).ok_or("which weights?")?)?)?;
    let kernels = args.get(4).map_or("auto", String::as_str);
    let network = Network::from_checkpoint(checkpoint, &Compute::named("cpu", kernels)?)?;
    println!("loaded: {:.3} s", start.elapsed().as_secs_f64());
    let config = network.config();
    let mix = demucs::seeded::signal(config.segment_frames()).concat();
    let mut out = vec![0.0; config.sources.len() * mix.len()];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    for run in 0..runs {
        let (start, cpu) = (Instant::now(), cpu_s());
        pool.install(|| network.forward(&mix, &mut out))?;
        println!("segment {run}: {:.3} s, {:.2} s of CPU", start.elapsed().as_secs_f64(), cpu_s() - cpu);
    }
    println!("highest resident memory: {} KiB", status("VmHWM:"));
    Ok(())
}

/// Time of all threads so far; 0 where the system does not tell.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.split(' ').skip(13).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn status(key: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
