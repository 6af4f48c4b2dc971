//! From a checkpoint to what is launched: weights go to the card as the steps that use them are written down.

use half::f16;

use crate::error::Result;
use crate::tensors::Tensors;

use super::arguments::{Attention, Form, LayerNorm, Moments, NormGelu, Product};
use super::matrix::Matrix;
use super::memory::{Budget, Memory, Value};
use super::shape::{Place, Shape, View};
use super::step::{Finish, Step, TILE, tile_columns, tile_tokens};
use super::workspace::Buffers;

/// What is known while a network is compiled.
pub(super) struct Compiler<'a> {
    pub(super) tensors: Tensors,
    /// The type of activations and weights is half precision, else single.
    half: bool,
    /// Segments of the largest batch.
    most: usize,
    pub(super) steps: Vec<Step>,
    /// What never changes.
    constants: Vec<Memory>,
    /// What the steps write.
    buffers: &'a mut Buffers,
    budget: &'a mut Budget,
    /// Bytes of a segment's sums on their way to a norm, one after the other.
    partials: usize,
}

/// Elements that a run may reach behind the last one.
pub(super) const SLACK: usize = 64;

/// What a step of a product needs beside its matrix.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct With<'a> {
    /// Tokens of a group, where sums are taken or a norm applied.
    pub(super) group_tokens: usize,
    pub(super) norm: Option<&'a GateNorm>,
    pub(super) embedding: u64,
    pub(super) spread: Option<Spread>,
}

/// The norm before a gate, and the scale behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct GateNorm {
    pub(super) moments: u64,
    pub(super) weight: u64,
    pub(super) bias: u64,
    pub(super) scale: u64,
}

/// How the columns of a transposed convolution become tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    pub(super) steps: usize,
    pub(super) columns: usize,
    pub(super) along_rows: bool,
    pub(super) before: usize,
    pub(super) limit: usize,
}

impl<'a> Compiler<'a> {
    /// For batches of at most so many segments, with the buffers of other networks of the same kind, or none yet.
    pub(super) fn new(
        tensors: Tensors,
        half: bool,
        most: usize,
        buffers: &'a mut Buffers,
        budget: &'a mut Budget,
    ) -> Self {
        buffers.rewind();
        let (steps, constants) = (Vec::new(), Vec::new());
        Self { tensors, half, most, steps, constants, buffers, budget, partials: 0 }
    }

    /// So many bytes that steps write; zeros as long as they do not.
    pub(super) fn zeros(&mut self, bytes: usize) -> Result<u64> {
        self.buffers.next(bytes.max(1), self.budget)
    }

    /// Values that never change.
    pub(super) fn constants<T: Value>(&mut self, values: &[T]) -> Result<u64> {
        let memory = self.budget.zeroed(size_of_val(values).max(1))?;
        self.budget.card().upload(values, &memory, 0)?;
        let address = memory.address();
        self.constants.push(memory);
        Ok(address)
    }

    /// Values of the type of weights.
    pub(super) fn elements(&mut self, values: &[f32]) -> Result<u64> {
        if !self.half {
            return self.constants(values);
        }
        let halves: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
        self.constants(&halves)
    }

    /// Room for a batch of elements of that shape.
    pub(super) fn place(&mut self, shape: Shape) -> Result<Place> {
        let size = if self.half { 2 } else { 4 };
        Ok(Place { address: self.zeros((self.most * shape.len() + SLACK) * size)?, shape })
    }

    /// Room for a batch of floats.
    pub(super) fn floats(&mut self, shape: Shape) -> Result<Place> {
        Ok(Place { address: self.zeros((self.most * shape.len() + SLACK) * 4)?, shape })
    }

    /// The columns of all tokens of `from` to where they lie in `to`.
    pub(super) fn product(&mut self, from: View, matrix: &Matrix, finish: Finish, to: View, with: With<'_>) {
        let norm = with.norm;
        let spread = with.spread.unwrap_or(Spread {
            steps: 1,
            columns: matrix.columns as usize,
            along_rows: false,
            before: 0,
            limit: i32::MAX as usize,
        });
        let args = Product {
            input: from.address,
            from: from.layout,
            offsets: matrix.offsets,
            weights: matrix.weights,
            bias: matrix.bias,
            k: matrix.k,
            columns: matrix.columns,
            batch: 1,
            group_tokens: with.group_tokens as i32,
            groups: 1,
            output: to.address,
            to: to.layout,
            steps: spread.steps as i32,
            step_columns: spread.columns as i32,
            along_rows: i32::from(spread.along_rows),
            before: spread.before as i32,
            limit: spread.limit as i32,
            partials: 0,
            moments: norm.map_or(0, |norm| norm.moments),
            norm_weight: norm.map_or(0, |norm| norm.weight),
            norm_bias: norm.map_or(0, |norm| norm.bias),
            scale: norm.map_or(0, |norm| norm.scale),
            embedding: with.embedding,
        };
        if finish.knows_groups() {
            let groups = (from.layout.rows * from.layout.tokens) as usize / with.group_tokens;
            self.partials = self.partials.max(groups * sums(&args, finish, self.half) * 16);
        }
        self.steps.push(Step::Product(args, finish));
    }

    /// The moments of each of `groups` of a segment, of the sums that the last step left: mean and gain.
    pub(super) fn moments(&mut self, groups: usize, count: usize) -> Result<u64> {
        let parts = match self.steps.last() {
            Some(Step::Product(args, finish)) if finish.knows_groups() => sums(args, *finish, self.half),
            Some(Step::NormGelu(args)) => (args.group_tokens as usize).div_ceil(TILE),
            _ => 0,
        };
        self.moments_of(0, groups, parts, count, false)
    }

    /// The moments of each of `groups` of a segment, of so many parts; mean and deviation, or mean and gain.
    pub(super) fn moments_of(
        &mut self,
        partials: u64,
        groups: usize,
        parts: usize,
        count: usize,
        deviation: bool,
    ) -> Result<u64> {
        let moments = self.zeros(self.most * groups * 8)?;
        self.steps.push(Step::Moments(Moments {
            partials,
            moments,
            groups: groups as i32,
            parts: parts as i32,
            count: count as i64,
            deviation: i32::from(deviation),
            epsilon: EPSILON,
        }));
        Ok(moments)
    }

    /// Norm of each group and GELU, in place, and the sums of what the product of that form makes of it.
    pub(super) fn norm_gelu(
        &mut self,
        place: &Place,
        group_tokens: usize,
        moments: u64,
        norm: [u64; 2],
        form: Form,
    ) {
        let groups = place.shape.count() / group_tokens;
        self.partials = self.partials.max(groups * group_tokens.div_ceil(TILE) * 16);
        self.steps.push(Step::NormGelu(NormGelu {
            values: place.address,
            moments,
            weight: norm[0],
            bias: norm[1],
            form,
            partials: 0,
            groups: groups as i32,
            group_tokens: group_tokens as i32,
            width: place.shape.width as i32,
        }));
    }

    /// Norms of tokens; `output` is of floats where asked.
    pub(super) fn layer_norm(&mut self, args: LayerNorm, to_float: bool) {
        self.steps.push(Step::LayerNorm(LayerNorm { batch: 1, epsilon: EPSILON, ..args }, to_float));
    }

    pub(super) fn attention(&mut self, args: Attention, head: usize) {
        self.steps.push(Step::Attention(args, head));
    }

    /// What is to be launched, and what never changes of that which it names.
    pub(super) fn finish(mut self) -> Result<(Vec<Step>, Vec<Memory>)> {
        let partials = self.zeros(self.most * self.partials)?;
        for step in &mut self.steps {
            match step {
                Step::Product(args, finish) if finish.knows_groups() => args.partials = partials,
                Step::NormGelu(args) => args.partials = partials,
                Step::Moments(args) if args.partials == 0 => args.partials = partials,
                _ => {}
            }
        }
        Ok((self.steps, self.constants))
    }

    /// Segments of the largest batch.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Whether activations and weights are of half precision.
    pub(super) fn half(&self) -> bool {
        self.half
    }
}

/// What the original's norms add to a variance.
pub(super) const EPSILON: f32 = 1e-5;

/// Sums that a product leaves for each group: one for each tile.
fn sums(args: &Product, finish: Finish, half: bool) -> usize {
    let columns = args.columns as usize;
    (args.group_tokens as usize).div_ceil(tile_tokens(args, finish, half))
        * columns.div_ceil(tile_columns(columns))
}
