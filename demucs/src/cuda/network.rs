//! A network on a card.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::model::Config;
use crate::tensors::Tensors;
use crate::weights::Checkpoint;

use super::card::Card;
use super::compiler::Compiler;
use super::matrix::Taps;
use super::memory::{Memory, Pinned};
use super::sequence::Sequence;
use super::shape::{Place, RUN, Shape, padded};
use super::step::{Slot, Step};
use super::stream::{Copying, Stream};
use super::unet::{Axis, Layer};

/// The type of activations and weights on a card. Sums, norms, spectra and the transformer's residual stream are always floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 16 bits: what tensor cores are fastest with, and what the published weights come in.
    Half,
    /// 32 bits; products are of three halves of floats each.
    Single,
}

/// Batches that the card has at a time: one is copied while another one is computed.
pub const SLOTS: usize = 2;

/// An `HTDemucs` network that a card computes: the same mathematics as [`crate::model::HTDemucs`].
///
/// The result does not depend on the batch.
pub struct Compiled {
    config: Config,
    most: usize,
    /// For each slot, and each number of segments that there is a recording for, fewest first.
    sequences: [Vec<(usize, Sequence)>; SLOTS],
    slots: [Mutex<State>; SLOTS],
    places: [[Memory; 2]; SLOTS],
    computing: Stream,
    coming: Stream,
    leaving: Stream,
    /// What the sequences read and write.
    memory: Vec<Memory>,
}

/// What a slot is doing.
enum State {
    Free(Pinned<f32>, Pinned<f32>),
    Begun(Copying<f32>, Copying<f32>),
    /// It failed, and what it had is lost.
    Lost,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled")
            .field("config", &self.config)
            .field("most", &self.most)
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
        let config = Config::from_kwargs(&checkpoint.kwargs)?;
        check(&config)?;
        let mut most = most.max(1);
        loop {
            let tensors = Tensors::new(checkpoint.tensors.clone());
            match Self::new(&config, card, tensors, precision, most, budget) {
                Err(Error::OutOfMemory(_)) if most > 1 => most /= 2,
                done => return done,
            }
        }
    }

    fn new(
        config: &Config,
        card: &Card,
        tensors: Tensors,
        precision: Precision,
        most: usize,
        budget: Option<usize>,
    ) -> Result<Self> {
        let half = precision == Precision::Half;
        let mut compiler = Compiler::new(card, tensors, half, most, budget.unwrap_or(usize::MAX));
        compile(&mut compiler, config)?;
        let n = config.segment_frames();
        let (from, to) = (config.audio_channels * n, config.audio_channels * config.sources.len() * n);
        let place =
            || -> Result<[Memory; 2]> { Ok([card.zeroed(most * from * 4)?, card.zeroed(most * to * 4)?]) };
        let places = [place()?, place()?];
        let slot =
            || Ok::<_, Error>(Mutex::new(State::Free(card.pinned(most * from)?, card.pinned(most * to)?)));
        let slots = [slot()?, slot()?];
        let (steps, memory) = compiler.finish()?;
        let sequences = |places: &[Memory; 2]| -> Result<Vec<(usize, Sequence)>> {
            let slot = Slot { mix: places[0].address(), out: places[1].address() };
            sizes(most).map(|batch| Ok((batch, sequence(card, &steps, batch, slot, half)?))).collect()
        };
        Ok(Self {
            config: config.clone(),
            most,
            sequences: [sequences(&places[0])?, sequences(&places[1])?],
            slots,
            places,
            computing: card.stream()?,
            coming: card.stream()?,
            leaving: card.stream()?,
            memory,
        })
    }

    /// What the network was built from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Segments of the largest batch.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Begins with a batch of at most [`Self::most`] segments, `[B, 2, N]`, in a slot; what it had is given up.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] for more segments than that, [`Error::Card`] where the card fails.
    ///
    /// # Panics
    /// Where the slice is no batch.
    pub fn begin(&self, slot: usize, mix: &[f32]) -> Result<()> {
        let (from, to) = self.lens();
        let batch = mix.len() / from;
        assert!(batch > 0 && mix.len().is_multiple_of(from), "segments of another size");
        if batch > self.most {
            return Err(Error::OutOfMemory(format!("{batch} segments")));
        }
        let mut state = self.slot(slot);
        let (mut coming, leaving) = match std::mem::replace(&mut *state, State::Lost) {
            State::Free(coming, leaving) => (coming, leaving),
            State::Begun(coming, leaving) => (coming.wait()?, leaving.wait()?),
            State::Lost => return Err(Error::Card("it failed before".into())),
        };
        coming[..mix.len()].copy_from_slice(mix);
        let [mix_place, out_place] = &self.places[slot];
        let coming = self.coming.upload(coming, mix.len(), mix_place, 0)?;
        self.computing.follow(coming.done())?;
        let fits = self.sequences[slot].iter().find(|(most, _)| *most >= batch);
        if let Some((_, sequence)) = fits {
            self.computing.run(sequence)?;
        }
        self.leaving.follow(&self.computing.mark()?)?;
        let leaving = self.leaving.download(out_place, 0, leaving, batch * to)?;
        *state = State::Begun(coming, leaving);
        Ok(())
    }

    /// Waits for the batch of a slot: `[B, S, 2, N]`.
    ///
    /// # Errors
    /// [`Error::Card`] where the card failed.
    pub fn finish(&self, slot: usize, out: &mut [f32]) -> Result<()> {
        let mut state = self.slot(slot);
        let State::Begun(coming, leaving) = std::mem::replace(&mut *state, State::Lost) else {
            return Err(Error::Card("a batch that nobody began".into()));
        };
        let (coming, leaving) = (coming.wait()?, leaving.wait()?);
        out.copy_from_slice(&leaving[..out.len()]);
        *state = State::Free(coming, leaving);
        Ok(())
    }

    /// Separates any number of segments: `[B, 2, N]` to `[B, S, 2, N]`.
    ///
    /// # Errors
    /// [`Error::Card`] where the card fails.
    pub fn forward(&self, mix: &[f32], out: &mut [f32]) -> Result<()> {
        let (from, to) = self.lens();
        for (mix, out) in mix.chunks(self.most * from).zip(out.chunks_mut(self.most * to)) {
            self.begin(0, mix)?;
            self.finish(0, out)?;
        }
        Ok(())
    }

    /// Bytes of the card that it has: weights, and what batches need.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.memory.iter().chain(self.places.iter().flatten()).map(Memory::bytes).sum()
    }

    /// Seconds of the card that a batch of so many segments takes, without copies: computes again what came to the first slot.
    ///
    /// # Errors
    /// [`Error::Card`] where the card fails.
    ///
    /// # Panics
    /// Where there is no recording for such a batch: those are of powers of two, and of the most.
    pub fn time(&self, batch: usize) -> Result<f64> {
        let _alone = self.slot(0);
        self.computing.time(self.sequence(batch))
    }

    /// The same for each launch, which has a kernel's name.
    ///
    /// # Errors
    /// [`Error::Card`] where the card fails.
    ///
    /// # Panics
    /// As [`Self::time`] does.
    pub fn time_each(&self, batch: usize) -> Result<Vec<(&str, f64)>> {
        let _alone = self.slot(0);
        let sequence = self.sequence(batch);
        Ok(sequence.kernels().zip(self.computing.time_each(sequence)?).collect())
    }

    fn sequence(&self, batch: usize) -> &Sequence {
        let found = self.sequences[0].iter().find(|(size, _)| *size == batch);
        &found.expect("a batch that there is a recording for").1
    }

    /// Floats of a segment that comes, and of one that leaves.
    fn lens(&self) -> (usize, usize) {
        let from = self.config.audio_channels * self.config.segment_frames();
        (from, from * self.config.sources.len())
    }

    /// A slot that has no batch, or the first.
    #[must_use]
    pub fn free(&self) -> usize {
        (0..SLOTS).find(|slot| matches!(*self.slot(*slot), State::Free(..))).unwrap_or(0)
    }

    fn slot(&self, slot: usize) -> MutexGuard<'_, State> {
        self.slots[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether kernels have room for such a network.
pub(super) fn check(config: &Config) -> Result<()> {
    let head = config.transformer_channels() / config.t_heads;
    for (name, value, possible) in [
        ("nfft", config.nfft, config.nfft.is_power_of_two() && (16..=8192).contains(&config.nfft)),
        ("a head's channels", head, head <= 64),
        ("the transformer's channels", config.transformer_channels(), config.transformer_channels() <= 1024),
    ] {
        if !possible {
            return Err(Error::Unsupported(format!("{name}: {value} is more than a card's kernels take")));
        }
    }
    Ok(())
}

/// Numbers of segments that there are recordings for: powers of two, and the most.
fn sizes(most: usize) -> impl Iterator<Item = usize> {
    (0..usize::BITS).map(|power| 1 << power).take_while(move |size| *size < most).chain([most])
}

fn sequence(card: &Card, steps: &[Step], batch: usize, slot: Slot, half: bool) -> Result<Sequence> {
    let launches = steps.iter().map(|step| step.launch(batch, slot, half)).collect();
    // SAFETY: the steps name memory of the compiler that wrote them, which has room for their largest batch, and the slot's;
    // both live as long as the sequence, and batches are computed one after the other on one stream.
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
