//! A product's panels on tiles.

use std::arch::x86_64::__m512;
use std::cell::Cell;

use super::rows::Work;
use super::{SIDE, Shaped, Square, multiply};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::packed::{Form, STEP, STEP_FLOATS};
use crate::kernels::product::{Panels, Product, Registers};
use crate::kernels::simd::{Avx512, LANES, Simd};

thread_local! {
    static WORK: Cell<Work> = Cell::default();
}

/// Panels of halves; those of floats in vector registers.
pub(in crate::kernels) struct Tiles;

impl Panels<Avx512> for Tiles {
    #[inline(always)]
    unsafe fn panels<E: Epilogue<Avx512>>(product: &Product<'_>, mut epilogue: E) {
        let weights = product.weights;
        // SAFETY: the caller has the instruction set, and all places were checked.
        unsafe {
            if weights.form() == Form::Floats || product.tokens == 0 || product.runs.count == 0 {
                return Registers::<12, 12, 8>::panels(product, epilogue);
            }
            // No closure: it would be compiled without the instruction set.
            let mut work = WORK.take();
            let (runs, tokens) = (product.runs, product.tokens);
            work.split(product.input, product.stride, runs, tokens);
            let mut sums = Square([0.0; SIDE * SIDE]);
            let skipped = product.first_run * weights.run().div_ceil(STEP) * STEP_FLOATS;
            let shaped = Shaped::new();
            for panel in weights.panels() {
                let b = weights.values().as_ptr().add(panel.start + skipped);
                for token in (0..tokens).step_by(SIDE) {
                    multiply(work.task(token, b), sums.0.as_mut_ptr(), 4 * SIDE);
                    let part = (token, SIDE.min(tokens - token));
                    match panel.vectors {
                        2 => finish::<E, 2>(&sums, &mut epilogue, part, panel.first),
                        _ => finish::<E, 1>(&sums, &mut epilogue, part, panel.first),
                    }
                }
            }
            drop(shaped);
            WORK.set(work);
        }
    }
}

/// Gives `count` tokens of the sums, those from `first` on, to the epilogue.
#[inline(always)]
unsafe fn finish<E: Epilogue<Avx512>, const NV: usize>(
    sums: &Square,
    epilogue: &mut E,
    (first, count): (usize, usize),
    vector: usize,
) {
    const ROWS: usize = 4;
    let mut token = 0;
    // SAFETY: the caller has the instruction set; the sums of all tokens are there.
    unsafe {
        while token + ROWS <= count {
            epilogue.tile::<ROWS, NV>(part::<ROWS, NV>(sums, token), first + token, vector);
            token += ROWS;
        }
        while token < count {
            epilogue.tile::<1, NV>(part::<1, NV>(sums, token), first + token, vector);
            token += 1;
        }
    }
}

#[inline(always)]
unsafe fn part<const MR: usize, const NV: usize>(sums: &Square, token: usize) -> [[__m512; NV]; MR] {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let mut part = [[Avx512::splat(0.0); NV]; MR];
        for (r, part) in part.iter_mut().enumerate() {
            for (v, part) in part.iter_mut().enumerate() {
                *part = Avx512::load(sums.0[(token + r) * SIDE + v * LANES..][..LANES].as_ptr());
            }
        }
        part
    }
}
