//! Sinusoidal position embeddings of the transformer.

use candle_core::{Device, Result, Tensor};

/// Positions of a sequence: `[1, t, c]`, cosines in the first half of the channels.
///
/// Source: demucs `transformer.py`, `create_sin_embedding`.
pub(crate) fn sequence(t: usize, c: usize, max_period: f64, device: &Device) -> Result<Tensor> {
    let half = c / 2;
    let mut values = vec![0f32; t * c];
    for (position, row) in values.chunks_exact_mut(c).enumerate() {
        for i in 0..half {
            // In single precision, as the networks were trained: phases reach 1,343 radians, where
            // an exact table differs from the trained one by 1e-4.
            let phase = position as f32 / (max_period as f32).powf(i as f32 / (half - 1) as f32);
            row[i] = phase.cos();
            row[half + i] = phase.sin();
        }
    }
    Tensor::from_vec(values, (1, t, c), device)
}

/// Positions of a grid walked bins first: `[1, t * f, c]`, the first half of the channels for
/// time, the second for frequency, sine and cosine alternating.
///
/// Source: demucs `transformer.py`, `create_2d_sin_embedding` (its width is our time).
pub(crate) fn grid(f: usize, t: usize, c: usize, max_period: f64, device: &Device) -> Result<Tensor> {
    let half = c / 2;
    let mut values = vec![0f32; t * f * c];
    for (token, row) in values.chunks_exact_mut(c).enumerate() {
        let (frame, bin) = (token / f, token % f);
        for i in (0..half).step_by(2) {
            let rate = (-(i as f64) * max_period.ln() / half as f64).exp();
            for (offset, position) in [(0, frame), (half, bin)] {
                let phase = position as f64 * rate;
                row[offset + i] = phase.sin() as f32;
                row[offset + i + 1] = phase.cos() as f32;
            }
        }
    }
    Tensor::from_vec(values, (1, t * f, c), device)
}
