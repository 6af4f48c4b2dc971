//! Vectors of sixteen floats on every instruction set, so that sums over lanes are the same everywhere.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;
pub(super) use portable::Portable;

/// Floats in a vector, whatever the width of the registers.
pub(super) const LANES: usize = 16;

/// Sixteen floats and what the kernels do with them.
///
/// # Safety
/// All functions need the instruction set of the implementing type; pointers have to be valid for as many
/// floats as are read or written (sixteen unless said otherwise), of any alignment.
pub(super) trait Simd: Copy {
    /// Sixteen floats.
    type V: Copy;
    unsafe fn splat(value: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    /// Writes the first `count` (at most sixteen) floats.
    unsafe fn store_part(to: *mut f32, v: Self::V, count: usize);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the instruction set can.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a * b`.
    unsafe fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// `1 / a` to about an ulp, for normal values.
    unsafe fn reciprocal(a: Self::V) -> Self::V;
    unsafe fn abs(a: Self::V) -> Self::V;
    /// The magnitude of `a` with the sign of `sign`.
    unsafe fn copy_sign(a: Self::V, sign: Self::V) -> Self::V;
    /// `a * 2^n`, where `shifted` is n + 1.5 * 2^23 and `a` lies around 1.
    unsafe fn scale_by_power(a: Self::V, shifted: Self::V) -> Self::V;

    unsafe fn lanes(v: Self::V) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: the array has room for all lanes.
        unsafe { Self::store(lanes.as_mut_ptr(), v) };
        lanes
    }
}
