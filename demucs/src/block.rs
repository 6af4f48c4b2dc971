//! Stretches of stems on their way out, and their memory, which serves again and again.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// A stretch of a stem: left and right channel, of one length.
///
/// Clones share the samples. When the last one is dropped, on whatever thread, their memory serves a later block.
#[derive(Debug, Clone)]
pub struct Block(Arc<Lent>);

#[derive(Debug)]
struct Lent {
    channels: [Vec<f32>; 2],
    shelf: Shelf,
}

/// Memory of blocks that nobody has: as much of it as is worth keeping, so that the next ones need none of the system.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    free: Arc<Mutex<Vec<[Vec<f32>; 2]>>>,
    /// Blocks that are worth keeping.
    most: usize,
}

impl Shelf {
    /// One that keeps the memory of `most` blocks.
    pub(crate) fn new(most: usize) -> Self {
        Self { free: Arc::default(), most }
    }

    /// Channels of `frames` frames, with any samples.
    pub(crate) fn take(&self, frames: usize) -> [Vec<f32>; 2] {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut channels = free.unwrap_or_default();
        for channel in &mut channels {
            channel.resize(frames, 0.0);
        }
        channels
    }

    /// A block whose memory comes back here.
    pub(crate) fn lend(&self, channels: [Vec<f32>; 2]) -> Block {
        Block(Arc::new(Lent { channels, shelf: self.clone() }))
    }

    fn put(&self, channels: [Vec<f32>; 2]) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.most {
            free.push(channels);
        }
    }
}

impl Deref for Block {
    type Target = [Vec<f32>; 2];

    fn deref(&self) -> &Self::Target {
        &self.0.channels
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.shelf.put(std::mem::take(&mut self.channels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_block_serves_the_next_one_when_nobody_has_it_any_more() {
        let shelf = Shelf::new(1);
        let block = shelf.lend(shelf.take(100));
        let (place, twin) = (block[0].as_ptr(), block.clone());
        drop(block);
        let other = shelf.lend(shelf.take(100));
        assert!(other[0].as_ptr() != place, "somebody has the first one");
        drop(twin);
        assert_eq!(shelf.take(50)[0].as_ptr(), place);
    }

    #[test]
    fn no_more_memory_is_kept_than_is_worth_it() {
        let shelf = Shelf::new(2);
        let blocks: Vec<Block> = (0..5).map(|_| shelf.lend(shelf.take(10))).collect();
        drop(blocks);
        assert_eq!(shelf.free.lock().unwrap().len(), 2);
    }
}
