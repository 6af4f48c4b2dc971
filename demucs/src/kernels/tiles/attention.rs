//! Attention on tiles.

use std::cell::Cell;
use std::ops::Range;

use super::rows::{Work, halves};
use super::{SIDE, Shaped, Square, Task, multiply};
use crate::kernels::attention::{Attention, GROUPS, Groups, KEYS, SCORES};
use crate::kernels::buffer::Buffer;
use crate::kernels::packed::{STEP, STEP_FLOATS, both};
use crate::kernels::product::Runs;
use crate::kernels::simd::{Avx512, LANES, Simd};

/// Steps of a group's values.
const STEPS: usize = KEYS / STEP;
/// Halves from token to token of the weights: not a power of two.
const PITCH: usize = SCORES + STEP;

thread_local! {
    static WORK: Cell<(Work, Buffer)> = Cell::default();
}

/// Keys and values in halves.
pub(in crate::kernels) struct OnTiles {
    work: Work,
    weights: Buffer,
    _shaped: Shaped,
}

impl Groups<Avx512> for OnTiles {
    /// Panels of [`SIDE`] columns.
    #[inline(always)]
    unsafe fn keys(from: &[f32], stride: usize, tokens: usize, size: usize, to: &mut [f32]) {
        let steps = size.div_ceil(STEP);
        assert!(tokens <= KEYS && to.len() >= KEYS / SIDE * steps * STEP_FLOATS);
        for token in 0..KEYS {
            for step in 0..steps {
                let (mut high, mut low) = ([0; STEP], [0; STEP]);
                if token < tokens {
                    let from = &from[token * stride..][step * STEP..size.min((step + 1) * STEP)];
                    // SAFETY: the caller's contract; both have room for a step.
                    unsafe { halves(from.as_ptr(), from.len(), high.as_mut_ptr(), low.as_mut_ptr(), STEP) };
                }
                let place =
                    (token / SIDE * steps + step) * STEP_FLOATS + token % SIDE / LANES * STEP / 2 * LANES;
                let (lows, highs) = to[place + token % LANES..].split_at_mut(STEP_FLOATS / 2);
                for pair in 0..STEP / 2 {
                    lows[pair * LANES] = both(low[2 * pair], low[2 * pair + 1]);
                    highs[pair * LANES] = both(high[2 * pair], high[2 * pair + 1]);
                }
            }
        }
    }

    /// Panels of [`SIDE`] columns.
    #[inline(always)]
    unsafe fn values(from: &[f32], stride: usize, tokens: usize, size: usize, to: &mut [f32]) {
        assert!(tokens <= KEYS && to.len() >= size.div_ceil(SIDE) * STEPS * STEP_FLOATS);
        for pair in 0..KEYS / 2 {
            for column in (0..size).step_by(LANES) {
                let mut split = [([0; LANES], [0; LANES]); 2];
                for (token, (high, low)) in (2 * pair..tokens).zip(&mut split) {
                    let from = &from[token * stride..][column..size.min(column + LANES)];
                    // SAFETY: the caller's contract; both have room for a vector.
                    unsafe { halves(from.as_ptr(), from.len(), high.as_mut_ptr(), low.as_mut_ptr(), LANES) };
                }
                let [(high, low), (next_high, next_low)] = split;
                let step = column / SIDE * STEPS + 2 * pair / STEP;
                let tile = column % SIDE / LANES * STEP / 2;
                let place = step * STEP_FLOATS + (tile + pair % (STEP / 2)) * LANES;
                for lane in 0..LANES {
                    to[place + lane] = both(low[lane], next_low[lane]);
                    to[place + STEP_FLOATS / 2 + lane] = both(high[lane], next_high[lane]);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn new(attention: &Attention<'_>) -> Self {
        let &Attention { queries, stride, tokens, size, .. } = attention;
        let (mut work, weights) = WORK.take();
        // SAFETY: the caller's contract.
        unsafe {
            work.split(queries, stride, Runs::one(0, size), tokens);
            Self { work, weights, _shaped: Shaped::new() }
        }
    }

    #[inline(always)]
    unsafe fn score(&mut self, attention: &Attention<'_>, part: Range<usize>, to: *mut f32) {
        let &Attention { tokens, size, keys, group_stride, .. } = attention;
        let panel_floats = size.div_ceil(STEP) * STEP_FLOATS;
        for token in (0..tokens).step_by(SIDE) {
            for (i, group) in part.clone().enumerate() {
                for panel in 0..KEYS / SIDE {
                    // SAFETY: the caller's contract.
                    unsafe {
                        let keys = keys.as_ptr().add(group * group_stride + panel * panel_floats);
                        let to = to.add(token * SCORES + i * KEYS + panel * SIDE);
                        multiply(self.work.task(token, keys), to, 4 * SCORES);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn weigh(
        &mut self,
        attention: &Attention<'_>,
        part: Range<usize>,
        valid: usize,
        weights: *const f32,
        (out, out_stride): (*mut f32, usize),
    ) {
        let &Attention { tokens, values, group_stride, width, .. } = attention;
        let mut places = [[0; 2]; GROUPS * STEPS];
        for (i, place) in places.iter_mut().enumerate() {
            *place = [2 * i * STEP, 4 * (i / STEPS * group_stride + i % STEPS * STEP_FLOATS)];
        }
        let places = &places[..part.len() * STEPS];
        let size = (tokens.next_multiple_of(SIDE) * PITCH).next_multiple_of(2 * STEP);
        let high = self.weights.at_least(size).as_mut_ptr().cast::<u16>();
        let mut sums = Square([0.0; SIDE * SIDE]);
        // SAFETY: the caller's contract; there is room for the halves of all weights.
        unsafe {
            for token in 0..tokens {
                let (from, high) = (weights.add(token * SCORES), high.add(token * PITCH));
                halves(from, valid, high, high.add(size), part.len() * KEYS);
            }
            for column in (0..width).step_by(SIDE) {
                let values =
                    values.as_ptr().add(part.start * group_stride + column / SIDE * STEPS * STEP_FLOATS);
                for token in (0..tokens).step_by(SIDE) {
                    let high = high.add(token * PITCH);
                    let task = Task { places, high, low: 2 * size, pitch: 2 * PITCH, weights: values };
                    multiply(task, sums.0.as_mut_ptr(), 4 * SIDE);
                    for t in 0..SIDE.min(tokens - token) {
                        for v in 0..(width - column).min(SIDE) / LANES {
                            let to = out.add((token + t) * out_stride + column + v * LANES);
                            let sum = Avx512::load(sums.0.as_ptr().add(t * SIDE + v * LANES));
                            Avx512::store(to, Avx512::add(Avx512::load(to), sum));
                        }
                    }
                }
            }
        }
    }
}

impl Drop for OnTiles {
    fn drop(&mut self) {
        WORK.set((std::mem::take(&mut self.work), std::mem::take(&mut self.weights)));
    }
}
