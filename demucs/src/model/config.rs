//! The network's description, as the checkpoint carries it.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Hyper-parameters of an HTDemucs network, named as in the checkpoint's `kwargs`.
///
/// Defaults are those of the original class, which differ from those of the published networks:
/// always build from a checkpoint's own values. Source: demucs `htdemucs.py`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Names of the stems, in the order of the network's output.
    pub sources: Vec<String>,
    /// Channels of the audio.
    pub audio_channels: usize,
    /// Hidden channels after the first encoder.
    pub channels: usize,
    /// Factor of the hidden channels from layer to layer.
    pub growth: usize,
    /// Length of a Fourier frame in samples; the hop is a quarter of it.
    pub nfft: usize,
    /// Encoder and decoder layers of each branch.
    pub depth: usize,
    /// Weight of the frequency embedding; 0 leaves it out.
    pub freq_emb: f64,
    /// Factor on the stored frequency embedding.
    pub emb_scale: f64,
    /// Taps of the strided convolutions.
    pub kernel_size: usize,
    /// Their stride.
    pub stride: usize,
    /// Neighbours on each side that a decoder's rewrite sees.
    pub context: usize,
    /// First layer that has group norms; at or above `depth` there are none.
    pub norm_starts: usize,
    /// Bit 1: `DConv` in the encoders, bit 2: in the decoders.
    pub dconv_mode: u8,
    /// Residual layers of a `DConv`.
    pub dconv_depth: usize,
    /// Compression of a `DConv`'s hidden channels.
    pub dconv_comp: usize,
    /// Channels inside the transformer; 0 keeps those of the last encoder.
    pub bottom_channels: usize,
    /// Layers of the cross-domain transformer.
    pub t_layers: usize,
    /// Its feed-forward width as a multiple of its channels.
    pub t_hidden_scale: f64,
    /// Its attention heads.
    pub t_heads: usize,
    /// Longest period of the sinusoidal position embedding.
    pub t_max_period: f64,
    /// Weight of the position embedding.
    pub t_weight_pos_embed: f64,
    /// Whether the first transformer layer is a cross layer.
    pub t_cross_first: bool,
    /// Sample rate in Hz.
    pub samplerate: u32,
    /// Length of a segment in seconds.
    #[serde(deserialize_with = "fraction")]
    pub segment: Fraction,
}

/// An exact number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fraction {
    /// Above the line.
    pub numerator: u64,
    /// Below the line.
    pub denominator: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            audio_channels: 2,
            channels: 48,
            growth: 2,
            nfft: 4096,
            depth: 4,
            freq_emb: 0.2,
            emb_scale: 10.0,
            kernel_size: 8,
            stride: 4,
            context: 1,
            norm_starts: 4,
            dconv_mode: 1,
            dconv_depth: 2,
            dconv_comp: 8,
            bottom_channels: 0,
            t_layers: 5,
            t_hidden_scale: 4.0,
            t_heads: 8,
            t_max_period: 10_000.0,
            t_weight_pos_embed: 1.0,
            t_cross_first: false,
            samplerate: 44_100,
            segment: Fraction { numerator: 10, denominator: 1 },
        }
    }
}

impl Config {
    /// Reads the `kwargs` of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Config`] when a value has another type, [`Error::Unsupported`] naming the first
    /// value that asks for a variant which no published HTDemucs uses.
    pub fn from_kwargs(kwargs: &Map<String, Value>) -> Result<Self> {
        for (name, expected) in fixed_choices() {
            if let Some(given) = kwargs.get(name)
                && !same_choice(given, &expected)
            {
                return Err(Error::Unsupported(format!("{name} is {given}, only {expected} is built")));
            }
        }
        let config: Self = serde_json::from_value(Value::Object(kwargs.clone()))?;
        config.check()?;
        Ok(config)
    }

    /// Samples between two Fourier frames.
    #[must_use]
    pub fn hop(&self) -> usize {
        self.nfft / 4
    }

    /// Length of a segment in samples per channel.
    #[must_use]
    pub fn segment_frames(&self) -> usize {
        (u128::from(self.segment.numerator) * u128::from(self.samplerate)
            / u128::from(self.segment.denominator.max(1))) as usize
    }

    /// Fourier frames of a segment.
    #[must_use]
    pub fn spectrogram_frames(&self) -> usize {
        self.segment_frames().div_ceil(self.hop())
    }

    /// Hidden channels after encoder `layer`, from 0.
    #[must_use]
    pub fn hidden_channels(&self, layer: usize) -> usize {
        self.channels * self.growth.pow(layer as u32)
    }

    /// Channels inside the transformer.
    #[must_use]
    pub fn transformer_channels(&self) -> usize {
        if self.bottom_channels > 0 { self.bottom_channels } else { self.hidden_channels(self.depth - 1) }
    }

    fn check(&self) -> Result<()> {
        let refuse = |what: String| Err(Error::Unsupported(what));
        if self.sources.is_empty() || self.sources.len() > 32 {
            return refuse(format!("{} sources, 1 to 32 are possible", self.sources.len()));
        }
        for (name, value, most) in [
            ("audio_channels", self.audio_channels, 2),
            ("channels", self.channels, 1024),
            ("growth", self.growth, 8),
            ("nfft", self.nfft, 1 << 16),
            ("depth", self.depth, 8),
            ("kernel_size", self.kernel_size, 64),
            ("stride", self.stride, 32),
            ("dconv_depth", self.dconv_depth, 8),
            ("dconv_comp", self.dconv_comp, 1024),
            ("t_layers", self.t_layers, 64),
            ("t_heads", self.t_heads, 256),
            ("samplerate", self.samplerate as usize, 1 << 20),
        ] {
            if value == 0 || value > most {
                return refuse(format!("{name} is {value}, 1 to {most} is possible"));
            }
        }
        if self.audio_channels != 2 {
            return refuse(format!("{} audio channels, only stereo is built", self.audio_channels));
        }
        if self.kernel_size != 2 * self.stride {
            return refuse(format!("kernel {} with stride {}", self.kernel_size, self.stride));
        }
        if self.norm_starts < self.depth {
            return refuse(format!("group norms from layer {}", self.norm_starts));
        }
        if !self.transformer_channels().is_multiple_of(4 * self.t_heads) {
            return refuse(format!("{} channels for {} heads", self.transformer_channels(), self.t_heads));
        }
        let bins_before_last = (self.nfft / 2) / self.stride.pow(self.depth as u32 - 1);
        if !self.nfft.is_multiple_of(2 * self.stride.pow(self.depth as u32))
            || bins_before_last <= self.kernel_size
        {
            return refuse(format!("{} layers for frames of {} samples", self.depth, self.nfft));
        }
        if self.segment_frames() <= self.nfft || self.segment_frames() > 1 << 26 {
            return refuse(format!("a segment of {} samples", self.segment_frames()));
        }
        Ok(())
    }
}

/// Variants of the original class that all published HTDemucs networks choose alike.
fn fixed_choices() -> Vec<(&'static str, Value)> {
    vec![
        ("channels_time", Value::Null),
        ("wiener_iters", 0.into()),
        ("end_iters", 0.into()),
        ("wiener_residual", false.into()),
        ("cac", true.into()),
        ("rewrite", true.into()),
        ("multi_freqs", Value::Null),
        ("context_enc", 0.into()),
        ("t_emb", "sin".into()),
        ("t_norm_in", true.into()),
        ("t_norm_in_group", false.into()),
        ("t_group_norm", false.into()),
        ("t_norm_first", true.into()),
        ("t_norm_out", true.into()),
        ("t_layer_scale", true.into()),
        ("t_gelu", true.into()),
        ("t_sin_random_shift", 0.into()),
        ("t_sparse_self_attn", false.into()),
        ("t_sparse_cross_attn", false.into()),
        ("use_train_segment", true.into()),
    ]
}

/// Python lets 0, `False`, `None` and an empty list stand for one another.
fn same_choice(given: &Value, expected: &Value) -> bool {
    let falsy = |v: &Value| match v {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::Array(a) => a.is_empty(),
        Value::String(_) | Value::Object(_) => false,
    };
    let truth = |v: &Value| matches!(v, Value::Bool(true)) || v.as_f64() == Some(1.0);
    given == expected || (falsy(given) && falsy(expected)) || (truth(given) && truth(expected))
}

/// Accepts `{"_type": "fraction", "numerator": .., "denominator": ..}`, a pair, or a number.
fn fraction<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Fraction, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let pair = |n: Option<&Value>, d: Option<&Value>| {
        Some(Fraction { numerator: n?.as_u64()?, denominator: d?.as_u64().filter(|d| *d > 0)? })
    };
    let parsed = match &value {
        Value::Object(map) => pair(map.get("numerator"), map.get("denominator")),
        Value::Array(items) if items.len() == 2 => pair(items.first(), items.get(1)),
        Value::Number(number) => number.as_f64().filter(|s| *s > 0.0 && *s < 1e6).map(|seconds| {
            // A decimal fraction such as 7.8 stands for 7.8 exactly, not for its binary neighbour.
            Fraction { numerator: (seconds * 1e6).round() as u64, denominator: 1_000_000 }
        }),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => None,
    };
    parsed
        .ok_or_else(|| serde::de::Error::custom(format!("segment is {value}, a number of seconds is needed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kwargs(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_official_segment_has_343_980_samples_and_336_frames() {
        let config = Config::from_kwargs(&kwargs(
            r#"{"sources": ["drums", "bass", "other", "vocals"], "bottom_channels": 512,
                "segment": {"_type": "fraction", "numerator": 39, "denominator": 5}}"#,
        ))
        .unwrap();
        assert_eq!((config.segment_frames(), config.spectrogram_frames()), (343_980, 336));
        assert_eq!(config.transformer_channels(), 512);
    }

    #[test]
    fn a_variant_that_is_not_built_is_named() {
        let error = Config::from_kwargs(&kwargs(r#"{"sources": ["a"], "cac": false}"#)).unwrap_err();
        assert_eq!(error.to_string(), "unsupported network: cac is false, only true is built");
    }

    #[test]
    fn nonsense_values_are_refused_not_built() {
        for text in [
            r#"{"sources": []}"#,
            r#"{"sources": ["a"], "depth": 0}"#,
            r#"{"sources": ["a"], "depth": 9000000}"#,
            r#"{"sources": ["a"], "segment": 0}"#,
            r#"{"sources": ["a"], "segment": {"numerator": 1, "denominator": 0}}"#,
            r#"{"sources": ["a"], "nfft": 4097}"#,
            r#"{"sources": ["a"], "channels": 47}"#,
        ] {
            assert!(Config::from_kwargs(&kwargs(text)).is_err(), "{text}");
        }
    }
}
