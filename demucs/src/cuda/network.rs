//! A network on a card.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::Config;
use crate::tensors::Tensors;
use crate::weights::Checkpoint;

use super::card::Card;
use super::compiler::Compiler;
use super::matrix::Taps;
use super::memory::{Budget, Memory};
use super::sequence::Sequence;
use super::shape::{Place, RUN, Shape, padded};
use super::step::{Slot, Step};
use super::unet::{Axis, Layer};
use super::workspace::{SLOTS, Workspace};

/// The type of activations and weights on a card. Sums, norms, spectra and the transformer's residual stream are always floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 16 bits: what tensor cores are fastest with, and what the published weights come in.
    Half,
    /// 32 bits; a product is three of TF32 numbers.
    Single,
}

/// An `HTDemucs` network that a card computes: the same mathematics as [`crate::model::HTDemucs`].
///
/// The result does not depend on the batch.
pub struct Compiled {
    /// For each slot, and each number of segments that there is a recording for, fewest first.
    sequences: [Vec<(usize, Sequence)>; SLOTS],
    weights: Vec<Memory>,
    pub(super) workspace: Arc<Workspace>,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled")
            .field("config", self.config())
            .field("most", &self.most())
            .finish_non_exhaustive()
    }
}

impl Compiled {
    /// Compiles the network of a checkpoint for batches of at most `most` segments, or fewer where memory (`budget` bytes of it)
    /// does not hold them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when it describes another kind of network, [`Error::Tensor`] when a weight is missing or of another
    /// shape, [`Error::OutOfMemory`] where not even one segment fits, [`Error::Card`] where the card fails.
    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        card: &Card,
        precision: Precision,
        most: usize,
        budget: Option<usize>,
    ) -> Result<Self> {
        let mut networks = Self::all(&[checkpoint], card, precision, most, budget)?;
        networks.pop().ok_or_else(|| Error::Unsupported("no network".into()))
    }

    /// The same for several networks whose batches are computed one after the other, as those of a bag are: all have room for as many
    /// segments, and those of one kind share it.
    ///
    /// # Errors
    /// Those of [`Self::from_checkpoint`].
    pub fn all(
        checkpoints: &[&Checkpoint],
        card: &Card,
        precision: Precision,
        most: usize,
        budget: Option<usize>,
    ) -> Result<Vec<Self>> {
        let mut most = most.max(1);
        loop {
            match Self::all_of(checkpoints, precision, most, Budget::new(card, budget)) {
                Err(Error::OutOfMemory(_)) if most > 1 => most /= 2,
                done => return done,
            }
        }
    }

    fn all_of(
        checkpoints: &[&Checkpoint],
        precision: Precision,
        most: usize,
        mut budget: Budget,
    ) -> Result<Vec<Self>> {
        let mut workspaces: Vec<Workspace> = Vec::new();
        let mut networks = Vec::new();
        for checkpoint in checkpoints {
            let config = Config::from_kwargs(&checkpoint.kwargs)?;
            check(&config)?;
            let known = workspaces.iter().position(|workspace| *workspace.config() == config);
            let at = known.unwrap_or(workspaces.len());
            if known.is_none() {
                workspaces.push(Workspace::new(&config, most, &mut budget)?);
            }
            let tensors = Tensors::new(checkpoint.tensors.clone());
            networks.push((at, compiled(&mut workspaces[at], tensors, precision, &mut budget)?));
        }
        let workspaces: Vec<_> = workspaces.into_iter().map(Arc::new).collect();
        let network =
            |(at, (sequences, weights))| Self { sequences, weights, workspace: Arc::clone(&workspaces[at]) };
        Ok(networks.into_iter().map(network).collect())
    }

    /// What the network was built from.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.workspace.config()
    }

    /// Segments of the largest batch.
    #[must_use]
    pub fn most(&self) -> usize {
        self.workspace.most()
    }

    /// Begins with a batch of at most [`Self::most`] segments, `[B, 2, N]`; gives the slot that it is in.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] for more segments than that, or where the card has too little memory left to run them: smaller
    /// batches may do. [`Error::Card`] where it fails, and where all slots have a batch.
    ///
    /// # Panics
    /// Where the slice is no batch.
    pub fn begin(&self, mix: &[f32]) -> Result<usize> {
        let [from, _] = self.workspace.lens();
        let batch = mix.len() / from;
        assert!(batch > 0 && mix.len().is_multiple_of(from), "segments of another size");
        if batch > self.most() {
            return Err(Error::OutOfMemory(format!("{batch} segments")));
        }
        self.workspace.begin(mix, |slot| {
            let fits = self.sequences[slot].iter().find(|(most, _)| *most >= batch);
            &fits.expect("there is a recording for the most").1
        })
    }

    /// Waits for the batch of a slot, `[B, S, 2, N]`, which is free for another one then; gives the seconds that the card computed
    /// it for.
    ///
    /// # Errors
    /// [`Error::Card`] where the card failed.
    pub fn finish(&self, slot: usize, out: &mut [f32]) -> Result<f64> {
        self.workspace.finish(slot, out)
    }

    /// Waits for the batch of a slot that nobody wants any more.
    pub fn give_up(&self, slot: usize) {
        // Whatever became of it, there is nobody to tell.
        let _ = self.workspace.finish(slot, &mut []);
    }

    /// Separates any number of segments: `[B, 2, N]` to `[B, S, 2, N]`.
    ///
    /// # Errors
    /// [`Error::Card`] where the card fails.
    pub fn forward(&self, mix: &[f32], out: &mut [f32]) -> Result<()> {
        let [from, to] = self.workspace.lens();
        for (mix, out) in mix.chunks(self.most() * from).zip(out.chunks_mut(self.most() * to)) {
            let slot = self.begin(mix)?;
            self.finish(slot, out)?;
        }
        Ok(())
    }

    /// Bytes of the card that it has: weights, and what batches need, which it may share with others.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.weights.iter().map(Memory::bytes).sum::<usize>() + self.workspace.bytes()
    }

    /// Seconds of the card that a batch of so many segments takes, without copies: computes again what came to the first slot.
    ///
    /// # Errors
    /// [`Error::Card`] where the card fails.
    ///
    /// # Panics
    /// Where a batch is larger than [`Self::most`].
    pub fn time(&self, batch: usize) -> Result<f64> {
        self.workspace.alone(|stream| stream.time(self.sequence(batch)))
    }

    /// The same for each launch, which has a kernel's name.
    ///
    /// # Errors
    /// [`Error::Card`] where the card fails.
    ///
    /// # Panics
    /// As [`Self::time`] does.
    pub fn time_each(&self, batch: usize) -> Result<Vec<(&str, f64)>> {
        let sequence = self.sequence(batch);
        let seconds = self.workspace.alone(|stream| stream.time_each(sequence))?;
        Ok(sequence.kernels().zip(seconds).collect())
    }

    fn sequence(&self, batch: usize) -> &Sequence {
        let found = self.sequences[0].iter().find(|(size, _)| *size == batch);
        &found.expect("a batch that there is a recording for").1
    }
}

/// Whether kernels have room for such a network.
pub(super) fn check(config: &Config) -> Result<()> {
    let head = config.transformer_channels() / config.t_heads;
    let hidden = config.hidden_channels(config.depth.saturating_sub(1)) / config.dconv_comp;
    for (name, value, possible) in [
        ("nfft", config.nfft, config.nfft.is_power_of_two() && (16..=8192).contains(&config.nfft)),
        ("a head's channels", head, head <= 64),
        // Their norm has a block's tokens in shared memory, of which an A100 has 163 KiB.
        ("a DConv's hidden channels", hidden, hidden <= 256),
        ("the transformer's channels", config.transformer_channels(), config.transformer_channels() <= 1024),
    ] {
        if !possible {
            return Err(Error::Unsupported(format!("{name}: {value} is more than a card's kernels take")));
        }
    }
    Ok(())
}

/// Numbers of segments that there are recordings for: all, since what a song has over would else be computed with segments that
/// nobody asked for (48 for 41), and a recording is some hundred launches.
fn sizes(most: usize) -> impl Iterator<Item = usize> {
    1..=most
}

/// The recordings of a network for each slot, and its weights.
type Recorded = ([Vec<(usize, Sequence)>; SLOTS], Vec<Memory>);

fn compiled(
    workspace: &mut Workspace,
    tensors: Tensors,
    precision: Precision,
    budget: &mut Budget,
) -> Result<Recorded> {
    let (config, most, half) = (workspace.config().clone(), workspace.most(), precision == Precision::Half);
    let mut compiler = Compiler::new(tensors, half, most, workspace.buffers(), budget);
    compile(&mut compiler, &config)?;
    let (steps, weights) = compiler.finish()?;
    let sequences = |slot: usize| -> Result<Vec<(usize, Sequence)>> {
        let slot = workspace.addresses(slot);
        sizes(most).map(|batch| Ok((batch, sequence(budget.card(), &steps, batch, slot, half)?))).collect()
    };
    Ok(([sequences(0)?, sequences(1)?], weights))
}

fn sequence(card: &Card, steps: &[Step], batch: usize, slot: Slot, half: bool) -> Result<Sequence> {
    let launches = steps.iter().map(|step| step.launch(batch, slot, half)).collect();
    // SAFETY: the steps name weights, and memory of the workspace, which has room for the largest batch; both live as long as
    // the sequence, and batches are computed one after the other on one stream.
    let mut sequence = unsafe { card.sequence(launches)? };
    sequence.record()?;
    Ok(sequence)
}

/// The network from its samples to its samples.
fn compile(compiler: &mut Compiler<'_>, config: &Config) -> Result<()> {
    let layer = |axis: Axis, level: usize| Layer { config, axis, level };
    let (ends, [grid, line]) = compiler.begin(config)?;
    let (mut skips, mut skips_t) = (Vec::new(), Vec::new());
    for i in 0..config.depth {
        let (rows, tokens) = (layer(Axis::Rows, i), layer(Axis::Tokens, i));
        skips_t.push(match skips_t.last() {
            Some(x) => compiler.hidden_encoder(tokens, x)?,
            None => compiler.first_of_time(tokens, &line)?,
        });
        skips.push(match skips.last() {
            Some(x) => compiler.hidden_encoder(rows, x)?,
            None => compiler.first_of_frequency(rows, &grid)?,
        });
    }
    let bottom = config.depth - 1;
    let mut branches =
        [compiler.enter(config, "", &skips[bottom])?, compiler.enter(config, "_t", &skips_t[bottom])?];
    compiler.transform(config, &mut branches)?;
    let [branch, branch_t] = &mut branches;
    compiler.leave(config, branch, &skips[bottom])?;
    compiler.leave(config, branch_t, &skips_t[bottom])?;

    let (bins, outputs) = (config.nfft / 2, config.audio_channels * config.sources.len());
    // Eight columns are stored at a time, and sixteen computed.
    let unit = if config.stride.is_multiple_of(2) { RUN / 2 } else { RUN };
    let wide = |channels: usize| channels.next_multiple_of(unit);
    let grid = compiler.floats(Shape::dense(bins, config.spectrogram_frames(), wide(2 * outputs)))?;
    let line = compiler.floats(Shape::dense(1, config.segment_frames(), wide(outputs)))?;
    for i in (0..config.depth).rev() {
        let (to, to_t) = if i == 0 { (grid, line) } else { (skips[i - 1], skips_t[i - 1]) };
        compiler.decoder(layer(Axis::Rows, i), &skips[i], &to)?;
        compiler.decoder(layer(Axis::Tokens, i), &skips_t[i], &to_t)?;
    }
    compiler.end(config, ends, [grid, line])
}

impl Compiler<'_> {
    /// The first layer of the frequency branch sees `stride` bins as one token, shifted by the padding.
    fn first_of_frequency(&mut self, layer: Layer<'_>, grid: &Place) -> Result<Place> {
        let config = layer.config;
        let (stride, ci) = (config.stride, 2 * config.audio_channels);
        let places = (0..config.kernel_size / stride).map(|tap| (tap * grid.shape.row()) as i64).collect();
        let taps = Taps { places, len: grid.shape.width };
        let embedding = self.embedding(config)?;
        let channel = |tap: usize, element: usize| Some((tap * stride + element / ci, element % ci));
        self.encoder(layer, grid, (&taps, 1), channel, embedding)
    }

    /// That of the time branch sees all its samples as one run.
    fn first_of_time(&mut self, layer: Layer<'_>, line: &Place) -> Result<Place> {
        let config = layer.config;
        let (width, channels) = (line.shape.width, config.audio_channels);
        let before = config.stride / 2 * width;
        let taps = Taps::run(-(before as i64), config.kernel_size * width);
        let channel = |_: usize, element: usize| {
            Some((element / width, element % width)).filter(|(_, channel)| *channel < channels)
        };
        self.encoder(layer, line, (&taps, config.stride), channel, 0)
    }

    /// One row of channels for each row of the first frequency encoder, which is added behind it.
    fn embedding(&mut self, config: &Config) -> Result<u64> {
        if config.freq_emb == 0.0 {
            return Ok(0);
        }
        let (rows, c) = (config.nfft / 2 / config.stride, config.channels);
        let weight = self.tensors.take("freq_emb.embedding.weight", &[rows, c])?;
        let width = padded(c);
        let mut embedding = vec![0.0; rows * width];
        for (to, from) in embedding.chunks_exact_mut(width).zip(weight.chunks_exact(c)) {
            for (to, weight) in to.iter_mut().zip(from) {
                *to = weight * (config.freq_emb * config.emb_scale) as f32;
            }
        }
        self.constants(&embedding)
    }
}
