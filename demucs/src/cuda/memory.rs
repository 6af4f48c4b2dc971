//! Memory of a card, and that of the host which a card reaches.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::slice;

use half::f16;

use super::card::Card;
use crate::error::{Error, Result};

/// What can be copied to a card and back.
///
/// # Safety
/// It has no padding, and any bits are a value of it.
pub unsafe trait Value: Copy + Send + Sync + 'static {}

// SAFETY: plain numbers.
unsafe impl Value for u8 {}
// SAFETY: plain numbers.
unsafe impl Value for i32 {}
// SAFETY: plain numbers.
unsafe impl Value for f16 {}
// SAFETY: plain numbers.
unsafe impl Value for f32 {}
// SAFETY: plain numbers.
unsafe impl Value for f64 {}

/// Memory of a card, which is given back when this is dropped.
#[derive(Debug)]
pub struct Memory {
    card: Card,
    address: u64,
    bytes: usize,
}

impl Memory {
    pub(super) fn zeroed(card: &Card, bytes: usize) -> Result<Self> {
        Ok(Self { card: card.clone(), address: card.driver.allocate(bytes)?, bytes })
    }

    /// Where it begins, for the arguments of a kernel: a multiple of 256.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How much it is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The address behind `offset` bytes, where at least `bytes` are left.
    pub(super) fn part(&self, card: &Card, offset: usize, bytes: usize) -> u64 {
        assert!(self.card.is(card), "memory of another card");
        assert!(
            offset <= self.bytes && bytes <= self.bytes - offset,
            "{bytes} bytes behind {offset} of {}",
            self.bytes
        );
        self.address + offset as u64
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was allocated there, and whoever knows the address uses it no longer than this lives.
        unsafe { self.card.driver.free(self.address, self.bytes) }
    }
}

/// Memory of a card as long as there are bytes that may be taken.
#[derive(Debug)]
pub(super) struct Budget {
    card: Card,
    left: usize,
}

impl Budget {
    /// So many bytes; none is all that the card has.
    pub(super) fn new(card: &Card, bytes: Option<usize>) -> Self {
        Self { card: card.clone(), left: bytes.unwrap_or(usize::MAX) }
    }

    pub(super) fn card(&self) -> &Card {
        &self.card
    }

    pub(super) fn zeroed(&mut self, bytes: usize) -> Result<Memory> {
        let beyond = || Error::OutOfMemory(format!("{bytes} more bytes of what it may take"));
        self.left = self.left.checked_sub(bytes).ok_or_else(beyond)?;
        self.card.zeroed(bytes)
    }
}

/// Values in memory of the host that stays where it is, so that a card copies them while this processor computes.
#[derive(Debug)]
pub struct Pinned<T: Value> {
    card: Card,
    address: *mut c_void,
    len: usize,
    values: PhantomData<T>,
}

// SAFETY: it has the values alone, and any thread may give them back.
unsafe impl<T: Value> Send for Pinned<T> {}
// SAFETY: as of a `Vec`.
unsafe impl<T: Value> Sync for Pinned<T> {}

impl<T: Value> Pinned<T> {
    pub(super) fn zeroed(card: &Card, len: usize) -> Result<Self> {
        let bytes = len.checked_mul(size_of::<T>());
        let bytes = bytes.ok_or_else(|| Error::OutOfMemory(format!("{len} pinned values")))?;
        let address = card.driver.allocate_pinned(bytes)?;
        Ok(Self { card: card.clone(), address, len, values: PhantomData })
    }

    pub(super) fn address(&self) -> *mut c_void {
        self.address
    }
}

impl<T: Value> Deref for Pinned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: there are so many, zeroed at first, aligned to a page.
        unsafe { slice::from_raw_parts(self.address.cast(), self.len) }
    }
}

impl<T: Value> DerefMut for Pinned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: there are so many, zeroed at first, aligned to a page; while a card copies them, `Copying` has them.
        unsafe { slice::from_raw_parts_mut(self.address.cast(), self.len) }
    }
}

impl<T: Value> Drop for Pinned<T> {
    fn drop(&mut self) {
        // SAFETY: it was allocated there, with this length.
        unsafe { self.card.driver.free_pinned(self.address, self.len * size_of::<T>()) }
    }
}
