//! Attention of a block of tokens over all keys, a part of them at a time, so that scores stay in the cache.

use std::ops::Range;

use super::layout::padded;
use super::math::exp;
use super::packed::{Form, STEP};
use super::product::{Runs, continued, tile};
use super::simd::{LANES, Simd};

/// Keys that lie together: their matrix product with a token is two panels of three vectors.
pub(super) const KEYS: usize = 96;
/// Vectors of a panel of keys.
const PANEL: usize = 3;
/// Groups of keys whose scores are computed before values are added up.
pub(super) const GROUPS: usize = 4;
/// Floats from token to token of the scores.
pub(super) const SCORES: usize = GROUPS * KEYS;
/// Tokens of the largest tile.
const TILE: usize = 32;

/// Queries of one block and one head, and the keys and values that they look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention<'a> {
    /// Token t at `t * stride`, `size` floats each, already divided by the square root of `size`.
    pub(super) queries: &'a [f32],
    pub(super) stride: usize,
    pub(super) tokens: usize,
    /// Floats of a head.
    pub(super) size: usize,
    /// Groups of [`KEYS`] keys as [`Groups::keys`] and [`Groups::values`] leave them: group g at
    /// `g * group_stride` of both.
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
    pub(super) group_stride: usize,
    /// `size` rounded up to whole vectors.
    pub(super) width: usize,
    /// How many keys there are.
    pub(super) count: usize,
}

/// Floats of scratch that a block of so many tokens needs: scores of whole tiles, the highest one and the sum of each token.
pub(super) fn scratch(tokens: usize) -> usize {
    tokens.next_multiple_of(TILE) * SCORES + 2 * tokens
}

/// Floats of a group's keys, and of its values, for heads of `size` floats.
pub(super) fn group(form: Form, size: usize) -> (usize, usize) {
    match form {
        Form::Floats => (KEYS * size, KEYS * padded(size)),
        Form::Halves => (KEYS * size.next_multiple_of(STEP), KEYS * size.next_multiple_of(STEP)),
    }
}

/// How scores are computed and values added up.
pub(super) trait Groups<S: Simd>: Sized {
    /// Brings the keys of a group, token t at `t * stride`, into the form in which they are read; keys behind `tokens` are
    /// zeros.
    ///
    /// # Safety
    /// The instruction set, here and below.
    unsafe fn keys(from: &[f32], stride: usize, tokens: usize, size: usize, to: &mut [f32]);

    /// The same for its values.
    ///
    /// # Safety
    /// As above.
    unsafe fn values(from: &[f32], stride: usize, tokens: usize, size: usize, to: &mut [f32]);

    /// # Safety
    /// The block was checked.
    unsafe fn new(attention: &Attention<'_>) -> Self;

    /// Scores of all tokens for the keys of a part: token t's at `t * SCORES`.
    ///
    /// # Safety
    /// The groups are there, and room for the scores of whole tiles of tokens.
    unsafe fn score(&mut self, attention: &Attention<'_>, part: Range<usize>, to: *mut f32);

    /// Adds the first `valid` values of a part to all tokens' `out`, by weights that lie as scores do.
    ///
    /// # Safety
    /// The groups and all tokens are there.
    unsafe fn weigh(
        &mut self,
        attention: &Attention<'_>,
        part: Range<usize>,
        valid: usize,
        weights: *const f32,
        out: (*mut f32, usize),
    );
}

/// Adds up values by softmax of scores: token t to `t * out_stride` of `out`, `width` floats each.
///
/// Scores are taken relative to the highest one so far; a token whose highest one grows has its sums scaled.
/// Source: Milakov, Gimelshein, "Online normalizer calculation for softmax" (2018).
///
/// # Safety
/// The instruction set of S.
#[inline(always)]
pub(super) unsafe fn attend<S: Simd, G: Groups<S>>(
    attention: &Attention<'_>,
    form: Form,
    out: &mut [f32],
    out_stride: usize,
    scratch_floats: &mut [f32],
) {
    let &Attention { queries, stride, tokens, size, keys, values, group_stride, width, count } = attention;
    let groups = count.div_ceil(KEYS);
    let (keys_len, values_len) = group(form, size);
    assert!(tokens > 0 && count > 0 && width == padded(size));
    assert!((tokens - 1) * stride + size <= queries.len() && (tokens - 1) * out_stride + width <= out.len());
    assert!((groups - 1) * group_stride + keys_len <= keys.len());
    assert!((groups - 1) * group_stride + values_len <= values.len());
    assert!(scratch(tokens) <= scratch_floats.len());
    let (scores, rest) = scratch_floats.split_at_mut(tokens.next_multiple_of(TILE) * SCORES);
    let (highest, totals) = rest[..2 * tokens].split_at_mut(tokens);
    highest.fill(f32::NEG_INFINITY);
    totals.fill(0.0);
    for token in 0..tokens {
        out[token * out_stride..][..width].fill(0.0);
    }
    // SAFETY: the instruction set is the caller's, all places were checked above.
    let mut computed = unsafe { G::new(attention) };
    for first in (0..groups).step_by(GROUPS) {
        let part = first..groups.min(first + GROUPS);
        let valid = count.min(part.end * KEYS) - first * KEYS;
        let columns = part.len() * KEYS;
        // SAFETY: as above.
        unsafe {
            computed.score(attention, part.clone(), scores.as_mut_ptr());
            for token in 0..tokens {
                let scores = &mut scores[token * SCORES..][..columns];
                let out = &mut out[token * out_stride..][..width];
                soften::<S>(scores, valid, &mut highest[token], &mut totals[token], out);
            }
            computed.weigh(attention, part, valid, scores.as_ptr(), (out.as_mut_ptr(), out_stride));
        }
    }
    for token in 0..tokens {
        let gain = 1.0 / totals[token];
        for value in &mut out[token * out_stride..][..width] {
            *value *= gain;
        }
    }
}

/// In vector registers. `R1` to `R3` as in [`super::product::Registers`].
pub(super) struct InRegisters<const R1: usize, const R2: usize, const R3: usize>;

impl<S: Simd, const R1: usize, const R2: usize, const R3: usize> Groups<S> for InRegisters<R1, R2, R3> {
    /// Two panels `[size, 48]`.
    unsafe fn keys(from: &[f32], stride: usize, tokens: usize, size: usize, to: &mut [f32]) {
        const WIDTH: usize = PANEL * LANES;
        for (first, panel) in (0..KEYS).step_by(WIDTH).zip(to.chunks_exact_mut(size * WIDTH)) {
            for lane in 0..WIDTH {
                let token = first + lane;
                if token < tokens {
                    for (k, value) in from[token * stride..][..size].iter().enumerate() {
                        panel[k * WIDTH + lane] = *value;
                    }
                } else {
                    for k in 0..size {
                        panel[k * WIDTH + lane] = 0.0;
                    }
                }
            }
        }
    }

    /// Rows `[KEYS, width]`, `width` being `size` in whole vectors.
    unsafe fn values(from: &[f32], stride: usize, tokens: usize, size: usize, to: &mut [f32]) {
        for (token, to) in to.chunks_exact_mut(padded(size)).take(tokens).enumerate() {
            to[..size].copy_from_slice(&from[token * stride..][..size]);
        }
    }

    #[inline(always)]
    unsafe fn new(_: &Attention<'_>) -> Self {
        Self
    }

    #[inline(always)]
    unsafe fn score(&mut self, attention: &Attention<'_>, part: Range<usize>, to: *mut f32) {
        let &Attention { queries, stride, tokens, size, keys, group_stride, .. } = attention;
        for (i, group) in part.enumerate() {
            for panel in 0..KEYS / (PANEL * LANES) {
                // SAFETY: the caller's contract.
                unsafe {
                    let to = to.add(i * KEYS + panel * PANEL * LANES);
                    let keys = keys.as_ptr().add(group * group_stride + panel * PANEL * LANES * size);
                    let shape = Shape { tokens, k: size, stride, ldb: PANEL * LANES, out_stride: SCORES };
                    if R3 > 0 {
                        score::<S, R3, 3>(shape, queries.as_ptr(), keys, to);
                    } else {
                        for v in 0..PANEL {
                            let (keys, to) = (keys.add(v * LANES), to.add(v * LANES));
                            score::<S, R1, 1>(shape, queries.as_ptr(), keys, to);
                        }
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
        let shape = Shape { tokens, k: valid, stride: SCORES, ldb: width, out_stride };
        let mut v = 0;
        while v < width / LANES {
            // SAFETY: the caller's contract.
            unsafe {
                let values = values.as_ptr().add(part.start * group_stride + v * LANES);
                let to = out.add(v * LANES);
                if R2 > 0 && v + 2 <= width / LANES {
                    weigh::<S, R2, 2>(shape, weights, values, group_stride, to);
                    v += 2;
                } else {
                    weigh::<S, R1, 1>(shape, weights, values, group_stride, to);
                    v += 1;
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Shape {
    tokens: usize,
    k: usize,
    stride: usize,
    ldb: usize,
    out_stride: usize,
}

/// A product of all tokens with one panel of keys.
#[inline(always)]
unsafe fn score<S: Simd, const MR: usize, const NV: usize>(
    shape: Shape,
    queries: *const f32,
    keys: *const f32,
    to: *mut f32,
) {
    let Shape { tokens, k, stride, ldb, out_stride } = shape;
    let runs = Runs::one(0, k);
    let mut token = 0;
    // SAFETY: the caller checked all places.
    unsafe {
        while token + MR <= tokens {
            let sums = tile::<S, MR, NV>(queries.add(token * stride), stride, runs, keys, ldb);
            store::<S, MR, NV, false>(sums, to.add(token * out_stride), out_stride);
            token += MR;
        }
        while token < tokens {
            let sums = tile::<S, 1, NV>(queries.add(token * stride), stride, runs, keys, ldb);
            store::<S, 1, NV, false>(sums, to.add(token * out_stride), out_stride);
            token += 1;
        }
    }
}

/// Adds up columns of the values of several groups, by the weights of all tokens.
#[inline(always)]
unsafe fn weigh<S: Simd, const MR: usize, const NV: usize>(
    shape: Shape,
    weights: *const f32,
    values: *const f32,
    group_stride: usize,
    to: *mut f32,
) {
    let mut token = 0;
    // SAFETY: the caller checked all places.
    unsafe {
        while token + MR <= shape.tokens {
            weigh_tile::<S, MR, NV>(shape, weights, values, group_stride, to, token);
            token += MR;
        }
        while token < shape.tokens {
            weigh_tile::<S, 1, NV>(shape, weights, values, group_stride, to, token);
            token += 1;
        }
    }
}

#[inline(always)]
unsafe fn weigh_tile<S: Simd, const MR: usize, const NV: usize>(
    Shape { k, stride, ldb, out_stride, .. }: Shape,
    weights: *const f32,
    values: *const f32,
    group_stride: usize,
    to: *mut f32,
    token: usize,
) {
    // SAFETY: the caller checked all places.
    unsafe {
        let weights = weights.add(token * stride);
        let mut sums = [[S::splat(0.0); NV]; MR];
        for group in 0..k.div_ceil(KEYS) {
            let runs = Runs::one(group * KEYS, KEYS.min(k - group * KEYS));
            sums = continued::<S, MR, NV>(sums, weights, stride, runs, values.add(group * group_stride), ldb);
        }
        store::<S, MR, NV, true>(sums, to.add(token * out_stride), out_stride);
    }
}

#[inline(always)]
unsafe fn store<S: Simd, const MR: usize, const NV: usize, const ADD: bool>(
    sums: [[S::V; NV]; MR],
    to: *mut f32,
    stride: usize,
) {
    for (r, sums) in sums.into_iter().enumerate() {
        for (v, sum) in sums.into_iter().enumerate() {
            // SAFETY: the caller checked all places.
            unsafe {
                let to = to.add(r * stride + v * LANES);
                S::store(to, if ADD { S::add(S::load(to), sum) } else { sum });
            }
        }
    }
}

/// Scores of one token to weights, those behind `valid` to zero; scales what was added up before where the
/// highest score has grown.
#[inline(always)]
unsafe fn soften<S: Simd>(
    scores: &mut [f32],
    valid: usize,
    highest: &mut f32,
    total: &mut f32,
    out: &mut [f32],
) {
    scores[valid..].fill(f32::NEG_INFINITY);
    let end = valid.next_multiple_of(LANES).min(scores.len());
    // SAFETY: the instruction set is the caller's; both slices are whole vectors long.
    unsafe {
        let mut most = S::splat(f32::NEG_INFINITY);
        for at in (0..end).step_by(LANES) {
            most = S::max(most, S::load(scores.as_ptr().add(at)));
        }
        let most = S::lanes(most).into_iter().fold(*highest, f32::max);
        if most > *highest {
            let gain = if *total > 0.0 { (*highest - most).exp() } else { 0.0 };
            *total *= gain;
            for at in (0..out.len()).step_by(LANES) {
                let to = out.as_mut_ptr().add(at);
                S::store(to, S::mul(S::load(to), S::splat(gain)));
            }
            *highest = most;
        }
        // What is so unlikely weighs exactly nothing: sums that begin with numbers close to none are slow.
        let nothing = exp::<S>(S::splat(f32::NEG_INFINITY));
        let (most, mut sum) = (S::splat(most), S::splat(0.0));
        for at in (0..end).step_by(LANES) {
            let score = scores.as_mut_ptr().add(at);
            let weight = S::sub(exp::<S>(S::sub(S::load(score), most)), nothing);
            S::store(score, weight);
            sum = S::add(sum, weight);
        }
        *total += S::lanes(sum).iter().sum::<f32>();
    }
}
