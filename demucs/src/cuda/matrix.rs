//! Weights in the order in which a product reads them.

use crate::error::Result;

use super::compiler::Compiler;
use super::shape::RUN;

/// Rows of weights that are there, in multiples of which tiles of columns are.
const COLUMNS: usize = 128;
/// What a step of a product takes of K.
const STEP: usize = 32;

/// A matrix `[columns, k]` on the card with its bias, and where what it is multiplied with lies around a token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix {
    pub(super) weights: u64,
    pub(super) bias: u64,
    pub(super) offsets: u64,
    pub(super) k: i32,
    pub(super) columns: i32,
}

/// What a token sees: `len` elements from each of the places on, counted from where it lies itself.
#[derive(Debug, Clone)]
pub(super) struct Taps {
    pub(super) places: Vec<i64>,
    pub(super) len: usize,
}

impl Taps {
    /// One run of elements.
    pub(super) fn run(place: i64, len: usize) -> Self {
        Self { places: vec![place], len }
    }

    fn runs(&self) -> usize {
        self.len.div_ceil(RUN)
    }
}

impl Compiler<'_> {
    /// A matrix of so many columns (rounded up, zeros behind): `value(tap, element, column)` and `bias(column)`.
    pub(super) fn matrix(
        &mut self,
        taps: &Taps,
        columns: usize,
        value: impl Fn(usize, usize, usize) -> f32,
        bias: impl Fn(usize) -> f32,
    ) -> Result<Matrix> {
        let runs = taps.runs();
        let used = taps.places.len() * runs * RUN;
        let k = used.next_multiple_of(STEP);
        let rows = columns.next_multiple_of(COLUMNS);
        let mut weights = vec![0.0; rows * k];
        for (n, row) in weights.chunks_exact_mut(k).take(columns).enumerate() {
            for (at, weight) in row[..used].iter_mut().enumerate() {
                let (tap, element) = (at / (runs * RUN), at % (runs * RUN));
                if element < taps.len {
                    *weight = value(tap, element, n);
                }
            }
        }
        // What fills up K meets zeros only: any place will do that a token sees anyway.
        let mut offsets = vec![taps.places[0] as i32; k / RUN];
        for (i, offset) in offsets[..used / RUN].iter_mut().enumerate() {
            *offset = (taps.places[i / runs] + (i % runs * RUN) as i64) as i32;
        }
        let mut biases = vec![0.0; rows];
        biases.iter_mut().take(columns).enumerate().for_each(|(n, to)| *to = bias(n));
        Ok(Matrix {
            weights: self.elements(&weights)?,
            bias: self.constants(&biases)?,
            offsets: self.constants(&offsets)?,
            k: k as i32,
            columns: columns.next_multiple_of(RUN) as i32,
        })
    }

    /// The same for a gated unit of `channels`: columns are a value and its gate in turn; rows `n` of `value` and `bias` are
    /// those of all values, then of all gates.
    pub(super) fn gated(
        &mut self,
        taps: &Taps,
        channels: usize,
        value: impl Fn(usize, usize, usize) -> f32,
        bias: impl Fn(usize) -> f32,
    ) -> Result<Matrix> {
        let row = |column: usize| column % 2 * channels + column / 2;
        let matrix = self.matrix(taps, 2 * channels, |tap, i, n| value(tap, i, row(n)), |n| bias(row(n)))?;
        Ok(Matrix { columns: 2 * super::shape::padded(channels) as i32, ..matrix })
    }
}

/// Values of `2 * channels` columns in the order of [`Compiler::gated`], zeros behind.
pub(super) fn paired(values: &[f32]) -> Vec<f32> {
    let channels = values.len() / 2;
    let mut pairs = vec![0.0; 2 * super::shape::padded(channels)];
    for (column, to) in pairs.iter_mut().enumerate().take(2 * channels) {
        *to = values[column % 2 * channels + column / 2];
    }
    pairs
}
