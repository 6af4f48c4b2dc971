//! Memory that begins on a cache line.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// A cache line of floats.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; FLOATS]);

const FLOATS: usize = 16;

/// Floats from the beginning of a cache line on.
#[derive(Clone, Default)]
pub(super) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// So many zeros.
    pub(super) fn zeros(len: usize) -> Self {
        Self { lines: vec![Line([0.0; FLOATS]); len.div_ceil(FLOATS)], len }
    }

    /// These floats, and zeros up to `len`.
    pub(super) fn padded(values: &[f32], len: usize) -> Self {
        let mut buffer = Self::zeros(len.max(values.len()));
        buffer[..values.len()].copy_from_slice(values);
        buffer
    }

    /// Room for `len` floats at least, whose values are any that were there before.
    pub(super) fn at_least(&mut self, len: usize) -> &mut [f32] {
        if self.len < len {
            *self = Self::zeros(len);
        }
        &mut self[..len]
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a line is sixteen floats without gaps, and there are enough lines for `len` of them.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; the lines are borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} floats)", self.len)
    }
}
