//! What happens to a tile of a product while it is in registers.

use super::math::{gelu, sigmoid};
use super::product::{Affine, Out, Sums};
use super::simd::{LANES, Simd};

/// What happens to a tile of sums: `MR` tokens of `NV` vectors each.
pub(super) trait Epilogue<S: Simd> {
    /// Whether the two vectors of a panel belong together.
    const PAIRED: bool;

    /// # Safety
    /// The instruction set of S; `token` and the first `vector` of columns lie inside the result.
    unsafe fn tile<const MR: usize, const NV: usize>(
        &mut self,
        sums: [[S::V; NV]; MR],
        token: usize,
        vector: usize,
    );
}

/// Writes a vector of a token's columns, as far as they are wanted.
#[inline(always)]
unsafe fn put<S: Simd>(out: &mut Out<'_>, token: usize, column: usize, v: S::V) {
    // SAFETY: the caller's token lies in the result, whose end was checked.
    unsafe {
        let to = out.values.as_mut_ptr().add(token * out.stride + column);
        if column + LANES <= out.columns {
            S::store(to, v);
        } else {
            S::store_part(to, v, out.columns - column);
        }
    }
}

/// Reads a vector of a token's columns; what is not there is zero.
#[inline(always)]
unsafe fn get<S: Simd>(out: &Out<'_>, token: usize, column: usize) -> S::V {
    // SAFETY: as in `put`.
    unsafe {
        let from = out.values.as_ptr().add(token * out.stride + column);
        if column + LANES <= out.columns {
            S::load(from)
        } else {
            let mut lanes = [0f32; LANES];
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), out.columns - column);
            S::load(lanes.as_ptr())
        }
    }
}

/// Bias, GELU or not, stored or added.
pub(super) struct Plain<'a, const GELU: bool, const ADD: bool> {
    pub(super) bias: &'a [f32],
    pub(super) out: Out<'a>,
}

impl<S: Simd, const GELU: bool, const ADD: bool> Epilogue<S> for Plain<'_, GELU, ADD> {
    const PAIRED: bool = false;

    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(
        &mut self,
        sums: [[S::V; NV]; MR],
        token: usize,
        vector: usize,
    ) {
        // SAFETY: the caller's contract.
        unsafe {
            for v in 0..NV {
                let column = (vector + v) * LANES;
                let bias = S::load(self.bias.as_ptr().add(column));
                for (r, sums) in sums.iter().enumerate() {
                    let mut y = S::add(sums[v], bias);
                    if GELU {
                        y = gelu::<S>(y);
                    }
                    if ADD {
                        y = S::add(get::<S>(&self.out, token + r, column), y);
                    }
                    put::<S>(&mut self.out, token + r, column, y);
                }
            }
        }
    }
}

/// Values by the sigmoid of their gates, plus a constant for each channel.
pub(super) struct Glu<'a> {
    pub(super) bias: &'a [f32],
    pub(super) out: Out<'a>,
    pub(super) add: Option<&'a [f32]>,
}

impl<S: Simd> Epilogue<S> for Glu<'_> {
    const PAIRED: bool = true;

    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(
        &mut self,
        sums: [[S::V; NV]; MR],
        token: usize,
        vector: usize,
    ) {
        if NV != 2 {
            return;
        }
        let column = vector / 2 * LANES;
        // SAFETY: the caller's contract; gated panels are two vectors wide.
        unsafe {
            let bias = self.bias.as_ptr().add(vector * LANES);
            let (bias, gate_bias) = (S::load(bias), S::load(bias.add(LANES)));
            let add = self.add.map_or(S::splat(0.0), |add| S::load(add.as_ptr().add(column)));
            for (r, sums) in sums.iter().enumerate() {
                let gate = sigmoid::<S>(S::add(sums[1], gate_bias));
                let y = S::fma(S::add(sums[0], bias), gate, add);
                put::<S>(&mut self.out, token + r, column, y);
            }
        }
    }
}

/// Stored or not, and summed up for a norm.
pub(super) struct Summed<'a> {
    pub(super) bias: &'a [f32],
    pub(super) out: Option<Out<'a>>,
    pub(super) sums: &'a mut Sums,
}

impl<S: Simd> Epilogue<S> for Summed<'_> {
    const PAIRED: bool = false;

    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(
        &mut self,
        sums: [[S::V; NV]; MR],
        token: usize,
        vector: usize,
    ) {
        // SAFETY: the caller's contract.
        unsafe {
            let (mut values, mut squares) = (S::splat(0.0), S::splat(0.0));
            for v in 0..NV {
                let column = (vector + v) * LANES;
                let bias = S::load(self.bias.as_ptr().add(column));
                for (r, sums) in sums.iter().enumerate() {
                    let y = S::add(sums[v], bias);
                    values = S::add(values, y);
                    squares = S::fma(y, y, squares);
                    if let Some(out) = &mut self.out {
                        put::<S>(out, token + r, column, y);
                    }
                }
            }
            self.sums.add::<S>(values, squares);
        }
    }
}

/// Normalised, gated, scaled and added.
pub(super) struct NormGlu<'a> {
    pub(super) bias: &'a [f32],
    pub(super) out: Out<'a>,
    pub(super) affine: Affine<'a>,
}

impl<S: Simd> Epilogue<S> for NormGlu<'_> {
    const PAIRED: bool = true;

    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(
        &mut self,
        sums: [[S::V; NV]; MR],
        token: usize,
        vector: usize,
    ) {
        if NV != 2 {
            return;
        }
        let (paired, column) = (vector * LANES, vector / 2 * LANES);
        // SAFETY: the caller's contract; gated panels are two vectors wide.
        unsafe {
            let at = |values: &[f32], place: usize| values.as_ptr().add(place);
            let scale = S::load(at(self.affine.scale, column));
            let mut norm = [[scale; 2]; 2];
            for (i, norm) in norm.iter_mut().enumerate() {
                let place = paired + i * LANES;
                let factor = S::load(at(self.affine.factor, place));
                let bias = S::load(at(self.bias, place));
                *norm = [factor, S::fma(bias, factor, S::load(at(self.affine.summand, place)))];
            }
            for (r, sums) in sums.iter().enumerate() {
                let value = S::fma(sums[0], norm[0][0], norm[0][1]);
                let gate = sigmoid::<S>(S::fma(sums[1], norm[1][0], norm[1][1]));
                let x = get::<S>(&self.out, token + r, column);
                let y = S::fma(S::mul(value, scale), gate, x);
                put::<S>(&mut self.out, token + r, column, y);
            }
        }
    }
}
