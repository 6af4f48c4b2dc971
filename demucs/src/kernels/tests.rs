//! Kernels of every instruction set against what their definitions give in double precision, on odd shapes, and
//! whole networks against the plain one.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::attention::{self, Attention, KEYS};
use super::buffer::Buffer;
use super::fused::Fused;
use super::isa::Isa;
use super::layout::padded;
use super::packed::{Form, Packed, pair};
use super::product::{Affine, Finish, Out, Product, Runs, Sums};
use super::tensors::Tensors;
use crate::model::Config;
use crate::seeded::{changed, checkpoint, signal, small_kwargs, snr_to_plain};

/// SNR in dB of the kernels against the plain network.
fn snr(kwargs: &Map<String, Value>, isa: Isa) -> f64 {
    let seeded = checkpoint(kwargs.clone(), 7).unwrap();
    let config = Config::from_kwargs(kwargs).unwrap();
    let network = Fused::new(config, isa, Tensors::new(seeded.tensors.clone(), isa.form())).unwrap();
    let mix = signal(network.config().segment_frames()).concat();
    snr_to_plain(seeded, &mix, |ours| network.forward(&mix, ours))
}

#[test]
fn networks_of_all_shapes_equal_the_plain_one() {
    let small = small_kwargs(&["drums", "bass", "other", "vocals"]);
    for change in changed() {
        let mut kwargs = small.clone();
        kwargs.extend(change.clone());
        for isa in Isa::all() {
            let snr = snr(&kwargs, isa);
            println!("{:9} {snr:6.1} dB {change:?}", isa.name);
            assert!(snr > 95.0, "{}: {snr} dB with {change:?}", isa.name);
        }
    }
}

/// Values between -1 and 1 that depend on the place and the seed.
fn values(len: usize, seed: u64) -> Vec<f32> {
    let value = |i: u64| (crate::seeded::splitmix(seed.wrapping_mul(1 << 32).wrapping_add(i)) >> 40) as f32;
    (0..len as u64).map(|i| value(i) / (1u64 << 23) as f32 - 1.0).collect()
}

fn gelu(x: f64) -> f64 {
    // Series of the error function, which converges everywhere and quickly where it is needed here.
    let z = x / std::f64::consts::SQRT_2;
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    let erf = if z.abs() > 5.0 { z.signum() } else { sum * 2.0 / std::f64::consts::PI.sqrt() };
    0.5 * x * (1.0 + erf)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// How many times as far from the exact result as floats it may be.
fn coarse(isa: &Isa) -> f64 {
    match isa.form() {
        Form::Floats => 1.0,
        Form::Halves => 10.0,
    }
}

fn close(isa: &Isa, ours: f32, theirs: f64, scale: f64) -> bool {
    (f64::from(ours) - theirs).abs() <= 3e-6 * coarse(isa) * (1.0 + scale)
}

/// A product of odd sizes: tokens, floats of a run, runs, columns, runs of the weights that are left out.
#[derive(Debug, Clone, Copy)]
struct Case {
    tokens: usize,
    len: usize,
    count: usize,
    n: usize,
    first_run: usize,
    gap: usize,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    (1..80usize, 1..90usize, 1..4usize, 1..110usize, 0..3usize, 0..5usize, any::<u32>()).prop_map(
        |(tokens, len, count, n, first_run, gap, seed)| Case {
            tokens,
            len,
            count,
            n,
            first_run,
            gap,
            seed: u64::from(seed),
        },
    )
}

impl Case {
    /// Runs and their length: one behind those that are used is left out too.
    fn rows(&self) -> (usize, usize) {
        (self.first_run + self.count + 1, self.len)
    }

    fn stride(&self) -> usize {
        self.len + self.gap
    }

    fn weight(&self, k: usize, n: usize) -> f32 {
        values(1, self.seed ^ (k as u64 * 131 + n as u64 * 7 + 1))[0] / (self.len as f32).sqrt()
    }

    fn input(&self) -> Buffer {
        let len = self.tokens * self.stride() + self.count * (self.len + 3);
        Buffer::padded(&values(len, self.seed), len)
    }

    fn product<'a>(&self, input: &'a [f32], weights: &'a Packed) -> Product<'a> {
        let runs = Runs { start: 1, len: self.len, count: self.count, step: self.len + 2 };
        let (tokens, first_run) = (self.tokens, self.first_run);
        Product { input, stride: self.stride(), runs, first_run, tokens, weights }
    }

    /// Token, column: the product without its bias in double precision.
    fn expected(&self, input: &[f32], token: usize, n: usize) -> f64 {
        let mut sum = 0.0;
        for run in 0..self.count {
            for i in 0..self.len {
                let x = input[token * self.stride() + 1 + run * (self.len + 2) + i];
                let weight = self.weight((self.first_run + run) * self.len + i, n);
                sum += f64::from(x) * f64::from(weight);
            }
        }
        sum
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn products_of_odd_shapes_are_what_they_say(case in case()) {
        let (input, bias) = (case.input(), values(case.n, case.seed + 1));
        let columns = padded(case.n);
        let before = values(case.tokens * columns, case.seed + 2);
        for isa in Isa::all() {
            let weights = Packed::new(isa.form(), case.rows(), case.n, |k, n| case.weight(k, n), &bias);
            for kind in 0..6 {
                // What is written in part leaves the rest as it was.
                let written = if kind == 5 { columns } else { columns - columns.min(case.seed as usize % 4) };
                let mut out = before.clone();
                let mut sums = Sums::default();
                let to = Out { values: &mut out, stride: columns, columns: written };
                let finish = match kind {
                    0 => Finish::Store(to),
                    1 => Finish::Gelu(to),
                    2 => Finish::Add(to),
                    3 => Finish::GeluAdd(to),
                    4 => Finish::StoreSums(to, &mut sums),
                    _ => Finish::Sums(&mut sums),
                };
                isa.product(&case.product(&input, &weights), finish);
                let (mut total, mut squares) = (0.0, 0.0);
                for token in 0..case.tokens {
                    for n in 0..columns {
                        let place = token * columns + n;
                        let was = f64::from(before[place]);
                        let y = bias.get(n).map_or(0.0, |bias| case.expected(&input, token, n) + f64::from(*bias));
                        (total, squares) = (total + y, squares + y * y);
                        let expected = match kind {
                            _ if n >= written => was,
                            0 | 4 => y,
                            1 => gelu(y),
                            2 => was + y,
                            3 => was + gelu(y),
                            _ => was,
                        };
                        prop_assert!(
                            close(&isa, out[place], expected, y.abs()),
                            "{} kind {kind}: {} is not {expected} at {token}, {n}", isa.name, out[place]
                        );
                    }
                }
                if kind >= 4 {
                    let count = case.tokens * case.n;
                    let mean = total / count as f64;
                    let gain = 1.0 / ((squares / count as f64 - mean * mean).max(0.0) + 1e-5).sqrt();
                    let (ours, our_gain) = sums.moments(count);
                    prop_assert!((ours - mean).abs() < 1e-5 && (our_gain / gain - 1.0).abs() < 1e-3);
                }
            }
        }
    }

    #[test]
    fn gated_products_of_odd_shapes_are_what_they_say(case in case()) {
        let case = Case { n: 2 * case.n.div_ceil(2), ..case };
        let half = case.n / 2;
        let (input, bias) = (case.input(), values(case.n, case.seed + 1));
        let width = padded(half);
        let mut before = values(case.tokens * width, case.seed + 2);
        for token in before.chunks_exact_mut(width) {
            token[half..].fill(0.0);
        }
        let (factor, summand) = (values(case.n, case.seed + 3), values(case.n, case.seed + 4));
        let scale = Buffer::padded(&values(half, case.seed + 5), width);
        let add = Buffer::padded(&values(half, case.seed + 6), width);
        let (paired_factor, paired_summand) = (pair(&factor), pair(&summand));
        let affine = Affine { factor: &paired_factor, summand: &paired_summand, scale: &scale };
        for isa in Isa::all() {
            let weights = Packed::gated(isa.form(), case.rows(), case.n, |k, n| case.weight(k, n), &bias);
            let product = case.product(&input, &weights);
            let mut glu = before.clone();
            let out = Out { values: &mut glu, stride: width, columns: width };
            isa.product(&product, Finish::Glu(out, Some(&add)));
            let mut fused = before.clone();
            let out = Out { values: &mut fused, stride: width, columns: width };
            isa.product(&product, Finish::NormGlu(out, affine));
            let mut stored = vec![0.0; case.tokens * 2 * width];
            let out = Out { values: &mut stored, stride: 2 * width, columns: 2 * width };
            isa.product(&product, Finish::Store(out));
            let mut apart = before.clone();
            isa.norm_glu_add(&stored, &mut apart, width, affine);
            for token in 0..case.tokens {
                for c in 0..width {
                    let place = token * width + c;
                    if c >= half {
                        prop_assert_eq!([glu[place], fused[place], apart[place]], [0.0; 3]);
                        continue;
                    }
                    let y = |n: usize| case.expected(&input, token, n) + f64::from(bias[n]);
                    let normal = |n: usize| y(n) * f64::from(factor[n]) + f64::from(summand[n]);
                    let expected = y(c) * sigmoid(y(c + half)) + f64::from(add[c]);
                    prop_assert!(close(&isa, glu[place], expected, y(c).abs()), "{}", isa.name);
                    let gated = f64::from(scale[c]) * normal(c) * sigmoid(normal(c + half));
                    let expected = f64::from(before[place]) + gated;
                    prop_assert!(close(&isa, fused[place], expected, y(c).abs()), "{}", isa.name);
                    prop_assert!(close(&isa, apart[place], expected, y(c).abs()), "{}", isa.name);
                }
            }
        }
    }

    #[test]
    fn attention_of_odd_shapes_is_softmax(
        tokens in 1..40usize, count in 1..700usize, size in 1..70usize, gain in 0.1..30f32, seed: u32,
    ) {
        let (width, groups, seed) = (padded(size), count.div_ceil(KEYS), u64::from(seed));
        let queries: Vec<f32> = values(tokens * size, seed).iter().map(|q| q * gain).collect();
        let (keys, all) = (values(count * size, seed + 1), values(count * size, seed + 2));
        for isa in Isa::all() {
            let (keys_len, values_len) = attention::group(isa.form(), size);
            let stride = keys_len + values_len;
            let mut packed = Buffer::zeros(groups * stride);
            for (group, packed) in packed.chunks_exact_mut(stride).enumerate() {
                let (tokens, first) = (KEYS.min(count - group * KEYS), group * KEYS * size);
                let (to, to_values) = packed.split_at_mut(keys_len);
                isa.keys(&keys[first..], size, tokens, size, to);
                isa.values(&all[first..], size, tokens, size, to_values);
            }
            let attention = Attention {
                queries: &queries, stride: size, tokens, size, keys: &packed, values: &packed[keys_len..],
                group_stride: stride, width, count,
            };
            let mut out = vec![0.0; tokens * width];
            let mut scratch = vec![f32::NAN; attention::scratch(tokens)];
            isa.attend(&attention, &mut out, width, &mut scratch);
            for token in 0..tokens {
                let query = &queries[token * size..][..size];
                let score = |key: usize| -> f64 {
                    query.iter().zip(&keys[key * size..]).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum()
                };
                let scores: Vec<f64> = (0..count).map(score).collect();
                let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
                let total: f64 = weights.iter().sum();
                for d in 0..size {
                    let sum: f64 = weights.iter().enumerate().map(|(key, w)| w * f64::from(all[key * size + d])).sum();
                    let (ours, theirs) = (f64::from(out[token * width + d]), sum / total);
                    // Scores of some hundreds are rounded to some 1e-5, and with them the weights.
                    let bound = coarse(&isa) * (1e-5 + 1e-6 * most.abs());
                    prop_assert!((ours - theirs).abs() < bound, "{}: {ours} is not {theirs}", isa.name);
                }
            }
        }
    }

    #[test]
    fn norms_of_odd_shapes_are_what_they_say(tokens in 1..20usize, channels in 1..100usize, seed: u32) {
        let (width, seed) = (padded(channels), u64::from(seed));
        let mut x = Buffer::zeros(tokens * width);
        for (token, from) in x.chunks_exact_mut(width).zip(values(tokens * channels, seed).chunks_exact(channels)) {
            token[..channels].copy_from_slice(from);
        }
        let weight = Buffer::padded(&values(channels, seed + 1), width);
        let bias = Buffer::padded(&values(channels, seed + 2), width);
        for isa in Isa::all() {
            let (mut layer, mut plain, mut active) = (x.to_vec(), x.to_vec(), x.to_vec());
            isa.layer_norm(&x, &mut layer, (width, channels), &weight, &bias);
            isa.norm(&mut plain, width, &weight, &bias);
            isa.norm_gelu(&mut active, width, &weight, &bias);
            let mut sums = Sums::default();
            isa.sums(&x, width, &mut sums);
            let all: Vec<f64> = x.chunks_exact(width).flat_map(|x| &x[..channels]).map(|x| f64::from(*x)).collect();
            let (mean, gain) = sums.moments(all.len());
            let expected = all.iter().sum::<f64>() / all.len() as f64;
            let variance = all.iter().map(|x| (x - expected).powi(2)).sum::<f64>() / all.len() as f64;
            prop_assert!((mean - expected).abs() < 1e-6);
            // Squares are rounded before the mean's leaves them.
            let rounding = 5e-7 * (variance + expected.powi(2));
            prop_assert!((gain.powi(-2) - 1e-5 - variance).abs() < rounding, "{}: {gain}", isa.name);
            for (t, token) in all.chunks_exact(channels).enumerate() {
                let mean = token.iter().sum::<f64>() / channels as f64;
                let variance = token.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / channels as f64;
                for c in 0..width {
                    let place = t * width + c;
                    if c >= channels {
                        prop_assert_eq!([layer[place], plain[place], active[place]], [0.0; 3]);
                        continue;
                    }
                    let affine = |x: f64| x * f64::from(weight[c]) + f64::from(bias[c]);
                    // Differences from a mean that is nearly the value itself are rounded.
                    let normal = (token[c] - mean) / (variance + 1e-5).sqrt();
                    prop_assert!((f64::from(layer[place]) - affine(normal)).abs() < 1e-4, "{}", isa.name);
                    prop_assert!(close(&isa, plain[place], affine(token[c]), 1.0), "{}", isa.name);
                    prop_assert!(close(&isa, active[place], gelu(affine(token[c])), 1.0), "{}", isa.name);
                }
            }
        }
    }
}

#[test]
fn zeros_behind_the_channels_do_not_blur_a_small_variance() {
    let (weight, bias) = (Buffer::padded(&[1.0; 2], 16), Buffer::padded(&[0.0; 2], 16));
    for value in 1..30u8 {
        let low = f32::from(value) / 30.0;
        let x: Vec<f32> = [low, low + 1e-3].into_iter().chain([0.0; 14]).collect();
        let half = (f64::from(x[1]) - f64::from(x[0])) / 2.0;
        let expected = half / (half.powi(2) + 1e-5).sqrt();
        for isa in Isa::all() {
            let mut out = vec![0.0; 16];
            isa.layer_norm(&x, &mut out, (16, 2), &weight, &bias);
            for (ours, theirs) in [(out[0], -expected), (out[1], expected)] {
                assert!((f64::from(ours) - theirs).abs() < 1e-4, "{}: {ours} is not {theirs}", isa.name);
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    let mut x = vec![f32::NAN; 16];
    for isa in Isa::all() {
        isa.norm_gelu(&mut x, 16, &[1.0; 16], &[0.0; 16]);
        assert!(x.iter().all(|x| x.is_nan()), "{}", isa.name);
    }
}

#[test]
fn words_name_kernels() {
    use super::Kernels;

    for word in Kernels::WORDS {
        assert_eq!(word.parse::<Kernels>().unwrap().to_string(), word);
    }
    let supported = Kernels::supported();
    assert_eq!(supported[supported.len() - 2..], [Kernels::Portable, Kernels::Plain]);
    assert_eq!(Kernels::Auto.resolved(), supported[0].to_string());
}
