//! Linear prediction: fitted to a block, rounded to integers, and what it leaves over.
//!
//! Source: RFC 9639, sections 9.2.5 and 9.2.6; Levinson and Durbin's recursion.

/// Samples that a fitted predictor looks back; the reference encoder's usual choice.
const ORDER: usize = 8;

/// Bits of each rounded coefficient, sign included.
pub(super) const PRECISION: u32 = 14;

/// Integer coefficients, the latest sample's first, and the right shift that undoes their scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Predictor {
    pub(super) coefficients: Vec<i32>,
    pub(super) shift: u32,
}

/// Differences of order 0 to 4; none where one does not fit into 32 bits.
pub(super) fn fixed(samples: &[i32], order: usize) -> Option<Vec<i32>> {
    let weights: &[i64] = match order {
        0 => &[],
        1 => &[1],
        2 => &[2, -1],
        3 => &[3, -3, 1],
        _ => &[4, -6, 4, -1],
    };
    left_over(samples, weights, 0)
}

/// A predictor for this block, and what it leaves over. None for blocks that are too short or too even.
pub(super) fn fitted(samples: &[i32]) -> Option<(Predictor, Vec<i32>)> {
    if samples.len() < 4 * ORDER {
        return None;
    }
    let predictor = rounded(&recursion(&correlation(samples))?)?;
    let weights: Vec<i64> = predictor.coefficients.iter().map(|weight| i64::from(*weight)).collect();
    let residual = left_over(samples, &weights, predictor.shift)?;
    Some((predictor, residual))
}

fn left_over(samples: &[i32], weights: &[i64], shift: u32) -> Option<Vec<i32>> {
    let order = weights.len();
    (order..samples.len())
        .map(|i| {
            let past = samples[i - order..i].iter().rev();
            let guess: i64 = past.zip(weights).map(|(sample, weight)| i64::from(*sample) * weight).sum();
            let rest = i64::from(samples[i]) - (guess >> shift);
            // One bit below the limit, so that folding the sign in still fits.
            i32::try_from(rest).ok().filter(|rest| rest.unsigned_abs() < 1 << 30)
        })
        .collect()
}

/// Autocorrelation at lags 0 to `ORDER` under a Welch window.
fn correlation(samples: &[i32]) -> [f64; ORDER + 1] {
    let middle = (samples.len() - 1) as f64 / 2.0;
    let windowed: Vec<f64> = samples
        .iter()
        .enumerate()
        .map(|(i, sample)| {
            let x = (i as f64 - middle) / (middle + 1.0);
            f64::from(*sample) * (1.0 - x * x)
        })
        .collect();
    std::array::from_fn(|lag| windowed[lag..].iter().zip(&windowed).map(|(a, b)| a * b).sum())
}

/// Coefficients from the autocorrelation; none where a lower order predicts perfectly.
fn recursion(correlation: &[f64; ORDER + 1]) -> Option<[f64; ORDER]> {
    let mut weights = [0.0; ORDER];
    let mut error = correlation[0];
    for i in 0..ORDER {
        if error <= 0.0 {
            return None;
        }
        let known: f64 = (0..i).map(|j| weights[j] * correlation[i - j]).sum();
        let reflection = (correlation[i + 1] - known) / error;
        let before = weights;
        weights[i] = reflection;
        for j in 0..i {
            weights[j] = before[j] - reflection * before[i - 1 - j];
        }
        error *= 1.0 - reflection * reflection;
    }
    Some(weights)
}

/// Rounds to `PRECISION` bits; each rounding error is carried into the next coefficient.
fn rounded(weights: &[f64; ORDER]) -> Option<Predictor> {
    let largest = weights.iter().fold(0.0_f64, |largest, weight| largest.max(weight.abs()));
    if !largest.is_normal() {
        return None;
    }
    let limit = 1_i32 << (PRECISION - 1);
    let shift = (PRECISION as i32 - 2 - largest.log2().floor() as i32).clamp(0, 15);
    let mut carried = 0.0;
    let coefficients = weights
        .iter()
        .map(|weight| {
            let exact = weight * f64::from(1 << shift) + carried;
            let whole = (exact.round() as i32).clamp(-limit, limit - 1);
            carried = exact - f64::from(whole);
            whole
        })
        .collect();
    Some(Predictor { coefficients, shift: shift as u32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_leaves_almost_nothing_over() {
        let samples: Vec<i32> =
            (0..4096).map(|i| (f64::from(i).mul_add(0.05, 0.3).sin() * 8e6) as i32).collect();
        let (_, residual) = fitted(&samples).unwrap();
        assert!(residual.iter().all(|rest| rest.abs() < 20_000), "{:?}", residual.iter().max());
        assert_eq!(fixed(&[5, 6, 8, 11], 1).unwrap(), [1, 2, 3]);
        assert_eq!(fixed(&[5, 6, 8, 11], 2).unwrap(), [1, 1]);
    }

    #[test]
    fn blocks_without_information_get_no_predictor() {
        assert_eq!(fitted(&[0; 4096]), None);
        assert_eq!(fitted(&[7; 10]), None);
    }
}
