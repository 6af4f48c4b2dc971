//! The kernels by themselves on one thread, beside what the processor can do at best: an item is a floating-point
//! operation, so that `Gitem/s` are GFLOP/s.
//!
//! `cargo bench -p demucs`, or one of them: `cargo bench -p demucs -- product`.

use demucs::kernels::bench::{AttentionBench, Peak, ProductBench, kernels};
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

/// Those of vector instructions.
fn fast() -> Vec<&'static str> {
    kernels().into_iter().filter(|name| *name != "portable").collect()
}

#[divan::bench(args = fast())]
fn peak(bencher: Bencher<'_, '_>, kernels: &str) {
    let peak = Peak::new(kernels);
    bencher.counter(ItemsCount::new(Peak::FLOP)).bench_local(|| peak.run());
}

/// Tokens, floats of a token and columns of the network's products.
const SHAPES: [(usize, usize, usize); 11] = [
    (96, 512, 512),
    (96, 512, 2048),
    (96, 2048, 512),
    (336, 32, 48),
    (336, 96, 16),
    (336, 144, 16),
    (336, 384, 96),
    (336, 432, 96),
    (336, 1728, 384),
    (336, 3456, 768),
    (1344, 96, 192),
];

fn products() -> Vec<String> {
    let shape = |(t, k, n): &(usize, usize, usize)| format!("{t}x{k}x{n}");
    fast().iter().flat_map(|name| SHAPES.iter().map(move |s| format!("{name} {}", shape(s)))).collect()
}

fn bench_product(bencher: Bencher<'_, '_>, case: &str, gated: bool) {
    let (name, shape) = case.split_once(' ').unwrap_or_default();
    let mut sizes = shape.split('x').filter_map(|size| size.parse::<usize>().ok());
    let mut next = || sizes.next().unwrap_or(0);
    let (t, k, n) = (next(), next(), next());
    let mut product = ProductBench::new(name, (t, k, n), gated);
    bencher.counter(ItemsCount::new(2 * t * k * n)).bench_local(|| product.run());
}

#[divan::bench(args = products())]
fn product(bencher: Bencher<'_, '_>, case: &str) {
    bench_product(bencher, case, false);
}

#[divan::bench(args = products())]
fn gated(bencher: Bencher<'_, '_>, case: &str) {
    bench_product(bencher, case, true);
}

fn attentions() -> Vec<String> {
    fast().iter().flat_map(|name| [2688, 1344].map(|keys| format!("{name} {keys}"))).collect()
}

#[divan::bench(args = attentions())]
fn attention(bencher: Bencher<'_, '_>, case: &str) {
    let (name, keys) = case.split_once(' ').unwrap_or_default();
    let keys: usize = keys.parse().unwrap_or(0);
    let mut attention = AttentionBench::new(name, keys);
    let flop = 4 * AttentionBench::TOKENS * AttentionBench::SIZE * keys;
    bencher.counter(ItemsCount::new(flop)).bench_local(|| attention.run());
}
