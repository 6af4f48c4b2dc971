//! Where the values of a segment lie on the card.

use super::arguments::Layout;

/// Channels rounded up to what a product takes at a time; those behind are always zeros.
pub(super) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(RUN)
}

/// Elements of a run.
pub(super) const RUN: usize = 16;

/// Rows of tokens, and as many rows and tokens of zeros around them as what reads them needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) tokens: usize,
    pub(super) width: usize,
    pub(super) margin_rows: usize,
    pub(super) margin_tokens: usize,
}

impl Shape {
    /// Tokens without anything around.
    pub(super) fn dense(rows: usize, tokens: usize, width: usize) -> Self {
        Self { rows, tokens, width, margin_rows: 0, margin_tokens: 0 }
    }

    /// Elements of a row with its margins.
    pub(super) fn row(&self) -> usize {
        (self.tokens + 2 * self.margin_tokens) * self.width
    }

    /// Elements of a segment. Those of all segments begin at addresses that suit the widest loads.
    pub(super) fn len(&self) -> usize {
        let len = (self.rows + 2 * self.margin_rows) * self.row();
        if self.margin_rows + self.margin_tokens == 0 { len } else { len.next_multiple_of(64) }
    }

    /// Tokens of a segment.
    pub(super) fn count(&self) -> usize {
        self.rows * self.tokens
    }

    pub(super) fn layout(&self) -> Layout {
        Layout {
            start: (self.margin_rows * self.row() + self.margin_tokens * self.width) as i64,
            batch: self.len() as i64,
            row: self.row() as i64,
            token: self.width as i64,
            rows: self.rows as i32,
            tokens: self.tokens as i32,
        }
    }
}

/// A buffer of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) address: u64,
    pub(super) shape: Shape,
}

impl Place {
    pub(super) fn view(&self) -> View {
        View { address: self.address, layout: self.shape.layout() }
    }
}

/// Tokens of a buffer, or of a part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) address: u64,
    pub(super) layout: Layout,
}

impl View {
    /// Every `stride`-th of so many rows or tokens, or all.
    pub(super) fn strided(mut self, rows: (usize, usize), tokens: (usize, usize)) -> Self {
        self.layout.row *= rows.1 as i64;
        self.layout.token *= tokens.1 as i64;
        self.layout.rows = rows.0 as i32;
        self.layout.tokens = tokens.0 as i32;
        self
    }
}

/// Tokens of one buffer as a single row: what comes behind a linear map does not know of rows.
pub(super) fn flat(place: &Place) -> View {
    Place { shape: Shape::dense(1, place.shape.count(), place.shape.width), ..*place }.view()
}
