use super::{Difference, Lag, Level, lag};
use crate::Block;

/// Frames of the part in which the lag is looked for: 6 s at 44.1 kHz, many times the largest lag that codecs cause.
const WINDOW_FRAMES: usize = 1 << 18;

/// Compares an estimate with its reference while both stream by: [`Difference`] over all of it, and the lag in
/// its loudest part.
///
/// Memory: 4 windows of 6 s of each channel, whatever the length.
#[derive(Debug, Default)]
pub struct Comparison {
    difference: Difference,
    frames: usize,
    now: Window,
    loudest: Window,
}

/// A part of both signals.
#[derive(Debug, Default)]
struct Window {
    reference: Block,
    estimate: Block,
    rms: f64,
}

impl Comparison {
    /// Adds two blocks that belong together. What lies beyond the shorter one is left out.
    pub fn add(&mut self, reference: &[Vec<f32>], estimate: &[Vec<f32>]) {
        let frames = length(reference).min(length(estimate));
        self.frames += frames;
        for start in (0..frames).step_by(WINDOW_FRAMES) {
            let cut = |block: &[Vec<f32>]| -> Block {
                block.iter().map(|plane| plane[start..frames.min(start + WINDOW_FRAMES)].to_vec()).collect()
            };
            let (reference, estimate) = (cut(reference), cut(estimate));
            self.difference.add(&reference, &estimate);
            append(&mut self.now.reference, reference);
            append(&mut self.now.estimate, estimate);
            if length(&self.now.reference) >= WINDOW_FRAMES {
                self.turn();
            }
        }
    }

    /// Frames compared so far.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// How much they differ so far.
    #[must_use]
    pub fn difference(&self) -> &Difference {
        &self.difference
    }

    /// The lag within `max_lag` frames either way in the loudest part, by the channel of the reference that is
    /// loudest there. None where one of the signals is silent there.
    #[must_use]
    pub fn lag(&mut self, max_lag: usize) -> Option<Lag> {
        self.turn();
        let planes = self.loudest.reference.iter().zip(&self.loudest.estimate);
        let (reference, estimate) = planes.max_by(|(a, _), (b, _)| loudness(a).total_cmp(&loudness(b)))?;
        lag(reference, estimate, max_lag)
    }

    /// Ends a window; keeps it if it is the loudest.
    fn turn(&mut self) {
        let mut window = std::mem::take(&mut self.now);
        window.rms = super::rms(&window.reference);
        // The last one may be too short to tell anything, however loud it is.
        let long = length(&window.reference).saturating_mul(2) >= length(&self.loudest.reference);
        if long && (window.rms > self.loudest.rms || self.loudest.reference.is_empty()) {
            self.loudest = window;
        }
    }
}

fn length(block: &[Vec<f32>]) -> usize {
    block.first().map_or(0, Vec::len)
}

fn append(planes: &mut Block, more: Block) {
    planes.resize_with(more.len().max(planes.len()), Vec::new);
    planes.iter_mut().zip(more).for_each(|(plane, more)| plane.extend(more));
}

fn loudness(plane: &[f32]) -> f64 {
    let mut level = Level::default();
    level.add(&[plane.to_vec()]);
    level.rms()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hiss with a loudness that is 0 outside of `sound`, from `late` frames ago.
    fn hiss(frames: usize, sound: std::ops::Range<usize>, late: usize) -> Vec<f32> {
        let sample = |i: usize| {
            let mut state = i as u32;
            for _ in 0..3 {
                state = (state ^ 0x9e37_79b9).wrapping_mul(0x85eb_ca6b).rotate_left(13);
            }
            if sound.contains(&i) { (state >> 8) as f32 / (1 << 25) as f32 - 0.25 } else { 0.0 }
        };
        (0..frames).map(|i| i.checked_sub(late).map_or(0.0, sample)).collect()
    }

    fn compared(reference: &[Vec<f32>], estimate: &[Vec<f32>], step: usize) -> Comparison {
        let mut comparison = Comparison::default();
        let frames = length(reference).min(length(estimate));
        for start in (0..frames).step_by(step) {
            let cut = |block: &[Vec<f32>]| -> Block {
                block.iter().map(|plane| plane[start..frames.min(start + step)].to_vec()).collect()
            };
            comparison.add(&cut(reference), &cut(estimate));
        }
        comparison
    }

    #[test]
    fn the_lag_is_found_where_there_is_sound_on_either_side() {
        // Two windows of silence come first, and the left side stays silent.
        let (frames, sound) = (3 * WINDOW_FRAMES, 2 * WINDOW_FRAMES + 1000..3 * WINDOW_FRAMES - 5000);
        let silence = vec![0.0; frames];
        let reference = [silence.clone(), hiss(frames, sound.clone(), 0)];
        for (late, step) in [(0, 65_536), (1105, 1_000_000), (7, 9_999)] {
            let estimate = [silence.clone(), hiss(frames, sound.clone(), late)];
            let mut comparison = compared(&reference, &estimate, step);
            assert_eq!(comparison.lag(4096).unwrap().frames, late as isize);
            assert_eq!(comparison.frames(), frames);
        }
    }

    #[test]
    fn the_size_of_the_blocks_does_not_matter() {
        let frames = 500_000;
        let (a, b) = ([hiss(frames, 0..frames, 0)], [hiss(frames, 0..frames, 3)]);
        let (one, other) = (compared(&a, &b, 500_000), compared(&a, &b, 4_321));
        assert!((one.difference().sdr_db() - other.difference().sdr_db()).abs() < 1e-9);
        assert_eq!(one.difference().max(), other.difference().max());
    }

    #[test]
    fn a_short_end_does_not_decide_and_silence_has_no_lag() {
        let frames = WINDOW_FRAMES + 10;
        let mut reference = hiss(frames, 0..frames, 0);
        reference[WINDOW_FRAMES..].fill(1.0);
        let mut comparison = compared(&[reference.clone()], &[reference], frames);
        assert_eq!(comparison.lag(100).unwrap().frames, 0);
        assert_eq!(compared(&[vec![0.0; 500]], &[vec![0.0; 500]], 100).lag(100), None);
        assert_eq!(Comparison::default().lag(100), None);
        assert_eq!(compared(&[vec![0.3; 5]], &[vec![0.3; 5]], 5).lag(4096).unwrap().frames, 0);
    }
}
