//! The decoders' gated convolution over 3 x 3 places in 16 products instead of 36 for each four results.
//!
//! Tiles of 2 x 2 results (rows by tokens) see 4 x 4 inputs. Both are brought into a form in which the convolution is
//! a product for each of 16 places, and the results are added up from those.
//! Source: Lavin, Gray, "Fast algorithms for convolutional neural networks" (arXiv 1509.09308), F(2 x 2, 3 x 3).

use super::buffer::Buffer;
use super::layout::padded;
use super::math::sigmoid;
use super::product::{Runs, tile};
use super::simd::{LANES, Simd};

/// Taps of the convolution along each axis.
pub(super) const TAPS: usize = 3;
/// Places of a tile's input, rows by tokens.
const PLACES: usize = 16;
/// Pairs of tokens that are brought into the form together: as many as leave room in the cache for the weights.
const PAIRS: usize = 84;
/// Most tokens of a product's tile.
const MOST_ROWS: usize = 12;

/// Weights in the form of the 16 places: for each vector of channels and the vector of their gates, a matrix
/// `[channels, 32]` for each place.
#[derive(Debug)]
pub(super) struct Winograd {
    weights: Buffer,
    bias: Buffer,
    width: usize,
}

/// Two rows of results.
#[derive(Debug)]
pub(super) struct RowPair<'a> {
    /// The four rows that are seen, each from one token before the first on; none is zeros.
    pub(super) rows: [Option<&'a [f32]>; 4],
    pub(super) tokens: usize,
    pub(super) weights: &'a Winograd,
}

impl Winograd {
    /// `value(row, token, c, n)` of `channels` inputs and twice as many outputs, values before gates.
    pub(super) fn new(
        channels: usize,
        value: impl Fn(usize, usize, usize, usize) -> f32,
        bias: &[f32],
    ) -> Self {
        let width = padded(channels);
        let vectors = width / LANES;
        let mut weights = Buffer::zeros(vectors * PLACES * width * 2 * LANES);
        let mut paired = Buffer::zeros(2 * width);
        for c in 0..channels {
            for (n, bias) in bias.iter().enumerate() {
                let (gate, channel) = (n / channels, n % channels);
                let lane = channel % LANES + gate * LANES;
                paired[channel / LANES * 2 * LANES + lane] = *bias;
                let taps = std::array::from_fn(|row| std::array::from_fn(|token| value(row, token, c, n)));
                for (place, weight) in weight_form(&taps).into_iter().enumerate() {
                    let matrix = channel / LANES * PLACES + place;
                    weights[(matrix * width + c) * 2 * LANES + lane] = weight;
                }
            }
        }
        Self { weights, bias: paired, width }
    }

    /// Floats of scratch that a pair of rows needs.
    pub(super) fn scratch(&self) -> usize {
        PLACES * PAIRS * self.width + PLACES * MOST_ROWS * 2 * LANES
    }
}

/// `G g G^T` in double precision.
fn weight_form(taps: &[[f32; TAPS]; TAPS]) -> [f32; PLACES] {
    let form = |[a, b, c]: [f64; 3]| [a, (a + b + c) / 2.0, (a + c - b) / 2.0, c];
    let rows = taps.map(|row| form(row.map(f64::from)));
    let columns: [[f64; 4]; 4] = std::array::from_fn(|j| form([rows[0][j], rows[1][j], rows[2][j]]));
    std::array::from_fn(|place| columns[place % 4][place / 4] as f32)
}

/// Computes two rows of gated results: token t at `t * width` of each of `out`.
///
/// # Safety
/// The instruction set of S.
#[inline(always)]
pub(super) unsafe fn winograd<S: Simd, const MR: usize, const NV: usize>(
    pair: &RowPair<'_>,
    out: [&mut [f32]; 2],
    scratch: &mut [f32],
) {
    let &RowPair { rows, tokens, weights } = pair;
    let width = weights.width;
    assert!(tokens.is_multiple_of(2) && MR <= MOST_ROWS && scratch.len() >= weights.scratch());
    assert!(rows.iter().flatten().all(|row| row.len() >= (tokens + 2) * width));
    assert!(out.iter().all(|row| row.len() >= tokens * width));
    let (form, products) = scratch.split_at_mut(PLACES * PAIRS * width);
    let out = out.map(<[f32]>::as_mut_ptr);
    for first in (0..tokens / 2).step_by(PAIRS) {
        let pairs = PAIRS.min(tokens / 2 - first);
        // SAFETY: the instruction set is the caller's, all places were checked above.
        unsafe {
            input_form::<S>(rows.map(|row| row.map(|row| &row[2 * first * width..])), pairs, width, form);
            for vector in 0..width / LANES {
                let matrices = weights.weights.as_ptr().add(vector * PLACES * width * 2 * LANES);
                let bias = weights.bias.as_ptr().add(vector * 2 * LANES);
                let out = out.map(|out| out.add(2 * first * width + vector * LANES));
                let mut at = 0;
                while at < pairs {
                    let work = (form.as_ptr().add(at * width), width, matrices, products.as_mut_ptr());
                    let out = out.map(|out| out.add(2 * at * width));
                    if at + MR <= pairs {
                        places::<S, MR, NV>(work);
                        results::<S, MR>(products.as_ptr(), bias, out, width);
                        at += MR;
                    } else {
                        places::<S, 1, NV>(work);
                        results::<S, 1>(products.as_ptr(), bias, out, width);
                        at += 1;
                    }
                }
            }
        }
    }
}

/// `B^T d B` of every pair of tokens: place by place `[pairs, width]`, [`PAIRS`] pairs apart.
#[inline(always)]
unsafe fn input_form<S: Simd>(rows: [Option<&[f32]>; 4], pairs: usize, width: usize, form: &mut [f32]) {
    for pair in 0..pairs {
        for at in (0..width).step_by(LANES) {
            // SAFETY: the instruction set is the caller's, who checked all places.
            unsafe {
                let mut d = [[S::splat(0.0); 4]; 4];
                for (d, row) in d.iter_mut().zip(rows) {
                    if let Some(row) = row {
                        for (token, d) in d.iter_mut().enumerate() {
                            *d = S::load(row.as_ptr().add((2 * pair + token) * width + at));
                        }
                        *d = combined::<S>(*d);
                    }
                }
                let [a, b, c, e] = d;
                let columns = a.into_iter().zip(b).zip(c.into_iter().zip(e));
                for (token, ((a, b), (c, e))) in columns.enumerate() {
                    let column = combined::<S>([a, b, c, e]);
                    for (row, value) in column.into_iter().enumerate() {
                        let place = row * 4 + token;
                        S::store(form.as_mut_ptr().add((place * PAIRS + pair) * width + at), value);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn combined<S: Simd>([a, b, c, d]: [S::V; 4]) -> [S::V; 4] {
    // SAFETY: the instruction set is the caller's.
    unsafe { [S::sub(a, c), S::add(b, c), S::sub(c, b), S::sub(b, d)] }
}

/// The products of all places for `MR` pairs: `[place, pair, 32]`.
#[inline(always)]
unsafe fn places<S: Simd, const MR: usize, const NV: usize>(
    (form, width, matrices, products): (*const f32, usize, *const f32, *mut f32),
) {
    let runs = Runs::one(0, width);
    for place in 0..PLACES {
        // SAFETY: the instruction set is the caller's, who checked all places.
        unsafe {
            let a = form.add(place * PAIRS * width);
            for v in (0..2).step_by(NV) {
                let b = matrices.add(place * width * 2 * LANES + v * LANES);
                let sums = tile::<S, MR, NV>(a, width, runs, b, 2 * LANES);
                for (r, sums) in sums.into_iter().enumerate() {
                    for (i, sum) in sums.into_iter().enumerate() {
                        S::store(products.add((place * MR + r) * 2 * LANES + (v + i) * LANES), sum);
                    }
                }
            }
        }
    }
}

/// `A^T m A` of `MR` pairs, gated: two tokens of two rows each.
#[inline(always)]
unsafe fn results<S: Simd, const MR: usize>(
    products: *const f32,
    bias: *const f32,
    out: [*mut f32; 2],
    width: usize,
) {
    for r in 0..MR {
        // SAFETY: the instruction set is the caller's, who checked all places.
        unsafe {
            let mut halves = [[[S::splat(0.0); 2]; 2]; 2];
            for (half, sums) in halves.iter_mut().enumerate() {
                let [mut upper, mut lower] = [[S::splat(0.0); 4]; 2];
                for (token, (upper, lower)) in upper.iter_mut().zip(&mut lower).enumerate() {
                    let mut m = [S::splat(0.0); 4];
                    for (row, m) in m.iter_mut().enumerate() {
                        let place = row * 4 + token;
                        *m = S::load(products.add((place * MR + r) * 2 * LANES + half * LANES));
                    }
                    [*upper, *lower] = summed::<S>(m);
                }
                let bias = S::load(bias.add(half * LANES));
                for (sums, row) in sums.iter_mut().zip([upper, lower]) {
                    let [a, b] = summed::<S>(row);
                    *sums = [S::add(a, bias), S::add(b, bias)];
                }
            }
            let [values, gates] = halves;
            for (out, (values, gates)) in out.into_iter().zip(values.into_iter().zip(gates)) {
                for (token, (value, gate)) in values.into_iter().zip(gates).enumerate() {
                    S::store(out.add((2 * r + token) * width), S::mul(value, sigmoid::<S>(gate)));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn summed<S: Simd>([a, b, c, d]: [S::V; 4]) -> [S::V; 2] {
    // SAFETY: the instruction set is the caller's.
    unsafe { [S::add(S::add(a, b), c), S::sub(S::sub(b, c), d)] }
}
