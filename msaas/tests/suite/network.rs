//! Small networks with seeded weights. They separate nothing, but all else is as with a real one.

use std::path::Path;

use demucs::seeded::{checkpoint, small_kwargs};

/// The stems of every network here.
pub(crate) const STEMS: [&str; 4] = ["drums", "bass", "other", "vocals"];

/// Which network a test needs.
#[derive(Clone, Copy)]
pub(crate) enum Network {
    /// At 44.1 kHz, with segments of half a second and every kind of block.
    Complete,
    /// The same without the costly blocks.
    Plain,
    /// At 8 kHz, with segments of 299 frames: for many tiny files.
    Tiny,
    /// At 16 kHz, with segments of 10 s and one stem: an hour of audio in seconds.
    Long,
    /// The same with all stems, at 4 kHz, with segments of 40 s.
    Hour,
}

/// Writes the weights as a safetensors file.
pub(crate) fn write_weights(network: Network, path: &Path) {
    let mut kwargs = small_kwargs(&STEMS);
    let mut set = |name: &str, value: u64| kwargs.insert(name.to_owned(), value.into());
    let segment = match network {
        Network::Tiny => (299, 8000),
        Network::Complete => {
            set("samplerate", 44_100);
            set("nfft", 512);
            set("depth", 3);
            (1, 2)
        }
        Network::Plain => {
            set("samplerate", 44_100);
            set("nfft", 1024);
            set("kernel_size", 16);
            set("stride", 8);
            set("dconv_mode", 0);
            set("t_layers", 1);
            (1, 2)
        }
        Network::Long | Network::Hour => {
            let (rate, segment_s) = if let Network::Long = network { (16_000, 10) } else { (4000, 40) };
            set("samplerate", rate);
            set("nfft", 8192);
            set("kernel_size", 64);
            set("stride", 32);
            set("growth", 1);
            set("dconv_mode", 0);
            set("t_layers", 1);
            (segment_s, 1)
        }
    };
    if let Network::Long = network {
        kwargs.insert("sources".to_owned(), vec!["vocals"].into());
    }
    let fraction = kwargs.get_mut("segment").and_then(|segment| segment.as_object_mut());
    let fraction = fraction.expect("a fraction");
    fraction.insert("numerator".to_owned(), segment.0.into());
    fraction.insert("denominator".to_owned(), segment.1.into());
    let weights = checkpoint(kwargs, 7).expect("a network").to_safetensors().expect("its weights");
    std::fs::write(path, weights).expect("written");
}
