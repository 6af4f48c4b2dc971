//! Memory that tasks borrow while they run.

use std::sync::{Mutex, PoisonError};

use super::buffer::Buffer;

/// What one task needs beside its input and output.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// A row of frequency between its margins.
    pub(super) row: Buffer,
    /// Two rows of frequency in the form of their convolution.
    pub(super) form: Buffer,
    /// Hidden channels of a `DConv`.
    pub(super) hidden: Buffer,
    /// Gated channels of a `DConv`.
    pub(super) gated: Buffer,
    /// Tokens behind a norm.
    pub(super) normal: Buffer,
    /// What a block of tokens attended to, or its keys.
    pub(super) attended: Buffer,
    /// The transformer's hidden channels.
    pub(super) wide: Buffer,
    /// Scores of attention.
    pub(super) scores: Buffer,
    /// Factors and summands of a norm.
    pub(super) norm: [Vec<f32>; 2],
}

/// Scratch for as many tasks as ever ran at once.
#[derive(Debug, Default)]
pub(super) struct Pool<T = Scratch> {
    free: Mutex<Vec<Box<T>>>,
}

impl<T: Default> Pool<T> {
    /// Lends one to `task`.
    pub(super) fn with<R>(&self, task: impl FnOnce(&mut T) -> R) -> R {
        self.with_or(T::default, task)
    }
}

impl<T> Pool<T> {
    /// One of which there are none yet.
    pub(super) fn new() -> Self {
        Self { free: Mutex::new(Vec::new()) }
    }

    /// Lends one to `task`, made by `make` where all are lent.
    pub(super) fn with_or<R>(&self, make: impl FnOnce() -> T, task: impl FnOnce(&mut T) -> R) -> R {
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let lent = free().pop();
        let mut lent = lent.unwrap_or_else(|| Box::new(make()));
        let result = task(&mut lent);
        free().push(lent);
        result
    }
}
