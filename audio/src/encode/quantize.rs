//! Floats to integers: scaled by `2^(bits - 1)`, rounded to nearest even, clamped; no dither.

/// Turns samples into integers of one width and counts those beyond full scale.
#[derive(Debug)]
pub(super) struct Quantizer {
    scale: f32,
    min: f32,
    max: f32,
    clipped: u64,
}

impl Quantizer {
    /// For integers of `bits` bits, at most 24: they are exact in a float.
    pub(super) fn new(bits: u32) -> Self {
        let scale = (1u32 << (bits - 1)) as f32;
        Self { scale, min: -scale, max: scale - 1.0, clipped: 0 }
    }

    /// What is not a number becomes 0.
    pub(super) fn quantize(&mut self, sample: f32) -> i32 {
        self.clipped += u64::from(sample.abs() > 1.0);
        (sample * self.scale).round_ties_even().clamp(self.min, self.max) as i32
    }

    pub(super) fn clipped(&self) -> u64 {
        self.clipped
    }
}

#[cfg(test)]
mod tests {
    use super::Quantizer;

    #[test]
    fn values_on_the_grid_survive_and_others_round_to_even() {
        for bits in [16, 24] {
            let mut quantizer = Quantizer::new(bits);
            let scale = (1u32 << (bits - 1)) as f32;
            for value in [-scale as i32, -3, 0, 1, 77, scale as i32 - 1] {
                assert_eq!(quantizer.quantize(value as f32 / scale), value);
            }
            assert_eq!(quantizer.quantize(2.5 / scale), 2);
            assert_eq!(quantizer.quantize(-1.5 / scale), -2);
            assert_eq!(quantizer.quantize(1.0), scale as i32 - 1);
            assert_eq!(quantizer.clipped(), 0);
            assert_eq!(quantizer.quantize(f32::INFINITY), scale as i32 - 1);
            assert_eq!(quantizer.quantize(-1.5), -scale as i32);
            assert_eq!(quantizer.quantize(f32::NAN), 0);
            assert_eq!(quantizer.clipped(), 2);
        }
    }
}
