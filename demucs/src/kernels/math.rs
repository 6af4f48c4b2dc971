//! Exponentials of vectors, and the gates made of them, to single precision.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use super::simd::Simd;

/// 1.5 * 2^23: adding it rounds to a whole number that stands in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Exponents are clamped to these: results, their reciprocals and what is multiplied by them stay far from numbers
/// so small that processors compute with them a hundred times slower.
const LEAST: f32 = -80.0;
const MOST: f32 = 80.0;

/// `e^x` for x between -80 and 80, else that of the nearest of the two. Source: Cephes, `expf`.
#[inline(always)]
pub(super) unsafe fn exp<S: Simd>(x: S::V) -> S::V {
    // SAFETY: the caller has the instruction set of S.
    unsafe {
        // In this order what is not a number stays so.
        let x = S::min(S::splat(MOST), S::max(S::splat(LEAST), x));
        let shifted = S::fma(x, S::splat(LOG2_E), S::splat(ROUND));
        let n = S::sub(shifted, S::splat(ROUND));
        // ln 2 in two parts, the first of which has few bits.
        let r = S::fnma(n, S::splat(0.693_359_4), x);
        let r = S::fma(n, S::splat(2.121_944_4e-4), r);
        let mut p = S::splat(1.987_569_1e-4);
        for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.0e-1] {
            p = S::fma(p, r, S::splat(c));
        }
        let e = S::fma(p, S::mul(r, r), S::add(r, S::splat(1.0)));
        S::scale_by_power(e, shifted)
    }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) unsafe fn sigmoid<S: Simd>(x: S::V) -> S::V {
    // SAFETY: the caller has the instruction set of S.
    unsafe { S::reciprocal(S::add(S::splat(1.0), exp::<S>(S::sub(S::splat(0.0), x)))) }
}

/// `x / 2 * (1 + erf(x / sqrt 2))`. Source: Abramowitz and Stegun, 7.1.26 (error of erf below 1.5e-7).
#[inline(always)]
pub(super) unsafe fn gelu<S: Simd>(x: S::V) -> S::V {
    // SAFETY: the caller has the instruction set of S.
    unsafe {
        let one = S::splat(1.0);
        let z = S::mul(x, S::splat(FRAC_1_SQRT_2));
        let a = S::abs(z);
        let t = S::reciprocal(S::fma(a, S::splat(0.327_591_1), one));
        let mut p = S::splat(1.061_405_4);
        for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
            p = S::fma(p, t, S::splat(c));
        }
        let tail = S::mul(S::mul(p, t), exp::<S>(S::sub(S::splat(0.0), S::mul(a, a))));
        let erf = S::copy_sign(S::sub(one, tail), z);
        let half = S::mul(x, S::splat(0.5));
        S::fma(half, erf, half)
    }
}
