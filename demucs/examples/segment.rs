//! Times segments of a network, and where the time of the median one went:
//! `segment FILE.safetensors [THREADS] [RUNS] [KERNELS]`.
#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::time::Instant;

use demucs::kernels::bench::Peak;
use demucs::weights::Checkpoint;
use demucs::{Compute, Network};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let number = |place: usize, default: usize| args.get(place).map_or(Ok(default), |text| text.parse());
    let (threads, runs) = (number(2, 0)?, number(3, 5)?);
    let start = Instant::now();
    let checkpoint = Checkpoint::from_bytes(&std::fs::read(args.get(1).ok_or("which weights?")?)?)?;
    let kernels = args.get(4).map_or("auto", String::as_str);
    let network = Network::from_checkpoint(checkpoint, &Compute::named("cpu", kernels)?)?;
    println!("loaded in {:.3} s", start.elapsed().as_secs_f64());
    let config = network.config();
    let mix = demucs::seeded::signal(config.segment_frames()).concat();
    let mut out = vec![0.0; config.sources.len() * mix.len()];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| network.forward(&mix, &mut out))?;
    let mut segments = Vec::new();
    for _ in 0..runs {
        let (start, mut last) = (Instant::now(), Instant::now());
        let mut blocks = Vec::new();
        pool.install(|| match &network {
            Network::Fused(fused) => {
                fused.profile(&mix, &mut out, &mut |block, operations| {
                    blocks.push((block.to_owned(), operations, last.elapsed().as_secs_f64()));
                    last = Instant::now();
                });
                Ok(())
            }
            _ => network.forward(&mix, &mut out),
        })?;
        segments.push((start.elapsed().as_secs_f64(), blocks));
    }
    segments.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (median, blocks) = &segments[segments.len() / 2];
    for (block, operations, seconds) in blocks {
        let gflop = *operations as f64 / 1e9;
        println!("{block:38} {:8.1} ms {gflop:8.2} GFLOP {:7.1} GFLOP/s", seconds * 1e3, gflop / seconds);
    }
    let gflop = blocks.iter().map(|block| block.1).sum::<u64>() as f64 / 1e9;
    println!("segment: median {median:.3} s, best {:.3} s, {gflop:.1} GFLOP", segments[0].0);
    let peak = peak_gflop_s(kernels) * pool.current_num_threads() as f64;
    println!("peak of the registers: {peak:.1} GFLOP/s, efficiency={:.3}", gflop / median / peak);
    println!("highest resident memory: {} KiB", highest_resident());
    Ok(())
}

/// What one thread can do at best, by multiply-adds on registers.
fn peak_gflop_s(kernels: &str) -> f64 {
    let peak = Peak::new(kernels);
    let second = |_| {
        let start = Instant::now();
        std::hint::black_box(peak.run());
        start.elapsed().as_secs_f64()
    };
    let best = (0..2000).map(second).fold(f64::INFINITY, f64::min);
    Peak::FLOP as f64 / best / 1e9
}

/// In KiB; 0 where the system does not tell.
fn highest_resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
