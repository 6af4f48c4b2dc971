//! Two registers of 256 bits.

use std::arch::x86_64::{
    __m256, _mm256_add_epi32, _mm256_add_ps, _mm256_and_ps, _mm256_andnot_ps, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_div_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps, _mm256_loadu_ps, _mm256_max_ps,
    _mm256_min_ps, _mm256_mul_ps, _mm256_or_ps, _mm256_set1_ps, _mm256_slli_epi32, _mm256_storeu_ps,
    _mm256_sub_ps,
};

use super::{LANES, Simd};

/// AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Avx2;

type Pair = [__m256; 2];

#[inline(always)]
fn each(a: Pair, b: Pair, f: impl Fn(__m256, __m256) -> __m256) -> Pair {
    [f(a[0], b[0]), f(a[1], b[1])]
}

impl Simd for Avx2 {
    type V = Pair;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Pair {
        // SAFETY: the trait's contract.
        unsafe { [_mm256_set1_ps(value); 2] }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Pair {
        // SAFETY: the trait's contract.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Pair) {
        // SAFETY: the trait's contract.
        unsafe {
            _mm256_storeu_ps(to, v[0]);
            _mm256_storeu_ps(to.add(8), v[1]);
        }
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f32, v: Pair, count: usize) {
        let mut lanes = [0f32; LANES];
        // SAFETY: the trait's contract.
        unsafe {
            Self::store(lanes.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }
    #[inline(always)]
    unsafe fn add(a: Pair, b: Pair) -> Pair {
        // SAFETY: the trait's contract.
        each(a, b, |a, b| unsafe { _mm256_add_ps(a, b) })
    }
    #[inline(always)]
    unsafe fn sub(a: Pair, b: Pair) -> Pair {
        // SAFETY: the trait's contract.
        each(a, b, |a, b| unsafe { _mm256_sub_ps(a, b) })
    }
    #[inline(always)]
    unsafe fn mul(a: Pair, b: Pair) -> Pair {
        // SAFETY: the trait's contract.
        each(a, b, |a, b| unsafe { _mm256_mul_ps(a, b) })
    }
    #[inline(always)]
    unsafe fn fma(a: Pair, b: Pair, c: Pair) -> Pair {
        // SAFETY: the trait's contract.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    unsafe fn fnma(a: Pair, b: Pair, c: Pair) -> Pair {
        // SAFETY: the trait's contract.
        unsafe { [_mm256_fnmadd_ps(a[0], b[0], c[0]), _mm256_fnmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    unsafe fn max(a: Pair, b: Pair) -> Pair {
        // SAFETY: the trait's contract.
        each(a, b, |a, b| unsafe { _mm256_max_ps(a, b) })
    }
    #[inline(always)]
    unsafe fn min(a: Pair, b: Pair) -> Pair {
        // SAFETY: the trait's contract.
        each(a, b, |a, b| unsafe { _mm256_min_ps(a, b) })
    }
    #[inline(always)]
    unsafe fn reciprocal(a: Pair) -> Pair {
        // SAFETY: the trait's contract.
        unsafe {
            let one = _mm256_set1_ps(1.0);
            [_mm256_div_ps(one, a[0]), _mm256_div_ps(one, a[1])]
        }
    }
    #[inline(always)]
    unsafe fn abs(a: Pair) -> Pair {
        // SAFETY: the trait's contract.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            [_mm256_andnot_ps(sign, a[0]), _mm256_andnot_ps(sign, a[1])]
        }
    }
    #[inline(always)]
    unsafe fn copy_sign(a: Pair, sign: Pair) -> Pair {
        // SAFETY: the trait's contract.
        each(a, sign, |a, sign| unsafe {
            let mask = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_andnot_ps(mask, a), _mm256_and_ps(mask, sign))
        })
    }
    #[inline(always)]
    unsafe fn scale_by_power(a: Pair, shifted: Pair) -> Pair {
        // SAFETY: the trait's contract.
        each(a, shifted, |a, shifted| unsafe {
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), exponent))
        })
    }
}
