//! Times one segment of a network, block by block: `segment FILE.safetensors [THREADS] [RUNS]`.
#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::time::Instant;

use demucs::model::HTDemucs;
use demucs::weights::Checkpoint;
use demucs::{Device, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let bytes = std::fs::read(args.get(1).ok_or("which weights?")?)?;
    let threads: usize = args.get(2).map_or(Ok(0), |n| n.parse())?;
    let runs: usize = args.get(3).map_or(Ok(3), |n| n.parse())?;
    let checkpoint = Checkpoint::from_bytes(&bytes)?;
    let model = HTDemucs::from_checkpoint(checkpoint, &Device::Cpu)?;
    let frames = model.config().segment_frames();
    let [left, right] = demucs::seeded::signal(frames);
    let x = Tensor::from_vec([left, right].concat(), (1, 2, frames), &Device::Cpu)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    for run in 0..runs {
        let start = Instant::now();
        let mut last = start;
        pool.install(|| {
            model.forward(&x, &mut |name: &str, _: &Tensor| {
                if run + 1 == runs {
                    println!("{name:34} {:7.1} ms", last.elapsed().as_secs_f64() * 1e3);
                }
                last = Instant::now();
            })
        })?;
        println!("segment {run}: {:.3} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}
