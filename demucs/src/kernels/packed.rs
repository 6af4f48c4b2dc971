//! Weights in the order in which the products read them.

use super::buffer::Buffer;
use super::simd::LANES;

/// A matrix `[K, N]` with a bias, cut into panels of one to three vectors of columns, each `[K, width]`.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    values: Buffer,
    bias: Buffer,
    panels: Vec<Panel>,
    k: usize,
}

/// Columns that are computed together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    /// Where its values begin.
    pub(super) start: usize,
    /// The vector of columns it begins with.
    pub(super) first: usize,
    /// How many vectors of columns it has.
    pub(super) vectors: usize,
}

/// The columns of each vector of a matrix, in the order of its panels; none is a column of zeros.
type Columns = Vec<[Option<usize>; LANES]>;

impl Packed {
    /// `value(k, n)` for `k < K`, `n < N`, and `bias[n]`; columns up to a multiple of sixteen are zeros.
    pub(super) fn new(k: usize, n: usize, value: impl Fn(usize, usize) -> f32, bias: &[f32]) -> Self {
        Self::pack(k, &plain(n), &widths(n.div_ceil(LANES)), value, bias)
    }

    /// The same for a gated unit, whose values are the first half of the columns and whose gates the second:
    /// every panel is a vector of values and the vector of their gates.
    pub(super) fn gated(k: usize, n: usize, value: impl Fn(usize, usize) -> f32, bias: &[f32]) -> Self {
        let columns = paired(n);
        Self::pack(k, &columns, &vec![2; columns.len() / 2], value, bias)
    }

    fn pack(
        k: usize,
        columns: &Columns,
        widths: &[usize],
        value: impl Fn(usize, usize) -> f32,
        bias: &[f32],
    ) -> Self {
        let mut values = Buffer::zeros(k * columns.len() * LANES);
        let mut panels = Vec::with_capacity(widths.len());
        let (mut first, mut start) = (0, 0);
        for &vectors in widths {
            let width = vectors * LANES;
            for (row, values) in values[start..start + k * width].chunks_exact_mut(width).enumerate() {
                for (to, column) in values.iter_mut().zip(columns[first..first + vectors].as_flattened()) {
                    *to = column.map_or(0.0, |column| value(row, column));
                }
            }
            panels.push(Panel { start, first, vectors });
            first += vectors;
            start += k * width;
        }
        let bias: Vec<f32> =
            columns.as_flattened().iter().map(|column| column.map_or(0.0, |column| bias[column])).collect();
        Self { values, bias: Buffer::padded(&bias, bias.len()), panels, k }
    }

    /// Rows.
    pub(super) fn k(&self) -> usize {
        self.k
    }

    /// Columns, a multiple of sixteen.
    pub(super) fn columns(&self) -> usize {
        self.bias.len()
    }

    /// One float for each column.
    pub(super) fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Its panels.
    pub(super) fn panels(&self) -> &[Panel] {
        &self.panels
    }

    /// The values of all panels.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }
}

/// `values` (one for each of N columns) in the order of [`Packed::gated`]'s columns.
pub(super) fn pair(values: &[f32]) -> Buffer {
    let columns = paired(values.len());
    let values: Vec<f32> =
        columns.as_flattened().iter().map(|column| column.map_or(0.0, |column| values[column])).collect();
    Buffer::padded(&values, values.len())
}

fn plain(n: usize) -> Columns {
    let column = |vector: usize, lane: usize| Some(vector * LANES + lane).filter(|column| *column < n);
    (0..n.div_ceil(LANES)).map(|vector| std::array::from_fn(|lane| column(vector, lane))).collect()
}

fn paired(n: usize) -> Columns {
    let half = plain(n / 2);
    half.iter()
        .flat_map(|values| [*values, values.map(|column| column.map(|column| column + n / 2))])
        .collect()
}

/// Widths of panels that together have so many vectors: threes, and twos for what is left.
fn widths(vectors: usize) -> Vec<usize> {
    let (threes, rest) = match (vectors / 3, vectors % 3) {
        (0, rest) => (0, rest),
        (threes, 1) => (threes - 1, 4),
        (threes, rest) => (threes, rest),
    };
    let mut widths = vec![3; threes];
    widths.extend(match rest {
        0 => [].as_slice(),
        1 => &[1],
        4 => &[2, 2],
        _ => &[2],
    });
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_cover_all_columns() {
        for vectors in 1..40 {
            assert_eq!(widths(vectors).iter().sum::<usize>(), vectors);
        }
        assert_eq!(widths(4), [2, 2]);
        assert_eq!(widths(32)[9..], [3, 2]);
    }

    #[test]
    fn a_gate_lies_beside_its_value() {
        let packed = Packed::gated(1, 40, |_, n| n as f32 + 1.0, &[0.5; 40]);
        assert_eq!(packed.columns(), 64);
        let values = packed.values();
        assert_eq!((values[0], values[16], values[32], values[48]), (1.0, 21.0, 17.0, 37.0));
        assert_eq!((values[35], values[36], packed.bias()[35], packed.bias()[36]), (20.0, 0.0, 0.5, 0.0));
    }
}
