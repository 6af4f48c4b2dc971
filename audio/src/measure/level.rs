/// Largest absolute sample.
#[must_use]
pub fn peak(block: &[Vec<f32>]) -> f32 {
    let mut level = Level::default();
    level.add(block);
    level.peak()
}

/// Root of the mean square over all channels; 0 for no samples.
#[must_use]
pub fn rms(block: &[Vec<f32>]) -> f64 {
    let mut level = Level::default();
    level.add(block);
    level.rms()
}

/// [`peak`] and [`rms`] over a stream of blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Level {
    peak: f32,
    energy: f64,
    samples: u64,
}

impl Level {
    /// Adds a block.
    pub fn add(&mut self, block: &[Vec<f32>]) {
        for sample in block.iter().flatten() {
            self.peak = self.peak.max(sample.abs());
            self.energy += f64::from(*sample) * f64::from(*sample);
            self.samples += 1;
        }
    }

    /// Largest absolute sample so far.
    #[must_use]
    pub fn peak(&self) -> f32 {
        self.peak
    }

    /// Root of the mean square so far.
    #[must_use]
    pub fn rms(&self) -> f64 {
        if self.samples == 0 { 0.0 } else { (self.energy / self.samples as f64).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_match_their_definitions() {
        let block = [vec![1.0, -1.0], vec![0.5, 0.5]];
        assert!((rms(&block) - (2.5f64 / 4.0).sqrt()).abs() < 1e-9);
        assert_eq!((peak(&block), rms(&[])), (1.0, 0.0));
    }
}
