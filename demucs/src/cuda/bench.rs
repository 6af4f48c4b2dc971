//! What a card does at best, for `examples/card`: a large product by the kernels of the network, and launches that do nothing.

use std::collections::BTreeMap;

use super::arguments::Moments;
use super::card::Card;
use super::compiler::{Compiler, SLACK, With};
use super::matrix::Taps;
use super::memory::{Budget, Memory};
use super::network::Precision;
use super::sequence::{Launch, Sequence};
use super::shape::{Place, Shape};
use super::step::{Finish, Slot};
use super::stream::Stream;
use super::workspace::Buffers;
use crate::error::Result;
use crate::tensors::Tensors;

/// Launches that can be run again and again.
#[derive(Debug)]
pub struct Bench {
    sequence: Sequence,
    stream: Stream,
    /// What the sequence reads and writes.
    _memory: Vec<Memory>,
}

impl Bench {
    /// A product of `tokens` of `k` values with `columns`.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where it does not fit, [`crate::Error::Card`] where the card fails.
    pub fn product(
        card: &Card,
        precision: Precision,
        (tokens, k, columns): (usize, usize, usize),
    ) -> Result<Self> {
        let half = precision == Precision::Half;
        let (mut buffers, mut budget) = (Buffers::default(), Budget::new(card, None));
        let none = Tensors::new(BTreeMap::new());
        let mut compiler = Compiler::new(none, half, 1, &mut buffers, &mut budget);
        // Zeros would be faster: they switch less in a chip.
        let value = |i: usize| (i * 7 % 31) as f32 / 31.0 - 0.5;
        let values: Vec<f32> = (0..tokens * k + SLACK).map(value).collect();
        let from = Place { address: compiler.elements(&values)?, shape: Shape::dense(1, tokens, k) };
        let matrix = compiler.matrix(&Taps::run(0, k), columns, |_, k, n| value(5 * k + 3 * n), |_| 0.1)?;
        let to = compiler.place(Shape::dense(1, tokens, columns))?;
        compiler.product(from.view(), &matrix, Finish::Store, to.view(), With::default());
        let (steps, mut memory) = compiler.finish()?;
        memory.extend(buffers.into_memory());
        let nowhere = Slot { mix: 0, out: 0 };
        Self::new(card, steps.iter().map(|step| step.launch(1, nowhere, half)).collect(), memory)
    }

    /// So many launches of one block that has next to nothing to do.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where the card fails.
    pub fn launches(card: &Card, count: usize) -> Result<Self> {
        let memory = vec![card.zeroed(16)?, card.zeroed(8)?];
        let args = Moments {
            partials: memory[0].address(),
            moments: memory[1].address(),
            groups: 1,
            parts: 1,
            count: 1,
            deviation: 1,
            epsilon: 0.0,
        };
        let launch = |_| Launch { kernel: "moments".into(), grid: [1; 3], shared: 128, args: Box::new(args) };
        Self::new(card, (0..count).map(launch).collect(), memory)
    }

    fn new(card: &Card, launches: Vec<Launch>, memory: Vec<Memory>) -> Result<Self> {
        // SAFETY: the launches name this memory alone, which lives as long as the sequence, and one stream runs it.
        let mut sequence = unsafe { card.sequence(launches)? };
        sequence.record()?;
        Ok(Self { sequence, stream: card.stream()?, _memory: memory })
    }

    /// The first kernel's name.
    #[must_use]
    pub fn kernel(&self) -> &str {
        self.sequence.kernels().next().unwrap_or_default()
    }

    /// Runs all of it as one: seconds of the card.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where the card fails.
    pub fn time(&self) -> Result<f64> {
        self.stream.time(&self.sequence)
    }
}
