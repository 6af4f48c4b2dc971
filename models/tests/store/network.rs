//! Small networks, and a registry that knows them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use demucs::weights::{Checkpoint, MemberSpec, ModelSpec, PinnedFile};
use demucs::{Tensor, TensorDevice};
use models::{FetchEvent, Hosts, Limits, ModelStore, StoreConfig};
use serde_json::json;
use sha2::{Digest as _, Sha256};

pub(crate) const SOURCES: &[&str] = &["drums", "vocals"];

/// A network of 50,000 values that half precision does not hold, so 200 kB as a file.
pub(crate) fn checkpoint(seed: u32) -> Checkpoint {
    let values: Vec<f32> = (0..50_000).map(|i| (i * 7 + seed) as f32 / 1e6).collect();
    let tensor = Tensor::from_vec(values, 50_000, &TensorDevice::Cpu).expect("values that fill the shape");
    let kwargs = json!({"sources": SOURCES}).as_object().cloned().unwrap_or_default();
    Checkpoint { kwargs, tensors: BTreeMap::from([("encoder.weight".to_owned(), tensor)]) }
}

pub(crate) fn file(seed: u32) -> Vec<u8> {
    checkpoint(seed).to_safetensors().expect("the install format")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('?'));
    Sha256::digest(bytes).iter().flat_map(digits).collect()
}

/// The network `seed` under the signature `0000000<seed>`: `/<signature>.th` officially, and on the hub.
pub(crate) fn member(seed: u32) -> MemberSpec {
    let file = file(seed);
    let signature = leaked(format!("{seed:08}"));
    let pinned = |name: String| PinnedFile {
        name: leaked(name),
        size_bytes: file.len() as u64,
        sha256: leaked(sha256(&file)),
    };
    MemberSpec {
        signature,
        official: pinned(format!("{signature}.th")),
        hub_repository: "owner/Model",
        hub: pinned(format!("{signature}.safetensors")),
        npm: None,
        fingerprint: Some(leaked(checkpoint(seed).fingerprint().to_string())),
    }
}

/// `small`: network 1. `bag`: networks 2 and 3, one for each stem.
pub(crate) fn registry() -> &'static [ModelSpec] {
    with(member(1))
}

/// The registry with another network 1.
pub(crate) fn with(first: MemberSpec) -> &'static [ModelSpec] {
    let single =
        ModelSpec { name: "small", members: Box::leak(Box::new([first])), weights: None, sources: SOURCES };
    let bag = ModelSpec {
        name: "bag",
        members: Box::leak(Box::new([member(2), member(3)])),
        weights: Some(&[&[1.0, 0.0], &[0.0, 1.0]]),
        sources: SOURCES,
    };
    Box::leak(Box::new([single, bag]))
}

/// A store that asks these hosts, in a hurry.
pub(crate) fn store(dir: &Path, official: Option<String>, hub: Option<String>) -> ModelStore {
    ModelStore::open(config(dir, official, hub)).expect("a folder")
}

pub(crate) fn config(dir: &Path, official: Option<String>, hub: Option<String>) -> StoreConfig {
    StoreConfig {
        hosts: Hosts { official, hugging_face: hub, npm: None },
        limits: Limits {
            connect: Duration::from_secs(2),
            silence: Duration::from_millis(300),
            npm: Duration::from_secs(20),
            attempts: 3,
            backoff: Duration::from_millis(1),
        },
        registry: registry(),
        ..StoreConfig::new(dir)
    }
}

/// Fetches and keeps the events that people see, without the progress.
pub(crate) fn ensure(store: &ModelStore, name: &str) -> (Result<models::Installed, String>, Vec<String>) {
    let mut events = Vec::new();
    let outcome = store.ensure(name, &mut |event| {
        if !matches!(event, FetchEvent::Progress { .. }) {
            events.push(event.to_string());
        }
    });
    (outcome.map_err(|error| error.to_string()), events)
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}
