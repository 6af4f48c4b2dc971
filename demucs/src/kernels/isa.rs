//! The instruction sets, and the kernels compiled for each of them.

use super::attention::{self, Attention, Groups, InRegisters};
use super::norm;
use super::packed::Form;
use super::product::{self, Affine, Finish, Product, Registers, Sums};
use super::simd;
#[cfg(target_arch = "x86_64")]
use super::tiles;
use super::winograd::{self, RowPair};

/// The leaves of the computation for one instruction set.
///
/// Values exist only for instruction sets that the processor has, so that all of it is safe to call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Isa {
    /// Its name, as people write it.
    pub(super) name: &'static str,
    has: fn() -> bool,
    form: Form,
    product: unsafe fn(&Product<'_>, Finish<'_>),
    peak: unsafe fn(f32) -> f32,
    winograd: unsafe fn(&RowPair<'_>, [&mut [f32]; 2], &mut [f32]),
    attend: unsafe fn(&Attention<'_>, &mut [f32], usize, &mut [f32]),
    keys: Group,
    values: Group,
    norm_gelu: unsafe fn(&mut [f32], usize, &[f32], &[f32]),
    norm: unsafe fn(&mut [f32], usize, &[f32], &[f32]),
    norm_glu_add: unsafe fn(&[f32], &mut [f32], usize, Affine<'_>),
    layer_norm: LayerNorm,
    sums: unsafe fn(&[f32], usize, &mut Sums),
}

/// Brings a group's keys or values, token t at a stride, so many tokens of so many floats, into their form.
type Group = unsafe fn(&[f32], usize, usize, usize, &mut [f32]);
type LayerNorm = unsafe fn(&[f32], &mut [f32], (usize, usize), &[f32], &[f32]);

/// Compiles the kernels for an instruction set.
macro_rules! isa {
    ($name:literal, $module:ident, $simd:ty, $form:ident, $panels:ty, $groups:ty, $has:expr, [$rows:literal, $vectors:literal], $live:literal, $(#[$feature:meta])?) => {
        mod $module {
            use super::*;

            $(#[$feature])?
            unsafe fn product(product: &Product<'_>, finish: Finish<'_>) {
                // SAFETY: the caller has the instruction set.
                unsafe { product::product::<$simd, $panels>(product, finish) }
            }
            $(#[$feature])?
            unsafe fn peak(value: f32) -> f32 {
                // SAFETY: the caller has the instruction set.
                unsafe { product::peak::<$simd, $live>(value) }
            }
            $(#[$feature])?
            unsafe fn winograd(pair: &RowPair<'_>, out: [&mut [f32]; 2], scratch: &mut [f32]) {
                // SAFETY: the caller has the instruction set.
                unsafe { winograd::winograd::<$simd, $rows, $vectors>(pair, out, scratch) }
            }
            $(#[$feature])?
            unsafe fn attend(a: &Attention<'_>, out: &mut [f32], stride: usize, scratch: &mut [f32]) {
                // SAFETY: the caller has the instruction set.
                unsafe { attention::attend::<$simd, $groups>(a, Form::$form, out, stride, scratch) }
            }
            $(#[$feature])?
            unsafe fn keys(from: &[f32], stride: usize, tokens: usize, size: usize, to: &mut [f32]) {
                // SAFETY: the caller has the instruction set.
                unsafe { <$groups as Groups<$simd>>::keys(from, stride, tokens, size, to) }
            }
            $(#[$feature])?
            unsafe fn values(from: &[f32], stride: usize, tokens: usize, size: usize, to: &mut [f32]) {
                // SAFETY: the caller has the instruction set.
                unsafe { <$groups as Groups<$simd>>::values(from, stride, tokens, size, to) }
            }
            $(#[$feature])?
            unsafe fn norm_gelu(x: &mut [f32], width: usize, factor: &[f32], summand: &[f32]) {
                // SAFETY: the caller has the instruction set.
                unsafe { norm::norm::<$simd, true>(x, width, factor, summand) }
            }
            $(#[$feature])?
            unsafe fn norm(x: &mut [f32], width: usize, factor: &[f32], summand: &[f32]) {
                // SAFETY: the caller has the instruction set.
                unsafe { norm::norm::<$simd, false>(x, width, factor, summand) }
            }
            $(#[$feature])?
            unsafe fn norm_glu_add(y: &[f32], x: &mut [f32], width: usize, affine: Affine<'_>) {
                // SAFETY: the caller has the instruction set.
                unsafe { norm::norm_glu_add::<$simd>(y, x, width, affine) }
            }
            $(#[$feature])?
            unsafe fn layer_norm(
                x: &[f32],
                out: &mut [f32],
                widths: (usize, usize),
                weight: &[f32],
                bias: &[f32],
            ) {
                // SAFETY: the caller has the instruction set.
                unsafe { norm::layer_norm::<$simd>(x, out, widths, weight, bias) }
            }
            $(#[$feature])?
            unsafe fn sums(x: &[f32], width: usize, sums: &mut Sums) {
                // SAFETY: the caller has the instruction set.
                unsafe { norm::sums::<$simd>(x, width, sums) }
            }

            pub(super) const ISA: Isa = Isa {
                name: $name,
                has: $has,
                form: Form::$form,
                product,
                peak,
                winograd,
                attend,
                keys,
                values,
                norm_gelu,
                norm,
                norm_glu_add,
                layer_norm,
                sums,
            };
        }
    };
}

#[cfg(target_arch = "x86_64")]
isa!(
    "amx",
    amx,
    simd::Avx512,
    Halves,
    tiles::Tiles,
    tiles::OnTiles,
    || std::arch::is_x86_feature_detected!("avx512bf16") && (avx512::ISA.has)() && tiles::available(),
    [12, 2],
    24,
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma")]
);
#[cfg(target_arch = "x86_64")]
isa!(
    "avx512",
    avx512,
    simd::Avx512,
    Floats,
    Registers<12, 12, 8>,
    InRegisters<12, 12, 8>,
    || std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("fma"),
    [12, 2],
    24,
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
);
#[cfg(target_arch = "x86_64")]
isa!(
    "avx2",
    avx2,
    simd::Avx2,
    Floats,
    Registers<6, 0, 0>,
    InRegisters<6, 0, 0>,
    || std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma"),
    [6, 1],
    6,
    #[target_feature(enable = "avx2,fma")]
);
#[cfg(target_arch = "aarch64")]
isa!("neon", neon, simd::Neon, Floats, Registers<6, 0, 0>, InRegisters<6, 0, 0>, || true, [6, 1], 6,);
isa!("portable", portable, simd::Portable, Floats, Registers<2, 0, 0>, InRegisters<2, 0, 0>, || true, [2, 1], 2,);

/// All that were compiled, the fastest first.
const ALL: &[Isa] = &[
    #[cfg(target_arch = "x86_64")]
    amx::ISA,
    #[cfg(target_arch = "x86_64")]
    avx512::ISA,
    #[cfg(target_arch = "x86_64")]
    avx2::ISA,
    #[cfg(target_arch = "aarch64")]
    neon::ISA,
    portable::ISA,
];

impl Isa {
    /// Those that this processor has, the fastest first; `portable` is always the last.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        ALL.iter().copied().filter(|isa| (isa.has)())
    }

    /// The fastest that this processor has.
    pub(super) fn best() -> Self {
        Self::all().next().unwrap_or(portable::ISA)
    }

    /// The form of weights that its products are fastest with.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// [`product::product`].
    pub(super) fn product(&self, product: &Product<'_>, finish: Finish<'_>) {
        // SAFETY: the processor has the instruction set, or there were no such value.
        unsafe { (self.product)(product, finish) }
    }

    /// [`product::peak`].
    pub(super) fn peak(&self, value: f32) -> f32 {
        // SAFETY: as above.
        unsafe { (self.peak)(value) }
    }

    /// [`winograd::winograd`].
    pub(super) fn winograd(&self, pair: &RowPair<'_>, out: [&mut [f32]; 2], scratch: &mut [f32]) {
        // SAFETY: as above.
        unsafe { (self.winograd)(pair, out, scratch) }
    }

    /// [`attention::attend`].
    pub(super) fn attend(
        &self,
        attention: &Attention<'_>,
        out: &mut [f32],
        out_stride: usize,
        scratch: &mut [f32],
    ) {
        // SAFETY: as above.
        unsafe { (self.attend)(attention, out, out_stride, scratch) }
    }

    /// [`Groups::keys`].
    pub(super) fn keys(&self, from: &[f32], stride: usize, tokens: usize, size: usize, to: &mut [f32]) {
        // SAFETY: as above.
        unsafe { (self.keys)(from, stride, tokens, size, to) }
    }

    /// [`Groups::values`].
    pub(super) fn values(&self, from: &[f32], stride: usize, tokens: usize, size: usize, to: &mut [f32]) {
        // SAFETY: as above.
        unsafe { (self.values)(from, stride, tokens, size, to) }
    }

    /// [`norm::norm`] through GELU.
    pub(super) fn norm_gelu(&self, x: &mut [f32], width: usize, factor: &[f32], summand: &[f32]) {
        // SAFETY: as above.
        unsafe { (self.norm_gelu)(x, width, factor, summand) }
    }

    /// [`norm::norm`].
    pub(super) fn norm(&self, x: &mut [f32], width: usize, factor: &[f32], summand: &[f32]) {
        // SAFETY: as above.
        unsafe { (self.norm)(x, width, factor, summand) }
    }

    /// [`norm::norm_glu_add`].
    pub(super) fn norm_glu_add(&self, y: &[f32], x: &mut [f32], width: usize, affine: Affine<'_>) {
        // SAFETY: as above.
        unsafe { (self.norm_glu_add)(y, x, width, affine) }
    }

    /// [`norm::layer_norm`].
    pub(super) fn layer_norm(
        &self,
        x: &[f32],
        out: &mut [f32],
        widths: (usize, usize),
        weight: &[f32],
        bias: &[f32],
    ) {
        // SAFETY: as above.
        unsafe { (self.layer_norm)(x, out, widths, weight, bias) }
    }

    /// [`norm::sums`].
    pub(super) fn sums(&self, x: &[f32], width: usize, sums: &mut Sums) {
        // SAFETY: as above.
        unsafe { (self.sums)(x, width, sums) }
    }
}
