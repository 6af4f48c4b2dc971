//! The norm of a `DConv` with its GELU, and the sums of the product behind it.

use std::collections::BTreeMap;
use std::f64::consts::{PI, SQRT_2};

use half::f16;

use crate::seeded::splitmix;
use crate::tensors::Tensors;

use super::compiler::Compiler;
use super::memory::Budget;
use super::shape::{Place, Shape, padded};
use super::step::Slot;
use super::tests::card;
use super::workspace::Buffers;

/// Values between -1 and 1 that depend on the place and the seed.
fn values(len: usize, seed: u64) -> Vec<f32> {
    let value = |i: u64| (splitmix((seed << 32) + i) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    (0..len as u64).map(value).collect()
}

/// What the kernel leaves of values `[tokens, size]`, and the sums (plain, and of squares) of `columns` of each token of what it
/// leaves, of weights `[columns, size]`. Nothing is normalised: the moments are 0 and 1, and so are biases and weights.
fn norm_gelu(
    values: &[f32],
    tokens: usize,
    weights: &[f32],
    biases: &[f32],
    half: bool,
) -> (Vec<f32>, [f64; 2]) {
    let card = card();
    let (size, columns) = (values.len() / tokens, biases.len());
    let (mut buffers, mut budget) = (Buffers::default(), Budget::new(&card, None));
    let none = Tensors::new(BTreeMap::new());
    let mut compiler = Compiler::new(none, half, 1, &mut buffers, &mut budget);
    let width = padded(size);
    let mut rows = vec![0.0; tokens * width];
    for (to, from) in rows.chunks_exact_mut(width).zip(values.chunks_exact(size)) {
        to[..size].copy_from_slice(from);
    }
    let place = Place { address: compiler.elements(&rows).unwrap(), shape: Shape::dense(1, tokens, width) };
    let norm = [vec![1.0f32; width], vec![0.0; width]].map(|values| compiler.constants(&values).unwrap());
    let moments = compiler.constants(&[0.0f32, 1.0]).unwrap();
    let form = compiler.form(size, columns, |n, i| weights[n * size + i], |n| biases[n]).unwrap();
    compiler.norm_gelu(&place, tokens, moments, norm, form);
    let (steps, mut memory) = compiler.finish().unwrap();
    memory.extend(buffers.into_memory());
    let launches = steps.iter().map(|step| step.launch(1, Slot { mix: 0, out: 0 }, half)).collect();
    // SAFETY: the launch names this memory alone, which is here until it has run.
    let sequence = unsafe { card.sequence(launches) }.unwrap();
    let stream = card.stream().unwrap();
    stream.run(&sequence).unwrap();
    stream.finish().unwrap();

    let mut left = vec![0.0f32; tokens * width];
    if half {
        let mut halves = vec![f16::ZERO; left.len()];
        card.download(&memory[0], 0, &mut halves).unwrap();
        left.iter_mut().zip(halves).for_each(|(to, value)| *to = value.to_f32());
    } else {
        card.download(&memory[0], 0, &mut left).unwrap();
    }
    let mut partials = vec![0.0f64; tokens.div_ceil(128) * 2];
    card.download(memory.last().unwrap(), 0, &mut partials).unwrap();
    let total = |i: usize| partials.iter().skip(i).step_by(2).sum();
    let left = left.chunks_exact(width).flat_map(|token| token[..size].to_vec()).collect();
    (left, [total(0), total(1)])
}

/// `x / 2 * (1 + erf(x / sqrt 2))`, by a series whose terms are of one sign.
fn gelu(x: f64) -> f64 {
    let z = x / SQRT_2;
    let (mut term, mut sum) = (z, z);
    for n in 1..300 {
        term *= 2.0 * z * z / f64::from(2 * n + 1);
        sum += term;
    }
    0.5 * x * (1.0 + sum * (-z * z).exp() * 2.0 / PI.sqrt())
}

#[test]
fn gelu_of_a_card_is_that_of_the_error_function() {
    let (tokens, size) = (1001, 16);
    let points: Vec<f32> = (0..tokens * size).map(|i| i as f32 / 1001.0 - 8.0).collect();
    let (ours, _) = norm_gelu(&points, tokens, &[0.0; 16], &[0.0], false);
    let worst = points.iter().zip(ours).map(|(x, ours)| (gelu(f64::from(*x)) - f64::from(ours)).abs());
    let worst = worst.fold(0.0, f64::max);
    println!("at most {worst:.1e} away");
    assert!(worst < 7e-7, "{worst}");
}

#[test]
fn sums_of_a_product_are_foreseen() {
    for (tokens, size, columns) in [(300, 6, 96), (128, 16, 20), (1, 48, 768), (513, 33, 70)] {
        for half in [false, true] {
            let weights = values(columns * size, 1);
            // A norm's deviation is of what is left of a large mean.
            let biases: Vec<f32> = values(columns, 2).iter().map(|value| value + 2.0).collect();
            let (left, ours) = norm_gelu(&values(tokens * size, 3), tokens, &weights, &biases, half);
            let stored = |value: f32| if half { f16::from_f32(value).to_f32() } else { value };
            let mut theirs = [0.0; 2];
            for token in left.chunks_exact(size) {
                for (row, bias) in weights.chunks_exact(size).zip(&biases) {
                    let terms = row.iter().zip(token).map(|(w, h)| f64::from(stored(*w)) * f64::from(*h));
                    let value = terms.sum::<f64>() + f64::from(*bias);
                    theirs[0] += value;
                    theirs[1] += value * value;
                }
            }
            for (ours, theirs) in ours.iter().zip(theirs) {
                let away = (ours - theirs).abs() / theirs.abs();
                assert!(away < 2e-7, "{tokens} x {size} x {columns}, {half}: {ours}, {theirs}");
            }
        }
    }
}
