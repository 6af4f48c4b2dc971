//! Parity of every block and of whole songs with the original, on small seeded networks.
#![expect(clippy::unwrap_used, reason = "what fails to be set up is a failed test")]
#![expect(clippy::print_stdout, reason = "figures are printed for the one who reads the test's output")]

mod golden_support;

use demucs::model::HTDemucs;
use demucs::seeded::{checkpoint, signal};
use demucs::weights::Checkpoint;
use demucs::{Bag, Compute, Kernels, Request, Samples, Separator, Settings, Shifts, Stem, TensorDevice};
use golden_support::{Golden, in_original_order, segment_of_signal};

fn network(golden: &Golden, seed: u64) -> Checkpoint {
    let kwargs = golden.metadata("kwargs").as_object().unwrap().clone();
    checkpoint(kwargs, seed).unwrap()
}

#[test]
fn every_block_equals_the_original_to_95_db() {
    let golden = Golden::read("small");
    let checkpoint = network(&golden, golden.metadata("seed").as_u64().unwrap());
    let model = HTDemucs::from_checkpoint(checkpoint, &TensorDevice::Cpu).unwrap();
    let frames = model.config().segment_frames();
    let mut seen = vec!["freq_emb".to_owned()];
    let mut worst = f64::INFINITY;
    model
        .forward(&segment_of_signal(frames), &mut |name: &str, output: &demucs::Tensor| {
            let (snr, most) = golden.compare(name, &in_original_order(name, output));
            println!("{name:34} {snr:6.1} dB, at most {most:.1e}");
            worst = worst.min(snr);
            seen.push(name.to_owned());
        })
        .unwrap();
    assert!(worst >= 95.0, "{worst} dB");
    let missed: Vec<_> = golden.names().into_iter().filter(|name| !seen.contains(name)).collect();
    assert!(missed.is_empty(), "blocks that were not compared: {missed:?}");
}

/// Separates the integer signal with all kernels and compares every stem with `<prefix>.<stem>`.
fn song_equals(golden: &Golden, prefix: &str, bag: &dyn Fn(&Compute) -> Bag, shifts: &Shifts) {
    for kernels in Kernels::supported() {
        println!("{kernels}");
        let bag = bag(&Compute { kernels, ..Compute::cpu() });
        stems_equal(golden, prefix, bag, shifts.clone());
    }
}

fn stems_equal(golden: &Golden, prefix: &str, bag: Bag, shifts: Shifts) {
    let frames = golden.metadata("frames").as_u64().unwrap() as usize;
    let stems = Stem::all(bag.sources());
    let separator = Separator::new(bag, Settings::default()).unwrap();
    let mut out = Vec::new();
    let mut song = Samples { channels: signal(frames) };
    separator
        .separate(&mut song, &Request { shifts, ..Request::new(stems.clone()) }, &mut out, &mut ())
        .unwrap();
    for (stem, channels) in stems.iter().zip(&out) {
        let (snr, most) = golden.compare(&format!("{prefix}.{}", stem.name), &channels.concat());
        println!("{prefix}.{:10} {snr:6.1} dB, at most {most:.1e}", stem.name);
        assert!(snr >= 95.0, "{prefix}.{}: {snr} dB", stem.name);
    }
}

#[test]
fn a_six_source_song_equals_the_original() {
    let golden = Golden::read("six_sources");
    let network = network(&golden, golden.metadata("seed").as_u64().unwrap());
    let bag = |compute: &Compute| Bag::new(vec![network.clone()], None, compute).unwrap();
    song_equals(&golden, "apply", &bag, &Shifts::Off);
}

fn bag(golden: &Golden, compute: &Compute) -> Bag {
    let seeds: Vec<u64> = serde_json::from_value(golden.metadata("seeds")).unwrap();
    let weights: Vec<Vec<f32>> = serde_json::from_value(golden.metadata("weights")).unwrap();
    let networks = seeds.iter().map(|seed| network(golden, *seed)).collect();
    Bag::new(networks, Some(&weights), compute).unwrap()
}

#[test]
fn a_weighted_bag_equals_the_original() {
    let golden = Golden::read("bag");
    song_equals(&golden, "apply", &|compute| bag(&golden, compute), &Shifts::Off);
}

#[test]
fn shifted_passes_equal_the_original() {
    let golden = Golden::read("bag");
    let offsets: Vec<Vec<usize>> = serde_json::from_value(golden.metadata("shift_offsets")).unwrap();
    let most = 4000;
    // The original pads by `most` and starts at `offset`: it begins `most - offset` before the song.
    let shifts = offsets.iter().map(|member| member.iter().map(|offset| most - offset).collect()).collect();
    song_equals(&golden, "shifted", &|compute| bag(&golden, compute), &Shifts::Given(shifts));
}
