//! Checkpoints in their three containers: real torch files, files made on the spot, and hostile ones.
//!
//! `../fixtures` is made by `scripts/make_torch_fixture.py` with the real torch.

mod containers;
mod graph;
mod hostile;

use demucs::weights::Checkpoint;

/// Written by `torch.save`, like the official files.
const TORCH: &[u8] = include_bytes!("../fixtures/tiny.th");
/// The same network with strided views, a shared storage and wider kinds of value.
const VIEWS: &[u8] = include_bytes!("../fixtures/views.th");
/// The same network as the Hugging Face repositories hold it.
const SAFETENSORS: &[u8] = include_bytes!("../fixtures/tiny.safetensors");
/// The same network in the format from before torch 1.6.
const LEGACY: &[u8] = include_bytes!("../fixtures/before_1_6.th");
/// Runs a command in whatever unpickles it.
const ATTACK: &[u8] = include_bytes!("../fixtures/attack.th");

fn read(bytes: &[u8]) -> Checkpoint {
    Checkpoint::from_bytes(bytes).expect("a sound checkpoint")
}

fn refusal(bytes: &[u8]) -> String {
    Checkpoint::from_bytes(bytes).expect_err("a checkpoint that must be refused").to_string()
}

fn values(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    checkpoint.tensors[name].flatten_all().and_then(|flat| flat.to_vec1()).expect("values on the CPU")
}

/// What `scripts/make_torch_fixture.py` puts into every tensor.
fn pattern(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 37 % 64) as f32 / 32.0 - 1.0).collect()
}
