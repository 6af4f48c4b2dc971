//! Where the tokens of a branch lie.

use super::simd::LANES;

/// Channels rounded up to whole vectors; those behind are always zeros.
pub(super) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

/// Rows of frequency, each a run of tokens between `margin` tokens of zeros: `[rows, margin + tokens + margin, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) rows: usize,
    pub(super) tokens: usize,
    pub(super) width: usize,
    pub(super) margin: usize,
}

impl Grid {
    /// Floats of all.
    pub(super) fn len(&self) -> usize {
        self.rows * self.row_len()
    }

    /// Floats of a row with its margins.
    pub(super) fn row_len(&self) -> usize {
        (self.tokens + 2 * self.margin) * self.width
    }

    /// Where the first token of a row lies.
    pub(super) fn start(&self, row: usize) -> usize {
        row * self.row_len() + self.inner()
    }

    /// Where the first token lies inside its row.
    pub(super) fn inner(&self) -> usize {
        self.margin * self.width
    }
}

/// A run of tokens with zeros around: `[before + tokens + after, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) tokens: usize,
    pub(super) width: usize,
    pub(super) before: usize,
    pub(super) after: usize,
}

impl Line {
    /// Floats of all.
    pub(super) fn len(&self) -> usize {
        (self.before + self.tokens + self.after) * self.width
    }

    /// Where the first token lies.
    pub(super) fn start(&self) -> usize {
        self.before * self.width
    }

    /// The tokens without what is around.
    pub(super) fn inner<'a>(&self, values: &'a mut [f32]) -> &'a mut [f32] {
        &mut values[self.before * self.width..][..self.tokens * self.width]
    }

    /// Makes what is around zeros again.
    pub(super) fn clear_margins(&self, values: &mut [f32]) {
        values[..self.start()].fill(0.0);
        values[self.start() + self.tokens * self.width..self.len()].fill(0.0);
    }

    /// Tokens that one task takes: about a quarter of a second-level cache of them, whole tiles.
    pub(super) fn block(&self) -> usize {
        const FLOATS: usize = 1 << 16;
        const TILE: usize = 24;
        (FLOATS / self.width).next_multiple_of(TILE)
    }
}
