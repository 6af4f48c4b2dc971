//! Networks with seeded random weights, for tests of everything around the engine.
//!
//! A small one separates nothing, but it has every block of a real one and computes in
//! milliseconds. The values depend only on a tensor's name, its shape and the seed, so that
//! another language can make the same network (`scripts/dump_reference.py` does).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use serde_json::{Map, Value, json};

use crate::model::{Config, HTDemucs};
use crate::weights::Checkpoint;

/// The `kwargs` of a network of about 10,000 weights at 8 kHz with segments of 299 frames.
#[must_use]
pub fn small_kwargs(sources: &[&str]) -> Map<String, Value> {
    let kwargs = json!({
        "sources": sources, "audio_channels": 2, "channels": 4, "growth": 2, "nfft": 128, "depth": 2,
        "cac": true, "rewrite": true, "freq_emb": 0.2, "emb_scale": 10, "kernel_size": 8, "stride": 4,
        "time_stride": 2, "context": 1, "context_enc": 0, "norm_starts": 4, "norm_groups": 4,
        "dconv_mode": 3, "dconv_depth": 2, "dconv_comp": 2, "bottom_channels": 16, "t_layers": 3,
        "t_hidden_scale": 2.0, "t_heads": 2, "t_cross_first": false, "samplerate": 8000,
        "segment": {"_type": "fraction", "numerator": 299, "denominator": 8000},
    });
    match kwargs {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// SNR in dB, against the plain network, of what another one makes of a batch of segments.
#[cfg(test)]
pub(crate) fn snr_to_plain(checkpoint: Checkpoint, mix: &[f32], forward: impl FnOnce(&mut [f32])) -> f64 {
    let twin = HTDemucs::from_checkpoint(checkpoint, &Device::Cpu).unwrap();
    let n = twin.config().segment_frames();
    let theirs =
        twin.forward(&Tensor::from_slice(mix, (mix.len() / (2 * n), 2, n), &Device::Cpu).unwrap(), &mut ());
    let theirs = theirs.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut ours = vec![0.0; theirs.len()];
    forward(&mut ours);
    let (mut power, mut noise) = (0.0, 1e-300);
    for (a, b) in theirs.iter().zip(&ours) {
        power += f64::from(*a).powi(2);
        noise += (f64::from(*a) - f64::from(*b)).powi(2);
    }
    10.0 * f64::log10(power / noise)
}

/// What is changed in [`small_kwargs`] to get at networks of all shapes.
#[cfg(test)]
pub(crate) fn changed() -> Vec<Map<String, Value>> {
    let changes = [
        json!({}),
        json!({"sources": ["a"]}),
        json!({"sources": ["a", "b", "c", "d", "e", "f"]}),
        json!({"bottom_channels": 0}),
        json!({"t_cross_first": true, "t_layers": 2}),
        json!({"dconv_mode": 1}),
        json!({"dconv_mode": 2, "dconv_depth": 1}),
        json!({"channels": 20, "bottom_channels": 24}),
        json!({"freq_emb": 0.0, "growth": 3}),
        json!({"depth": 3, "nfft": 1024, "segment": 0.3}),
        json!({"context": 2}),
        json!({"kernel_size": 4, "stride": 2, "t_heads": 4}),
        json!({"channels": 192, "depth": 1, "bottom_channels": 24}),
    ];
    changes.iter().map(|change| change.as_object().unwrap().clone()).collect()
}

/// The checkpoint of the network that `kwargs` describes, its weights drawn from `seed`.
///
/// # Errors
/// When the network is not one that this crate builds.
pub fn checkpoint(kwargs: Map<String, Value>, seed: u64) -> crate::Result<Checkpoint> {
    let config = Config::from_kwargs(&kwargs)?;
    let drawn = Arc::new(Mutex::new(BTreeMap::new()));
    let backend = Seeded { seed, drawn: Arc::clone(&drawn) };
    let vb = VarBuilder::from_backend(Box::new(backend), DType::F32, Device::Cpu);
    HTDemucs::new(config, &vb)?;
    let tensors = std::mem::take(&mut *drawn.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Checkpoint { kwargs, tensors })
}

/// Draws each tensor that a network asks for, and remembers it.
struct Seeded {
    seed: u64,
    drawn: Arc<Mutex<BTreeMap<String, Tensor>>>,
}

impl SimpleBackend for Seeded {
    fn get(&self, shape: Shape, name: &str, _: Init, _: DType, device: &Device) -> Result<Tensor> {
        let tensor = draw(name, &shape, self.seed, device)?;
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        Err(candle_core::Error::CannotFindTensor { path: name.to_owned() })
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// Uniform values whose scale keeps every block's output visible: layer scales around 0.4, norm
/// weights around 1, matrices with unit gain.
fn draw(name: &str, shape: &Shape, seed: u64, device: &Device) -> Result<Tensor> {
    let start = fnv1a(name) ^ seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let fan_in: usize = shape.dims().iter().skip(1).product();
    let value = |i: u64| {
        let unit = (splitmix(start.wrapping_add(i)) >> 40) as f64 / f64::from(1 << 24);
        let signed = 2.0 * unit - 1.0;
        (if name.ends_with("scale") {
            0.3 + 0.2 * unit
        } else if shape.rank() == 1 && name.ends_with("weight") {
            0.8 + 0.4 * unit
        } else if shape.rank() == 1 || name == "freq_emb.embedding.weight" {
            0.1 * signed
        } else {
            signed * (3.0 / fan_in as f64).sqrt()
        }) as f32
    };
    let values: Vec<f32> = (0..shape.elem_count() as u64).map(value).collect();
    Tensor::from_vec(values, shape, device)
}

/// Source: Fowler, Noll, Vo, 64 bits, variant 1a.
#[must_use]
pub fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
#[must_use]
pub fn splitmix(x: u64) -> u64 {
    let z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A sound made of whole numbers, the same to the bit wherever it is made: eight voices with
/// saw-shaped envelopes and two bursts of noise a second (at 44.1 kHz). Returns `[2][frames]`.
#[must_use]
pub fn signal(frames: usize) -> [Vec<f32>; 2] {
    [0, 1].map(|channel| (0..frames as i64).map(|t| sample(channel, t)).collect())
}

fn sample(channel: i64, t: i64) -> f32 {
    let mut sum = 0i64;
    for voice in 0..8 {
        let step = 12_000_017 + 9_000_011 * (voice + 1) * (voice + 1);
        let phase = (t * step + channel * 0x1000_0000 + voice * 0x0070_0000).rem_euclid(1 << 32);
        let triangle = (phase - (1 << 31)).abs() - (1 << 30);
        let envelope = 65_535 - (t * (3 + voice) / 2) % 65_536;
        sum += (triangle * envelope) >> 16;
    }
    let noise = (splitmix((2 * t + channel) as u64) >> 33) as i64 - (1 << 30);
    let envelope = (65_535 - 16 * (t % 22_050)).max(0);
    sum += (noise * envelope) >> 18;
    (sum as f64 / (1i64 << 33) as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_that_the_reference_script_prints() {
        assert_eq!(splitmix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(fnv1a("encoder.0"), 0x3c8e_889a_2b22_7a99);
        let [left, right] = signal(50_000);
        let bits = |channel: &[f32], at: [usize; 4]| at.map(|t| channel[t].to_bits());
        assert_eq!(bits(&left, [0, 1, 22_050, 49_999]), [0x3f80_0085, 0x3f41_bea1, 0x3dd5_c37e, 0xbe11_02b1]);
        assert_eq!(
            bits(&right, [0, 1, 22_050, 49_999]),
            [0x3f3a_efe8, 0x3ef4_36a2, 0x3e33_d80e, 0xbdff_9322]
        );
        let weight = draw("encoder.0.conv.weight", &Shape::from((4, 4, 8, 1)), 1, &Device::Cpu).unwrap();
        let weight = weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(weight[..2], [0.021_498_606, -0.240_692_48]);
    }

    #[test]
    fn a_network_is_its_seed() {
        let network = |seed| checkpoint(small_kwargs(&["drums", "bass"]), seed).unwrap();
        assert_eq!(network(1).fingerprint(), network(1).fingerprint());
        assert_ne!(network(1).fingerprint(), network(2).fingerprint());
    }
}
