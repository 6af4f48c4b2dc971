use crate::Block;

/// Where decoded audio ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With the last packet.
    Open,
    /// After this many frames that are kept.
    After(usize),
    /// This many frames before the last one, but only if `decoded` frames came in all: otherwise the header
    /// that says so belongs to another file, or the file is cut.
    Before { padding: usize, decoded: usize },
}

/// Takes the encoder's delay and padding off a stream of blocks.
#[derive(Debug)]
pub(super) struct Trim {
    skip: usize,
    end: End,
    decoded: usize,
    kept: usize,
    /// Frames that are padding if the stream ends now.
    held: Block,
}

impl Trim {
    /// Drops `skip` frames at the start and those beyond `end`.
    pub(super) fn new(skip: usize, end: End) -> Self {
        Self { skip, end, decoded: 0, kept: 0, held: Block::new() }
    }

    /// Planes of equal length in, what is certain to be kept out (possibly nothing).
    pub(super) fn push(&mut self, mut block: Block) -> Block {
        let frames = block.first().map_or(0, Vec::len);
        self.decoded += frames;
        let skip = self.skip.min(frames);
        self.skip -= skip;
        for plane in &mut block {
            plane.drain(..skip);
        }
        match self.end {
            End::Open => {}
            End::After(limit) => {
                for plane in &mut block {
                    plane.truncate(limit - self.kept);
                }
            }
            End::Before { padding, .. } => block = self.hold(block, padding),
        }
        self.kept += block.first().map_or(0, Vec::len);
        block
    }

    /// What was held back and turns out to be music.
    pub(super) fn finish(&mut self) -> Block {
        match self.end {
            End::Before { decoded, .. } if decoded == self.decoded => Block::new(),
            _ => std::mem::take(&mut self.held),
        }
    }

    /// True when nothing more will be kept.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.end, End::After(limit) if self.kept >= limit)
    }

    fn hold(&mut self, block: Block, padding: usize) -> Block {
        self.held.resize(block.len(), Vec::new());
        self.held
            .iter_mut()
            .zip(block)
            .map(|(held, plane)| {
                held.extend(plane);
                let free = held.len().saturating_sub(padding);
                held.drain(..free).collect()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mut trim: Trim, block: usize, total: usize) -> Vec<f32> {
        let samples: Vec<f32> = (0..total).map(|i| i as f32).collect();
        let mut out = Vec::new();
        for part in samples.chunks(block) {
            out.extend(trim.push(vec![part.to_vec()]).remove(0));
        }
        out.extend(trim.finish().into_iter().flatten());
        out
    }

    #[test]
    fn padding_is_dropped_only_from_a_complete_stream() {
        for block in [1, 3, 7, 100] {
            let end = End::Before { padding: 5, decoded: 20 };
            assert_eq!(run(Trim::new(4, end), block, 20), (4..15).map(|i| i as f32).collect::<Vec<_>>());
            assert_eq!(run(Trim::new(4, end), block, 19).len(), 15);
            assert_eq!(run(Trim::new(4, End::After(6)), block, 20), [4., 5., 6., 7., 8., 9.]);
            assert_eq!(run(Trim::new(4, End::Open), block, 20).len(), 16);
            assert_eq!(run(Trim::new(30, End::Open), block, 20).len(), 0);
        }
    }
}
