//! The product of tokens with weights, and what happens to it while it is still in registers.
//!
//! Tokens lie side by side in memory, the channels of one together. What a token of the result sees of the
//! input is one or several runs of floats (the taps of a convolution), at the same places relative to each
//! token: so every convolution of the network is a product whose matrix of columns is never built.
//! A result is one chain of multiply-adds over the weights' rows in their order: its bits do not depend on
//! how tokens are divided among tiles, tasks or threads.

use super::epilogue::{Epilogue, Glu, NormGlu, Plain, Summed};
use super::packed::Packed;
use super::simd::{LANES, Simd};

/// Floats of the input that every token sees: `count` runs of `len`, the first from `start` on, counted from the
/// token's own place, and `step` floats from each to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Runs {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) count: usize,
    pub(super) step: usize,
}

impl Runs {
    /// One run.
    pub(super) fn one(start: usize, len: usize) -> Self {
        Self { start, len, count: 1, step: 0 }
    }
}

/// A product to be computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product<'a> {
    /// What the runs point into; token t has its place at `t * stride`.
    pub(super) input: &'a [f32],
    /// Floats from token to token of the input.
    pub(super) stride: usize,
    /// What meets the runs of the weights' rows from `first_run` on, in their order. Those before and behind are of
    /// taps that fall into padding.
    pub(super) runs: Runs,
    pub(super) first_run: usize,
    /// How many tokens.
    pub(super) tokens: usize,
    pub(super) weights: &'a Packed,
}

/// Where results go: token t at `t * stride`.
#[derive(Debug)]
pub(super) struct Out<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) stride: usize,
    /// Floats of a token that are written; those beyond are not touched.
    pub(super) columns: usize,
}

/// What becomes of a product and its bias.
#[derive(Debug)]
pub(super) enum Finish<'a> {
    /// It is stored.
    Store(Out<'a>),
    /// Through GELU.
    Gelu(Out<'a>),
    /// Added to what is there.
    Add(Out<'a>),
    /// Through GELU, added to what is there.
    GeluAdd(Out<'a>),
    /// Gated weights: values by the sigmoid of their gates, plus a constant for each channel.
    Glu(Out<'a>, Option<&'a [f32]>),
    /// Stored, and summed up for a norm.
    StoreSums(Out<'a>, &'a mut Sums),
    /// Summed up only.
    Sums(&'a mut Sums),
    /// Gated weights: normalised, gated, scaled and added to what is there.
    NormGlu(Out<'a>, Affine<'a>),
}

/// A norm as a factor and a summand for each column, and the layer scale behind the gate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Affine<'a> {
    /// In the order of gated columns.
    pub(super) factor: &'a [f32],
    /// In the order of gated columns.
    pub(super) summand: &'a [f32],
    /// One for each channel.
    pub(super) scale: &'a [f32],
}

/// Sums over all values of a sample and over their squares, lane by lane in double precision.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    values: [f64; LANES],
    squares: [f64; LANES],
}

impl Sums {
    /// Adds those of a later part of the sample.
    pub(super) fn merge(&mut self, later: &Self) {
        for (sum, value) in self.values.iter_mut().zip(&later.values) {
            *sum += value;
        }
        for (sum, value) in self.squares.iter_mut().zip(&later.squares) {
            *sum += value;
        }
    }

    /// Mean of `count` values and the reciprocal of their deviation.
    pub(super) fn moments(&self, count: usize) -> (f64, f64) {
        let mean = self.values.iter().sum::<f64>() / count as f64;
        let variance = self.squares.iter().sum::<f64>() / count as f64 - mean * mean;
        (mean, 1.0 / (variance.max(0.0) + 1e-5).sqrt())
    }

    #[inline(always)]
    pub(super) unsafe fn add<S: Simd>(&mut self, values: S::V, squares: S::V) {
        // SAFETY: the caller has the instruction set of S.
        let (values, squares) = unsafe { (S::lanes(values), S::lanes(squares)) };
        for lane in 0..LANES {
            self.values[lane] += f64::from(values[lane]);
            self.squares[lane] += f64::from(squares[lane]);
        }
    }
}

impl Product<'_> {
    /// Whether all that is read lies in the slices.
    fn check(&self) {
        let Runs { start, len, count, step } = self.runs;
        assert!(len == self.weights.run(), "runs of {len} for {}", self.weights.run());
        let end_row = (self.first_run + count) * len;
        assert!(end_row <= self.weights.k(), "row {end_row} of {}", self.weights.k());
        if self.tokens > 0 && count > 0 {
            let end = (self.tokens - 1) * self.stride + start + (count - 1) * step + len;
            assert!(end <= self.input.len(), "{:?} end at {end} of {}", self.runs, self.input.len());
        }
    }
}

impl Out<'_> {
    fn check(&self, tokens: usize, columns: usize) {
        assert!(self.columns <= columns && self.columns + LANES > columns, "{} of {columns}", self.columns);
        assert!(tokens == 0 || (tokens - 1) * self.stride + self.columns <= self.values.len());
    }
}

/// How a product goes through the panels of its weights.
pub(super) trait Panels<S: Simd> {
    /// # Safety
    /// The instruction set of S, and all places of the product and of the result were checked.
    unsafe fn panels<E: Epilogue<S>>(product: &Product<'_>, epilogue: E);
}

/// Computes a product.
///
/// # Safety
/// The instruction set of S.
#[inline(always)]
pub(super) unsafe fn product<S: Simd, P: Panels<S>>(product: &Product<'_>, finish: Finish<'_>) {
    product.check();
    let (tokens, columns) = (product.tokens, product.weights.columns());
    let bias = product.weights.bias();
    // SAFETY: the instruction set is the caller's; all places were checked.
    unsafe {
        match finish {
            Finish::Store(out) => {
                out.check(tokens, columns);
                P::panels(product, Plain::<false, false> { bias, out });
            }
            Finish::Gelu(out) => {
                out.check(tokens, columns);
                P::panels(product, Plain::<true, false> { bias, out });
            }
            Finish::Add(out) => {
                out.check(tokens, columns);
                P::panels(product, Plain::<false, true> { bias, out });
            }
            Finish::GeluAdd(out) => {
                out.check(tokens, columns);
                P::panels(product, Plain::<true, true> { bias, out });
            }
            Finish::Glu(out, add) => {
                out.check(tokens, columns / 2);
                assert!(add.is_none_or(|add| 2 * add.len() >= columns));
                P::panels(product, Glu { bias, out, add });
            }
            Finish::StoreSums(out, sums) => {
                out.check(tokens, columns);
                P::panels(product, Summed { bias, out: Some(out), sums });
            }
            Finish::Sums(sums) => {
                P::panels(product, Summed { bias, out: None, sums });
            }
            Finish::NormGlu(out, affine) => {
                out.check(tokens, columns / 2);
                let Affine { factor, summand, scale } = affine;
                assert!(factor.len() >= columns && summand.len() >= columns && 2 * scale.len() >= columns);
                P::panels(product, NormGlu { bias, out, affine });
            }
        }
    }
}

/// Panels of floats. `R1` to `R3` are the tokens of tiles that are one to three vectors wide; with 0 such a panel is
/// computed a vector at a time.
pub(super) struct Registers<const R1: usize, const R2: usize, const R3: usize>;

impl<S: Simd, const R1: usize, const R2: usize, const R3: usize> Panels<S> for Registers<R1, R2, R3> {
    #[inline(always)]
    unsafe fn panels<E: Epilogue<S>>(product: &Product<'_>, mut epilogue: E) {
        let first_row = product.first_run * product.runs.len;
        for panel in product.weights.panels() {
            let ldb = panel.vectors * LANES;
            // SAFETY: the instruction set is the caller's; a panel has k rows of `ldb` floats.
            unsafe {
                let b = product.weights.values().as_ptr().add(panel.start + first_row * ldb);
                match panel.vectors {
                    2 if R2 > 0 => rows::<S, E, R2, 2>(product, &mut epilogue, b, ldb, panel.first),
                    3 if R3 > 0 => rows::<S, E, R3, 3>(product, &mut epilogue, b, ldb, panel.first),
                    2 if E::PAIRED => pairs::<S, E, R1>(product, &mut epilogue, b, panel.first),
                    vectors => {
                        for v in 0..vectors {
                            let b = b.add(v * LANES);
                            rows::<S, E, R1, 1>(product, &mut epilogue, b, ldb, panel.first + v);
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn rows<S: Simd, E: Epilogue<S>, const MR: usize, const NV: usize>(
    product: &Product<'_>,
    epilogue: &mut E,
    b: *const f32,
    ldb: usize,
    vector: usize,
) {
    let mut token = 0;
    // SAFETY: the instruction set is the caller's, the places were checked for all tokens.
    unsafe {
        while token + MR <= product.tokens {
            let a = product.input.as_ptr().add(token * product.stride);
            let sums = tile::<S, MR, NV>(a, product.stride, product.runs, b, ldb);
            epilogue.tile::<MR, NV>(sums, token, vector);
            token += MR;
        }
        while token < product.tokens {
            let a = product.input.as_ptr().add(token * product.stride);
            let sums = tile::<S, 1, NV>(a, product.stride, product.runs, b, ldb);
            epilogue.tile::<1, NV>(sums, token, vector);
            token += 1;
        }
    }
}

/// As [`rows`] for panels of a vector of values and one of gates, where registers hold only one of them at a time.
#[inline(always)]
unsafe fn pairs<S: Simd, E: Epilogue<S>, const MR: usize>(
    product: &Product<'_>,
    epilogue: &mut E,
    b: *const f32,
    vector: usize,
) {
    let (stride, runs, ldb) = (product.stride, product.runs, 2 * LANES);
    let mut token = 0;
    // SAFETY: the instruction set is the caller's, the places were checked for all tokens.
    unsafe {
        while token + MR <= product.tokens {
            let a = product.input.as_ptr().add(token * stride);
            let values = tile::<S, MR, 1>(a, stride, runs, b, ldb);
            let gates = tile::<S, MR, 1>(a, stride, runs, b.add(LANES), ldb);
            let mut sums = [[S::splat(0.0); 2]; MR];
            for (sums, (value, gate)) in sums.iter_mut().zip(values.into_iter().zip(gates)) {
                *sums = [value[0], gate[0]];
            }
            epilogue.tile::<MR, 2>(sums, token, vector);
            token += MR;
        }
        while token < product.tokens {
            let a = product.input.as_ptr().add(token * stride);
            epilogue.tile::<1, 2>(tile::<S, 1, 2>(a, stride, runs, b, ldb), token, vector);
            token += 1;
        }
    }
}

/// The sums of `MR` tokens at `a` over a panel at `b`.
///
/// # Safety
/// The instruction set of S, all runs of all tokens readable, and `ldb` floats for each of their rows at `b`.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(
    a: *const f32,
    stride: usize,
    runs: Runs,
    b: *const f32,
    ldb: usize,
) -> [[S::V; NV]; MR] {
    // SAFETY: the caller's contract.
    unsafe {
        let zero = S::splat(0.0);
        continued::<S, MR, NV>([[zero; NV]; MR], a, stride, runs, b, ldb)
    }
}

/// [`tile`] with sums that have begun elsewhere.
///
/// # Safety
/// That of [`tile`].
#[inline(always)]
pub(super) unsafe fn continued<S: Simd, const MR: usize, const NV: usize>(
    mut sums: [[S::V; NV]; MR],
    a: *const f32,
    stride: usize,
    runs: Runs,
    mut b: *const f32,
    ldb: usize,
) -> [[S::V; NV]; MR] {
    // SAFETY: the caller's contract.
    unsafe {
        let zero = S::splat(0.0);
        for run in 0..runs.count {
            let mut a = a.add(runs.start + run * runs.step);
            for _ in 0..runs.len {
                let mut weights = [zero; NV];
                for (v, weights) in weights.iter_mut().enumerate() {
                    *weights = S::load(b.add(v * LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = S::splat(*a.add(r * stride));
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = S::fma(x, weights, *sum);
                    }
                }
                a = a.add(1);
                b = b.add(ldb);
            }
        }
        sums
    }
}

/// Chains of multiply-adds that [`peak`] keeps going, and their length.
pub(super) const PEAK_CHAINS: usize = 24;
pub(super) const PEAK_STEPS: usize = 4096;

/// Multiply-adds on registers, `LIVE` of the chains at a time.
///
/// # Safety
/// The instruction set of S.
#[inline(always)]
pub(super) unsafe fn peak<S: Simd, const LIVE: usize>(value: f32) -> f32 {
    let mut total = 0.0;
    for _ in 0..PEAK_CHAINS / LIVE {
        // SAFETY: the instruction set is the caller's.
        unsafe {
            let (factor, summand) = (S::splat(value), S::splat(1.0));
            let mut chains = [S::splat(0.0); LIVE];
            for (i, chain) in chains.iter_mut().enumerate() {
                *chain = S::splat(value + i as f32);
            }
            for _ in 0..PEAK_STEPS {
                for chain in &mut chains {
                    *chain = S::fma(*chain, factor, summand);
                }
            }
            total += chains.into_iter().map(|chain| S::lanes(chain)[0]).sum::<f32>();
        }
    }
    total
}
