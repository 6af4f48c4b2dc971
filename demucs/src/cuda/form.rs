//! What the sums over the columns of a product are, without the product.

use half::f16;

use crate::error::Result;

use super::arguments::Form;
use super::compiler::Compiler;

/// What is left of a column behind those before it, relative to itself, that is nothing but rounding.
const NOTHING: f64 = 1e-13;

impl Compiler<'_> {
    /// The forms for a product of `columns` of the value `value(column, i)` for each of `size` and `bias(column)`.
    pub(super) fn form(
        &mut self,
        size: usize,
        columns: usize,
        value: impl Fn(usize, usize) -> f32,
        bias: impl Fn(usize) -> f32,
    ) -> Result<Form> {
        // The product has weights as they are stored.
        let stored = |value: f32| if self.half() { f16::from_f32(value).to_f32() } else { value };
        let weights = (0..size).map(|i| (0..columns).map(|n| f64::from(stored(value(n, i)))).collect());
        let biases = (0..columns).map(|n| f64::from(bias(n))).collect();
        let all: Vec<Vec<f64>> = weights.chain([biases]).collect();
        let sums: Vec<f64> = all.iter().map(|column| column.iter().sum()).collect();
        let triangle = triangle(all);

        let wide = size.next_multiple_of(4);
        let padded = |values: &[f64]| {
            let mut padded = vec![0.0; wide];
            padded.iter_mut().zip(values).for_each(|(to, value)| *to = *value as f32);
            padded
        };
        let mut rows = triangle[..size].iter().flat_map(|column| padded(column)).collect::<Vec<_>>();
        rows.resize(wide * wide, 0.0);
        let shift = &triangle[size];
        Ok(Form {
            columns: self.constants(&rows)?,
            shift: self.constants(&padded(&shift[..size]))?,
            sums: self.constants(&padded(&sums[..size]))?,
            constants: self.constants(&[sums[size] as f32, (shift[size] * shift[size]) as f32])?,
            size: wide as i32,
        })
    }
}

/// The columns of R, where the matrix of these columns is Q R, the columns of Q are orthonormal and R is an upper triangle: all
/// that is above and on its diagonal.
fn triangle(mut columns: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut triangle: Vec<Vec<f64>> = Vec::new();
    for i in 0..columns.len() {
        let (before, column) = columns.split_at_mut(i);
        let column = &mut column[0];
        let whole = dot(column, column).sqrt();
        let mut row = Vec::new();
        for direction in before.iter() {
            let along = dot(direction, column);
            column.iter_mut().zip(direction).for_each(|(value, direction)| *value -= along * direction);
            row.push(along);
        }
        let left = dot(column, column).sqrt();
        let length = if left > NOTHING * whole { left } else { 0.0 };
        let scale = if length > 0.0 { length.recip() } else { 0.0 };
        for value in column.iter_mut() {
            *value *= scale;
        }
        row.push(length);
        triangle.push(row);
    }
    triangle
}

#[cfg(test)]
mod tests {
    use super::triangle;

    #[test]
    fn a_triangle_keeps_all_products_of_columns() {
        // The third column is the sum of the first two, the fourth is nothing.
        let first: Vec<f64> = (0..9).map(|i| f64::from(i * i % 7) - 3.0).collect();
        let second: Vec<f64> = (0..9).map(|i| 1.0 / f64::from(i + 1)).collect();
        let third = first.iter().zip(&second).map(|(a, b)| a + b).collect();
        let columns = [first, second, third, vec![0.0; 9], vec![1.0; 9]];
        let triangle = triangle(columns.to_vec());
        for (i, a) in columns.iter().enumerate() {
            assert_eq!(triangle[i].len(), i + 1);
            for (j, b) in columns.iter().enumerate() {
                let whole: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                let ours: f64 = triangle[i].iter().zip(&triangle[j]).map(|(a, b)| a * b).sum();
                assert!((whole - ours).abs() < 1e-12, "{i}, {j}: {whole}, {ours}");
            }
        }
    }
}
