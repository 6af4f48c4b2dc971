//! The HTDemucs network: two U-nets, one on the spectrogram and one on the waveform, joined by a
//! transformer at the bottom.
//!
//! These modules are the readable definition of the result: plain tensor operations that run on
//! every device. Source: demucs `htdemucs.py` (Rouard, Massa, Défossez, arXiv 2211.08553).

mod config;
mod conv;
mod dconv;
mod decoder;
mod encoder;
mod norm;
pub(crate) mod position;
mod transformer;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

pub use config::{Config, Fraction};
use conv::{Axis, Pointwise};
pub(crate) use dconv::Side;
use decoder::Decoder;
use encoder::Encoder;
use transformer::CrossTransformer;

use crate::error::Result;
use crate::spectrogram::{Spectrogram, deviation};
use crate::weights::Checkpoint;

/// Sees the output of every named block while a segment passes through the network.
///
/// Names are those of the original's modules: `encoder.0.dconv`, `crosstransformer.layers.2`, ...
pub trait Probe {
    /// Called once for each block with its output.
    fn see(&mut self, name: &str, output: &Tensor);
}

impl Probe for () {
    fn see(&mut self, _: &str, _: &Tensor) {}
}

impl<F: FnMut(&str, &Tensor)> Probe for F {
    fn see(&mut self, name: &str, output: &Tensor) {
        self(name, output);
    }
}

/// A loaded network.
#[derive(Debug)]
pub struct HTDemucs {
    config: Config,
    device: Device,
    spectrogram: Spectrogram,
    encoder: Vec<Encoder>,
    tencoder: Vec<Encoder>,
    decoder: Vec<Decoder>,
    tdecoder: Vec<Decoder>,
    /// Added after the first frequency encoder: `[1, C, F, 1]`.
    embedding: Option<Tensor>,
    bottleneck: Option<Bottleneck>,
    transformer: CrossTransformer,
}

/// Pointwise maps into and out of the transformer's width.
#[derive(Debug)]
struct Bottleneck {
    up: Pointwise,
    down: Pointwise,
    up_t: Pointwise,
    down_t: Pointwise,
}

impl HTDemucs {
    /// Builds the network that `config` describes from tensors named as in the checkpoint, on the
    /// device of `vb`.
    ///
    /// # Errors
    /// A missing tensor or one of another shape, by name.
    pub fn new(config: Config, vb: &VarBuilder) -> Result<Self> {
        let depth = config.depth;
        let width = |layer: usize| config.hidden_channels(layer);
        let audio = config.audio_channels;
        let stack = |axis: Axis, name: &str, input: usize| -> candle_core::Result<Vec<Encoder>> {
            (0..depth)
                .map(|i| {
                    let ci = if i == 0 { input } else { width(i - 1) };
                    Encoder::new(axis, &format!("{name}.{i}"), ci, width(i), &config, vb)
                })
                .collect()
        };
        let unstack = |axis: Axis, name: &str, output: usize| -> candle_core::Result<Vec<Decoder>> {
            (0..depth)
                .map(|i| {
                    let layer = depth - 1 - i;
                    let co = if layer == 0 { output } else { width(layer - 1) };
                    Decoder::new(axis, &format!("{name}.{i}"), width(layer), co, &config, vb)
                })
                .collect()
        };
        let outputs = audio * config.sources.len();
        let bins = config.nfft / 2 / config.stride;
        let bottom_bins = config.nfft / 2 / config.stride.pow(depth as u32);
        let steps = (0..depth).fold(config.segment_frames(), |n, _| n.div_ceil(config.stride));
        let frames = config.spectrogram_frames();
        Ok(Self {
            spectrogram: Spectrogram::new(config.nfft),
            encoder: stack(Axis::Bins, "encoder", 2 * audio)?,
            tencoder: stack(Axis::Frames, "tencoder", audio)?,
            decoder: unstack(Axis::Bins, "decoder", 2 * outputs)?,
            tdecoder: unstack(Axis::Frames, "tdecoder", outputs)?,
            embedding: embedding(bins, &config, vb)?,
            bottleneck: Bottleneck::new(&config, vb)?,
            transformer: CrossTransformer::new(bottom_bins, frames, steps, &config, vb)?,
            device: vb.device().clone(),
            config,
        })
    }

    /// Builds the network of a checkpoint.
    ///
    /// # Errors
    /// As [`Config::from_kwargs`] and [`Self::new`].
    pub fn from_checkpoint(checkpoint: Checkpoint, device: &Device) -> Result<Self> {
        let config = Config::from_kwargs(&checkpoint.kwargs)?;
        let tensors = checkpoint.tensors.into_iter().collect();
        Self::new(config, &VarBuilder::from_tensors(tensors, DType::F32, device))
    }

    /// What the network was built from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The device that holds the weights.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Separates a batch of segments: `[B, 2, N]` to `[B, S, 2, N]` with N = the segment's samples.
    ///
    /// # Errors
    /// A failing tensor operation, such as too little memory on the device.
    pub fn forward(&self, mix: &Tensor, probe: &mut dyn Probe) -> Result<Tensor> {
        let (b, channels, n) = mix.dims3()?;
        let s = self.config.sources.len();
        let spec = self.spectrogram.forward(mix)?;
        probe.see("spec", &spec);
        let (x, mean, std) = normalize(&spec)?;
        let (xt, mean_t, std_t) = normalize(mix)?;

        let (x, xt) = self.u_net(&x, &xt.unsqueeze(2)?, probe)?;

        let (bins, frames) = (self.config.nfft / 2, self.config.spectrogram_frames());
        let x = denormalize(&x.reshape((b, s, 2 * channels, bins, frames))?, &mean, &std)?;
        probe.see("freq_branch", &x);
        let xt = denormalize(&xt.reshape((b, s, channels, n))?, &mean_t, &std_t)?;
        probe.see("time_branch", &xt);
        let x = self.spectrogram.inverse(&x, n)?;
        probe.see("ispec", &x);
        let out = (x + xt)?;
        probe.see("output", &out);
        Ok(out)
    }

    /// Both branches from normalised input to normalised output.
    fn u_net(&self, x: &Tensor, xt: &Tensor, probe: &mut dyn Probe) -> Result<(Tensor, Tensor)> {
        let (mut x, mut xt) = (x.clone(), xt.clone());
        let (mut skips, mut skips_t, mut lengths_t) = (Vec::new(), Vec::new(), Vec::new());
        for (i, (encoder, tencoder)) in self.encoder.iter().zip(&self.tencoder).enumerate() {
            lengths_t.push(xt.dim(3)?);
            xt = tencoder.forward(&xt, probe)?;
            x = encoder.forward(&x, probe)?;
            if let (0, Some(embedding)) = (i, &self.embedding) {
                x = x.broadcast_add(embedding)?;
            }
            skips.push(x.clone());
            skips_t.push(xt.clone());
        }
        (x, xt) = match &self.bottleneck {
            Some(bottleneck) => {
                let (up, up_t) = (bottleneck.up.forward(&x)?, bottleneck.up_t.forward(&xt)?);
                probe.see("channel_upsampler", &up);
                probe.see("channel_upsampler_t", &up_t);
                let (up, up_t) = self.transformer.forward(&up, &up_t, probe)?;
                let (down, down_t) = (bottleneck.down.forward(&up)?, bottleneck.down_t.forward(&up_t)?);
                probe.see("channel_downsampler", &down);
                probe.see("channel_downsampler_t", &down_t);
                (down, down_t)
            }
            None => self.transformer.forward(&x, &xt, probe)?,
        };
        for (decoder, tdecoder) in self.decoder.iter().zip(&self.tdecoder) {
            if let (Some(skip), Some(skip_t), Some(length)) = (skips.pop(), skips_t.pop(), lengths_t.pop()) {
                x = decoder.forward(&x, &skip, 0, probe)?;
                xt = tdecoder.forward(&xt, &skip_t, length, probe)?;
            }
        }
        Ok((x, xt))
    }
}

impl Bottleneck {
    fn new(config: &Config, vb: &VarBuilder) -> candle_core::Result<Option<Self>> {
        if config.bottom_channels == 0 {
            return Ok(None);
        }
        let (outer, inner) = (config.hidden_channels(config.depth - 1), config.bottom_channels);
        Ok(Some(Self {
            up: Pointwise::new(outer, inner, 1, &vb.pp("channel_upsampler"))?,
            down: Pointwise::new(inner, outer, 1, &vb.pp("channel_downsampler"))?,
            up_t: Pointwise::new(outer, inner, 1, &vb.pp("channel_upsampler_t"))?,
            down_t: Pointwise::new(inner, outer, 1, &vb.pp("channel_downsampler_t"))?,
        }))
    }
}

fn embedding(bins: usize, config: &Config, vb: &VarBuilder) -> candle_core::Result<Option<Tensor>> {
    if config.freq_emb == 0.0 {
        return Ok(None);
    }
    let weight = vb.pp("freq_emb").pp("embedding").get((bins, config.channels), "weight")?;
    let scaled = (weight.t()? * (config.freq_emb * config.emb_scale))?;
    scaled.reshape((1, config.channels, bins, 1)).map(Some)
}

/// Each sample of a batch brought to mean 0 and deviation 1: the normalised `x`, and mean and
/// deviation as `[B, 1, ..]`. Source: demucs `htdemucs.py`, `forward`.
fn normalize(x: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
    let batch = x.dim(0)?;
    let rows = x.flatten_from(1)?.to_vec2::<f32>()?;
    let (means, deviations): (Vec<f32>, Vec<f32>) =
        rows.iter().map(|row| deviation(row)).map(|(m, d)| (m as f32, d as f32)).unzip();
    let mut shape = vec![1; x.rank()];
    shape[0] = batch;
    let mean = Tensor::from_vec(means, shape.clone(), x.device())?;
    let std = Tensor::from_vec(deviations, shape, x.device())?;
    let normal = x.broadcast_sub(&mean)?.broadcast_div(&(&std + 1e-5)?)?;
    Ok((normal, mean, std))
}

fn denormalize(x: &Tensor, mean: &Tensor, std: &Tensor) -> candle_core::Result<Tensor> {
    x.broadcast_mul(&std.unsqueeze(1)?)?.broadcast_add(&mean.unsqueeze(1)?)
}
