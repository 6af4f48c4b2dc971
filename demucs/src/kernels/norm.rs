//! Norms over channels that lie side by side, and what follows them in the same pass.

use super::math::{gelu, sigmoid};
use super::product::{Affine, Sums};
use super::simd::{LANES, Simd};

/// Each token of `width` floats: `x * factor + summand`, through GELU where `GELU` says so, in place.
///
/// # Safety
/// The instruction set of S.
#[inline(always)]
pub(super) unsafe fn norm<S: Simd, const GELU: bool>(
    x: &mut [f32],
    width: usize,
    factor: &[f32],
    summand: &[f32],
) {
    assert!(width.is_multiple_of(LANES) && factor.len() >= width && summand.len() >= width);
    for token in x.chunks_exact_mut(width) {
        for at in (0..width).step_by(LANES) {
            // SAFETY: the instruction set is the caller's; all slices are `width` long at least.
            unsafe {
                let x = token.as_mut_ptr().add(at);
                let (factor, summand) = (S::load(factor.as_ptr().add(at)), S::load(summand.as_ptr().add(at)));
                let y = S::fma(S::load(x), factor, summand);
                S::store(x, if GELU { gelu::<S>(y) } else { y });
            }
        }
    }
}

/// Tokens `y` of gated columns: normalised, gated, scaled and added to the tokens `x` of half the width.
///
/// # Safety
/// The instruction set of S.
#[inline(always)]
pub(super) unsafe fn norm_glu_add<S: Simd>(y: &[f32], x: &mut [f32], width: usize, affine: Affine<'_>) {
    let Affine { factor, summand, scale } = affine;
    assert!(width.is_multiple_of(LANES) && scale.len() >= width);
    assert!(factor.len() >= 2 * width && summand.len() >= 2 * width);
    for (y, x) in y.chunks_exact(2 * width).zip(x.chunks_exact_mut(width)) {
        for at in (0..width).step_by(LANES) {
            // SAFETY: the instruction set is the caller's; all slices are long enough for `at`, twice it where
            // columns are gated.
            unsafe {
                let normal = |place: usize| {
                    let (y, factor) = (S::load(y.as_ptr().add(place)), S::load(factor.as_ptr().add(place)));
                    S::fma(y, factor, S::load(summand.as_ptr().add(place)))
                };
                let (value, gate) = (normal(2 * at), sigmoid::<S>(normal(2 * at + LANES)));
                let x = x.as_mut_ptr().add(at);
                let value = S::mul(value, S::load(scale.as_ptr().add(at)));
                S::store(x, S::fma(value, gate, S::load(x)));
            }
        }
    }
}

/// Layer norm of tokens `x` of `width` floats, the first `channels` of which count and the rest are zeros.
///
/// # Safety
/// The instruction set of S.
#[inline(always)]
pub(super) unsafe fn layer_norm<S: Simd>(
    x: &[f32],
    out: &mut [f32],
    (width, channels): (usize, usize),
    weight: &[f32],
    bias: &[f32],
) {
    assert!(width.is_multiple_of(LANES) && channels <= width && weight.len() >= width && bias.len() >= width);
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        // SAFETY: the instruction set is the caller's; all slices are `width` long at least.
        unsafe {
            let mut sum = S::splat(0.0);
            for at in (0..width).step_by(LANES) {
                sum = S::add(sum, S::load(x.as_ptr().add(at)));
            }
            let mean = S::lanes(sum).iter().sum::<f32>() / channels as f32;
            let (middle, mut squares) = (S::splat(mean), S::splat(0.0));
            let full = channels - channels % LANES;
            for at in (0..full).step_by(LANES) {
                let centred = S::sub(S::load(x.as_ptr().add(at)), middle);
                squares = S::fma(centred, centred, squares);
            }
            // The zeros behind the channels are none of the variance.
            let rest = x[full..channels].iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
            let variance = (S::lanes(squares).iter().sum::<f32>() + rest) / channels as f32;
            let gain = S::splat(1.0 / (variance + 1e-5).sqrt());
            for at in (0..width).step_by(LANES) {
                let normal = S::mul(S::sub(S::load(x.as_ptr().add(at)), middle), gain);
                let (weight, bias) = (S::load(weight.as_ptr().add(at)), S::load(bias.as_ptr().add(at)));
                S::store(out.as_mut_ptr().add(at), S::fma(normal, weight, bias));
            }
        }
    }
}

/// Sums over tokens of `width` floats, token by token in single precision.
///
/// # Safety
/// The instruction set of S.
#[inline(always)]
pub(super) unsafe fn sums<S: Simd>(x: &[f32], width: usize, sums: &mut Sums) {
    assert!(width.is_multiple_of(LANES));
    for x in x.chunks_exact(width) {
        // SAFETY: the instruction set is the caller's; a token has `width` floats.
        unsafe {
            let (mut values, mut squares) = (S::splat(0.0), S::splat(0.0));
            for at in (0..width).step_by(LANES) {
                let x = S::load(x.as_ptr().add(at));
                values = S::add(values, x);
                squares = S::fma(x, x, squares);
            }
            sums.add::<S>(values, squares);
        }
    }
}
