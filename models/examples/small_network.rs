//! Installs a small network with seeded weights under the name `htdemucs_6s`, for loads and trials that are not about the
//! sound: `small_network MODEL_DIR`.

use std::error::Error;
use std::path::Path;

use demucs::seeded::{checkpoint, small_kwargs};
use models::{ModelStore, StoreConfig};

const STEMS: [&str; 6] = ["drums", "bass", "other", "vocals", "guitar", "piano"];

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: small_network MODEL_DIR")?;
    std::fs::create_dir_all(&dir)?;
    let weights = Path::new(&dir).join("small.safetensors");
    std::fs::write(&weights, checkpoint(small_kwargs(&STEMS), 7)?.to_safetensors()?)?;
    ModelStore::open(StoreConfig { offline: true, ..StoreConfig::new(&dir) })?
        .import(&weights, Some("htdemucs_6s"))?;
    Ok(())
}
