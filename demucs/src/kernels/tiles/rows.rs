//! What the tokens of a product see, in halves.

use std::arch::x86_64::{
    __m256i, _mm256_storeu_si256, _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_cvtneps_pbh,
    _mm512_maskz_loadu_ps, _mm512_slli_epi32, _mm512_sub_ps,
};
use std::mem::transmute;

use super::{SIDE, Task};
use crate::kernels::buffer::Buffer;
use crate::kernels::packed::{STEP, STEP_FLOATS};
use crate::kernels::product::Runs;
use crate::kernels::simd::LANES;

/// What the tokens of a product see, in memory that is kept for the next product.
#[derive(Default)]
pub(super) struct Work {
    halves: Buffer,
    /// Halves to the low ones, and from token to token.
    low: usize,
    pitch: usize,
    places: Vec<[usize; 2]>,
}

/// Floats that are brought into halves: rows of `len`, `from` floats apart, to rows `to` halves apart, with zeros behind
/// the floats up to `padded`.
#[derive(Clone, Copy)]
struct Copied {
    rows: usize,
    len: usize,
    from: usize,
    to: usize,
    padded: usize,
}

impl Work {
    /// Brings what `tokens` see, token t from `t * stride` on, into halves.
    ///
    /// # Safety
    /// The instruction set, and all of it is there.
    #[inline(always)]
    pub(super) unsafe fn split(&mut self, input: &[f32], stride: usize, runs: Runs, tokens: usize) {
        let Runs { start, len, count, step } = runs;
        let padded = len.next_multiple_of(STEP);
        // Tokens a power of two apart would share a few sets of the cache.
        let apart = padded + STEP;
        let shifted = stride > 0 && step.is_multiple_of(stride) && step < tokens * stride;
        // Halves from token to token and from run to run, and how many runs are copied.
        let (copied, pitch, run, times) = if len <= stride && (count == 1 || shifted) {
            // Runs that see each other's tokens are those of one longer sequence.
            let shift = step / stride;
            let rows = tokens + (count - 1) * shift;
            (Copied { rows, len, from: stride, to: apart, padded }, apart, shift * apart, 1)
        } else if len <= stride {
            (Copied { rows: tokens, len, from: stride, to: apart, padded }, apart, tokens * apart, count)
        } else {
            // Tokens that see each other's floats.
            let reached = (tokens - 1) * stride + len;
            let padded = (reached + STEP).next_multiple_of(STEP);
            (Copied { rows: 1, len: reached, from: 0, to: 0, padded }, stride, padded, count)
        };
        // Tiles are read whole, behind the last token too; what is there becomes sums that nobody looks at.
        let read = (count - 1) * run + tokens.next_multiple_of(SIDE) * pitch + apart;
        let written = (times - 1) * run + copied.rows * copied.to + copied.padded;
        let size = read.max(written).next_multiple_of(2 * STEP);
        let high = self.halves.at_least(size).as_mut_ptr().cast::<u16>();
        self.places.clear();
        for r in 0..count {
            let steps = (0..padded / STEP).map(|j| (r * run + j * STEP, r * (padded / STEP) + j));
            self.places.extend(steps.map(|(halves, step)| [2 * halves, 4 * step * STEP_FLOATS]));
        }
        (self.low, self.pitch) = (2 * size, 2 * pitch);
        // SAFETY: the caller has the instruction set and checked all places; there is room for all copies, twice.
        unsafe {
            for i in 0..times {
                let from = input.as_ptr().add(start + i * step);
                for row in 0..copied.rows {
                    let to = high.add(i * run + row * copied.to);
                    halves(from.add(row * copied.from), copied.len, to, to.add(size), copied.padded);
                }
            }
        }
    }

    /// The product of [`SIDE`] tokens from one on with the weights at a place.
    ///
    /// # Safety
    /// It is a token of those that were split.
    #[inline(always)]
    pub(super) unsafe fn task(&self, token: usize, weights: *const f32) -> Task<'_> {
        let &Work { low, pitch, .. } = self;
        // SAFETY: there are halves of all tokens.
        let high = unsafe { self.halves.as_ptr().cast::<u16>().byte_add(token * pitch) };
        Task { places: &self.places, high, low, pitch, weights }
    }
}

/// Brings `len` floats into halves, with zeros behind them up to `padded`, a multiple of sixteen.
///
/// # Safety
/// The instruction set, `len` floats and room for `padded` halves of both kinds.
#[inline(always)]
pub(super) unsafe fn halves(from: *const f32, len: usize, high: *mut u16, low: *mut u16, padded: usize) {
    for at in (0..padded).step_by(LANES) {
        // SAFETY: the caller has the instruction set and room; only floats that are there are read.
        unsafe {
            let live = len.saturating_sub(at).min(LANES);
            let x = _mm512_maskz_loadu_ps(((1u32 << live) - 1) as u16, from.wrapping_add(at));
            let h: __m256i = transmute(_mm512_cvtneps_pbh(x));
            let taken = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(h)));
            let l: __m256i = transmute(_mm512_cvtneps_pbh(_mm512_sub_ps(x, taken)));
            _mm256_storeu_si256(high.add(at).cast(), h);
            _mm256_storeu_si256(low.add(at).cast(), l);
        }
    }
}
