/// Lowest and highest samples of equal parts of a recording, over all channels: what is drawn of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    frames: usize,
    /// Frames that came so far.
    at: usize,
    /// The part that they end in.
    part: usize,
    parts: Vec<[f32; 2]>,
}

impl Waveform {
    /// Of a recording of `frames` frames, in so many parts, or in one for each frame where it has fewer.
    #[must_use]
    pub fn new(frames: usize, parts: usize) -> Self {
        Self { frames, at: 0, part: 0, parts: vec![[0.0; 2]; parts.min(frames)] }
    }

    /// Takes the next block, `[channels][frames]`. What comes beyond the end is not counted.
    pub fn add(&mut self, block: &[Vec<f32>]) {
        let frames = block.first().map_or(0, Vec::len);
        let (mut from, count) = (0, self.parts.len());
        while from < frames && self.part < count {
            let end = (self.part + 1) * self.frames / count;
            let to = frames.min(from + end - self.at);
            let [low, high] = &mut self.parts[self.part];
            for sample in block.iter().flat_map(|channel| &channel[from..to]) {
                *low = low.min(*sample);
                *high = high.max(*sample);
            }
            self.at += to - from;
            self.part += usize::from(self.at == end);
            from = to;
        }
    }

    /// Lowest and highest sample of each part; 0 is always between them.
    #[must_use]
    pub fn parts(&self) -> &[[f32; 2]] {
        &self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_samples_however_they_come() {
        let channels: [Vec<f32>; 2] = [vec![0.0, -1.0, 0.25, 0.0, 0.9], vec![0.5, 0.0, 0.25, -0.25, 0.0]];
        for cut in 1..=5 {
            let mut waveform = Waveform::new(5, 2);
            for from in (0..5).step_by(cut) {
                let to = 5.min(from + cut);
                waveform.add(&channels.clone().map(|channel| channel[from..to].to_vec()));
            }
            assert_eq!(waveform.parts(), [[-1.0, 0.5], [-0.25, 0.9]], "{cut}");
        }
    }

    #[test]
    fn a_recording_shorter_than_its_parts_has_one_for_each_frame() {
        let mut waveform = Waveform::new(2, 100);
        waveform.add(&[vec![0.5, -0.5, 1.0]]);
        assert_eq!(waveform.parts(), [[0.0, 0.5], [-0.5, 0.0]]);
        let mut nothing = Waveform::new(0, 100);
        nothing.add(&[vec![1.0]]);
        assert!(nothing.parts().is_empty());
    }
}
