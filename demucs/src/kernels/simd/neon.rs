//! Four registers of 128 bits.

use std::arch::aarch64::{
    float32x4_t, vabsq_f32, vaddq_f32, vaddq_u32, vbslq_f32, vdivq_f32, vdupq_n_f32, vdupq_n_u32, vfmaq_f32,
    vfmsq_f32, vld1q_f32, vmaxq_f32, vminq_f32, vmulq_f32, vreinterpretq_f32_u32, vreinterpretq_u32_f32,
    vshlq_n_u32, vst1q_f32, vsubq_f32,
};

use super::{LANES, Simd};

/// Advanced SIMD of 64-bit ARM, which every such processor has.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Neon;

type Quad = [float32x4_t; 4];

#[inline(always)]
fn each(a: Quad, b: Quad, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Quad {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Simd for Neon {
    type V = Quad;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Quad {
        // SAFETY: the trait's contract.
        unsafe { [vdupq_n_f32(value); 4] }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Quad {
        // SAFETY: the trait's contract.
        unsafe { [0, 4, 8, 12].map(|i| vld1q_f32(from.add(i))) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Quad) {
        for (i, part) in v.into_iter().enumerate() {
            // SAFETY: the trait's contract.
            unsafe { vst1q_f32(to.add(4 * i), part) }
        }
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f32, v: Quad, count: usize) {
        let mut lanes = [0f32; LANES];
        // SAFETY: the trait's contract.
        unsafe {
            Self::store(lanes.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }
    #[inline(always)]
    unsafe fn add(a: Quad, b: Quad) -> Quad {
        // SAFETY: the trait's contract.
        each(a, b, |a, b| unsafe { vaddq_f32(a, b) })
    }
    #[inline(always)]
    unsafe fn sub(a: Quad, b: Quad) -> Quad {
        // SAFETY: the trait's contract.
        each(a, b, |a, b| unsafe { vsubq_f32(a, b) })
    }
    #[inline(always)]
    unsafe fn mul(a: Quad, b: Quad) -> Quad {
        // SAFETY: the trait's contract.
        each(a, b, |a, b| unsafe { vmulq_f32(a, b) })
    }
    #[inline(always)]
    unsafe fn fma(a: Quad, b: Quad, c: Quad) -> Quad {
        // SAFETY: the trait's contract.
        unsafe { [0, 1, 2, 3].map(|i| vfmaq_f32(c[i], a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn fnma(a: Quad, b: Quad, c: Quad) -> Quad {
        // SAFETY: the trait's contract.
        unsafe { [0, 1, 2, 3].map(|i| vfmsq_f32(c[i], a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn max(a: Quad, b: Quad) -> Quad {
        // SAFETY: the trait's contract.
        each(a, b, |a, b| unsafe { vmaxq_f32(a, b) })
    }
    #[inline(always)]
    unsafe fn min(a: Quad, b: Quad) -> Quad {
        // SAFETY: the trait's contract.
        each(a, b, |a, b| unsafe { vminq_f32(a, b) })
    }
    #[inline(always)]
    unsafe fn reciprocal(a: Quad) -> Quad {
        // SAFETY: the trait's contract.
        unsafe { a.map(|a| vdivq_f32(vdupq_n_f32(1.0), a)) }
    }
    #[inline(always)]
    unsafe fn abs(a: Quad) -> Quad {
        // SAFETY: the trait's contract.
        unsafe { a.map(|a| vabsq_f32(a)) }
    }
    #[inline(always)]
    unsafe fn copy_sign(a: Quad, sign: Quad) -> Quad {
        // SAFETY: the trait's contract.
        each(a, sign, |a, sign| unsafe { vbslq_f32(vdupq_n_u32(1 << 31), sign, a) })
    }
    #[inline(always)]
    unsafe fn scale_by_power(a: Quad, shifted: Quad) -> Quad {
        // SAFETY: the trait's contract.
        each(a, shifted, |a, shifted| unsafe {
            let exponent = vshlq_n_u32::<23>(vreinterpretq_u32_f32(shifted));
            vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(a), exponent))
        })
    }
}
