//! Parity with the original on the official weights, fetched by the store.
#![expect(clippy::unwrap_used, reason = "what fails to be set up is a failed test")]
#![expect(clippy::print_stdout, reason = "figures are printed for the one who reads the test's output")]

#[path = "../../demucs/tests/golden_support/mod.rs"]
mod golden_support;

use demucs::model::HTDemucs;
use demucs::seeded::signal;
use demucs::{Bag, Compute, Kernels, Request, Samples, Separator, Settings, Stem, Tensor, TensorDevice};
use golden_support::{Golden, difference, in_original_order, segment_of_signal};
use models::{LoadedBag, ModelStore, StoreConfig, default_dir};

/// The official network from the user's cache; a fetch that fails is a failed test.
fn htdemucs() -> LoadedBag {
    let dir = std::env::var_os("MSAAS_MODEL_DIR").map_or_else(default_dir, Into::into);
    let store = ModelStore::open(StoreConfig::new(dir)).unwrap();
    store.ensure("htdemucs", &mut |event| println!("{event}")).unwrap();
    store.load("htdemucs", None).unwrap()
}

#[test]
fn every_block_equals_the_original_to_80_db() {
    let golden = Golden::read("official");
    let model = HTDemucs::from_checkpoint(htdemucs().members.remove(0), &TensorDevice::Cpu).unwrap();
    let frames = model.config().segment_frames();
    let mut seen = Vec::new();
    let mut worst = f64::INFINITY;
    model
        .forward(&segment_of_signal(frames), &mut |name: &str, output: &Tensor| {
            if golden.values(name).is_some() {
                let (snr, most) = golden.compare(name, &in_original_order(name, output));
                println!("{name:34} {snr:6.1} dB, at most {most:.1e}");
                worst = worst.min(snr);
                seen.push(name.to_owned());
            }
        })
        .unwrap();
    println!("worst block: {worst:.1} dB");
    assert!(worst >= 80.0, "{worst} dB");
    let expected = golden.names().into_iter().filter(|name| !name.starts_with("apply."));
    let missed: Vec<_> = expected.filter(|name| !seen.contains(name)).collect();
    assert!(missed.is_empty(), "blocks that were not compared: {missed:?}");
}

#[test]
fn twenty_seconds_with_a_short_tail_equal_the_original() {
    // The plain network has its test above, block by block.
    for kernels in Kernels::supported().into_iter().filter(|kernels| *kernels != Kernels::Plain) {
        println!("{kernels}");
        stems_equal_the_original(&Compute { kernels, ..Compute::cpu() });
    }
}

fn stems_equal_the_original(compute: &Compute) {
    let golden = Golden::read("official");
    let frames = golden.metadata("frames").as_u64().unwrap() as usize;
    let loaded = htdemucs();
    let bag = Bag::new(loaded.members, loaded.weights.as_deref(), compute).unwrap();
    let stems = Stem::all(bag.sources());
    let separator = Separator::new(bag, Settings::default()).unwrap();
    let mut out = Vec::new();
    let request = Request::new(stems.clone());
    separator.separate(&mut Samples { channels: signal(frames) }, &request, &mut out, &mut ()).unwrap();
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for (stem, channels) in stems.iter().zip(&out) {
        let name = format!("apply.{}", stem.name);
        let (kept, sampled) = golden.sampled(&name, &channels.concat());
        let (snr, most) = difference(&kept, &sampled);
        println!("{name:14} {snr:6.1} dB, at most {most:.1e}");
        assert!(snr >= 70.0, "{name}: {snr} dB");
        assert!(most <= 1e-3, "{name}: {most} of full scale");
        theirs.extend(kept);
        ours.extend(sampled);
    }
    let (snr, _) = difference(&theirs, &ours);
    println!("all stems      {snr:6.1} dB");
    assert!(snr >= 80.0, "{snr} dB");
}
