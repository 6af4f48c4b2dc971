//! Weights in the order in which the products read them.

use super::buffer::Buffer;
use super::simd::LANES;

/// A matrix `[K, N]` with a bias, cut into panels of one to three vectors of columns. Its rows are those of one or
/// several runs of a product.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    values: Buffer,
    bias: Buffer,
    panels: Vec<Panel>,
    k: usize,
    run: usize,
    form: Form,
}

/// What lies in a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Floats `[K, width]`.
    Floats,
    /// Halves of floats for tiles. The rows of each run are cut into steps of [`STEP`], the last filled up with zeros; a
    /// step has the low halves of two vectors of columns, then the high ones, 16 pairs of rows each:
    /// `[runs, steps, 2, 2, 16, 16]` of a row's half and the next one's.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "tiles are of x86-64"))]
    Halves,
}

/// Rows of a step, and its floats' room.
pub(super) const STEP: usize = 32;
pub(super) const STEP_FLOATS: usize = 4 * STEP / 2 * LANES;

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
    /// `value(k, n)` for `k < count * run`, `n < N`, and `bias[n]`; columns up to a multiple of sixteen are zeros.
    /// `form` is the one to take where the matrix is large enough for it.
    pub(super) fn new(
        form: Form,
        (count, run): (usize, usize),
        n: usize,
        value: impl Fn(usize, usize) -> f32,
        bias: &[f32],
    ) -> Self {
        let form = form.of_run(run);
        Self::pack(form, (count, run), &plain(n), &widths(form, n.div_ceil(LANES)), value, bias)
    }

    /// The same for a gated unit, whose values are the first half of the columns and whose gates the second:
    /// every panel is a vector of values and the vector of their gates.
    pub(super) fn gated(
        form: Form,
        (count, run): (usize, usize),
        n: usize,
        value: impl Fn(usize, usize) -> f32,
        bias: &[f32],
    ) -> Self {
        let columns = paired(n);
        Self::pack(form.of_run(run), (count, run), &columns, &vec![2; columns.len() / 2], value, bias)
    }

    fn pack(
        form: Form,
        (count, run): (usize, usize),
        columns: &Columns,
        widths: &[usize],
        value: impl Fn(usize, usize) -> f32,
        bias: &[f32],
    ) -> Self {
        let size = |vectors: usize| match form {
            Form::Floats => count * run * vectors * LANES,
            Form::Halves => count * run.div_ceil(STEP) * STEP_FLOATS,
        };
        let mut values = Buffer::zeros(widths.iter().map(|vectors| size(*vectors)).sum());
        let mut panels = Vec::with_capacity(widths.len());
        let (mut first, mut start) = (0, 0);
        for &vectors in widths {
            let columns = columns[first..first + vectors].as_flattened();
            let end = start + size(vectors);
            let at = |k: usize, column: usize| columns[column].map_or(0.0, |column| value(k, column));
            match form {
                Form::Floats => floats(&mut values[start..end], columns.len(), at),
                Form::Halves => halves(&mut values[start..end], run, columns.len(), at),
            }
            panels.push(Panel { start, first, vectors });
            (first, start) = (first + vectors, end);
        }
        let bias: Vec<f32> =
            columns.as_flattened().iter().map(|column| column.map_or(0.0, |column| bias[column])).collect();
        Self { values, bias: Buffer::padded(&bias, bias.len()), panels, k: count * run, run, form }
    }

    /// What lies in its panels.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Rows of a run.
    pub(super) fn run(&self) -> usize {
        self.run
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

impl Form {
    /// Short runs are floats in any case: tiles would be mostly zeros.
    fn of_run(self, run: usize) -> Self {
        if run < STEP / 2 { Self::Floats } else { self }
    }
}

fn floats(panel: &mut [f32], width: usize, at: impl Fn(usize, usize) -> f32) {
    for (k, values) in panel.chunks_exact_mut(width).enumerate() {
        for (column, to) in values.iter_mut().enumerate() {
            *to = at(k, column);
        }
    }
}

fn halves(panel: &mut [f32], run: usize, width: usize, at: impl Fn(usize, usize) -> f32) {
    let steps = run.div_ceil(STEP);
    for (i, step) in panel.chunks_exact_mut(STEP_FLOATS).enumerate() {
        let (first, end) = (i / steps * run, i / steps * run + run);
        for pair in 0..STEP / 2 {
            let k = first + i % steps * STEP + 2 * pair;
            for column in 0..width {
                let half = |k: usize| split(if k < end { at(k, column) } else { 0.0 });
                let [(high, low), (next_high, next_low)] = [half(k), half(k + 1)];
                let place = (column / LANES * STEP / 2 + pair) * LANES + column % LANES;
                step[place] = both(low, next_low);
                step[STEP_FLOATS / 2 + place] = both(high, next_high);
            }
        }
    }
}

/// Two halves in the room of a float.
pub(super) fn both(first: u16, second: u16) -> f32 {
    f32::from_bits(u32::from(first) | u32::from(second) << 16)
}

/// A float as the sum of two bfloat16.
fn split(x: f32) -> (u16, u16) {
    // To the nearest, ties to even.
    let round = |x: f32| (x.to_bits().wrapping_add(0x7fff + (x.to_bits() >> 16 & 1)) >> 16) as u16;
    let high = round(x);
    (high, round(x - f32::from_bits(u32::from(high) << 16)))
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

/// Widths of panels that together have so many vectors: twos for tiles, else threes, and twos for what is left.
fn widths(form: Form, vectors: usize) -> Vec<usize> {
    if form == Form::Halves {
        let mut widths = vec![2; vectors / 2];
        widths.extend((!vectors.is_multiple_of(2)).then_some(1));
        return widths;
    }
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
            for form in [Form::Floats, Form::Halves] {
                assert_eq!(widths(form, vectors).iter().sum::<usize>(), vectors);
            }
        }
        assert_eq!(widths(Form::Floats, 4), [2, 2]);
        assert_eq!(widths(Form::Floats, 32)[9..], [3, 2]);
        assert_eq!(widths(Form::Halves, 5), [2, 2, 1]);
    }

    #[test]
    fn a_gate_lies_beside_its_value() {
        let packed = Packed::gated(Form::Floats, (1, 1), 40, |_, n| n as f32 + 1.0, &[0.5; 40]);
        assert_eq!(packed.columns(), 64);
        let values = packed.values();
        assert_eq!((values[0], values[16], values[32], values[48]), (1.0, 21.0, 17.0, 37.0));
        assert_eq!((values[35], values[36], packed.bias()[35], packed.bias()[36]), (20.0, 0.0, 0.5, 0.0));
    }

    #[test]
    fn halves_add_up() {
        for x in [0.0, 1.0, -1.0 / 3.0, 1e-20, 3.0e38, 65537.0] {
            let (high, low) = split(x);
            let sum =
                [high, low].map(|half| f64::from(f32::from_bits(u32::from(half) << 16))).iter().sum::<f64>();
            assert!((sum - f64::from(x)).abs() <= f64::from(x).abs() * 2f64.powi(-17), "{x} is not {sum}");
        }
    }
}
