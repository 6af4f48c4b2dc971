//! Plain arrays, for processors that have none of the others.

use super::{LANES, Simd};

/// Any processor.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Portable;

type Lanes = [f32; LANES];

#[inline(always)]
fn each(a: Lanes, b: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Simd for Portable {
    type V = Lanes;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Lanes {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Lanes {
        // SAFETY: the caller's pointer is valid for sixteen floats.
        unsafe { from.cast::<Lanes>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Lanes) {
        // SAFETY: the caller's pointer is valid for sixteen floats.
        unsafe { to.cast::<Lanes>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f32, v: Lanes, count: usize) {
        // SAFETY: the caller's pointer is valid for `count` floats, which are at most sixteen.
        unsafe { std::ptr::copy_nonoverlapping(v.as_ptr(), to, count) }
    }
    #[inline(always)]
    unsafe fn add(a: Lanes, b: Lanes) -> Lanes {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: Lanes, b: Lanes) -> Lanes {
        each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: Lanes, b: Lanes) -> Lanes {
        each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn fma(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        // Without the instruction, rounding once would take a call for each lane.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn fnma(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        std::array::from_fn(|i| c[i] - a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn max(a: Lanes, b: Lanes) -> Lanes {
        each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(a: Lanes, b: Lanes) -> Lanes {
        each(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn reciprocal(a: Lanes) -> Lanes {
        a.map(|a| 1.0 / a)
    }
    #[inline(always)]
    unsafe fn abs(a: Lanes) -> Lanes {
        a.map(f32::abs)
    }
    #[inline(always)]
    unsafe fn copy_sign(a: Lanes, sign: Lanes) -> Lanes {
        each(a, sign, f32::copysign)
    }
    #[inline(always)]
    unsafe fn scale_by_power(a: Lanes, shifted: Lanes) -> Lanes {
        each(a, shifted, |a, shifted| f32::from_bits(a.to_bits().wrapping_add(shifted.to_bits() << 23)))
    }
}
