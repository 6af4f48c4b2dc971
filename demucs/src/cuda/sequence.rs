//! Launches that follow each other.

use std::borrow::Cow;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use super::arguments::Arguments;
use super::card::Card;
use super::driver::{Handle, Kernel};
use crate::error::Result;

/// One launch of a kernel. It has as many threads for each block as its source says.
#[derive(Debug)]
pub struct Launch {
    /// The kernel's name.
    pub kernel: Cow<'static, str>,
    /// Blocks.
    pub grid: [u32; 3],
    /// Bytes of shared memory of a block.
    pub shared: u32,
    /// What it is given.
    pub args: Box<dyn Arguments>,
}

#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) kernel: Kernel,
    pub(super) launch: Launch,
}

impl Prepared {
    pub(super) fn args(&self) -> *const c_void {
        (&raw const *self.launch.args).cast()
    }
}

/// Launches one after the other, each of which sees what those before it wrote.
#[derive(Debug)]
pub struct Sequence {
    card: Card,
    launches: Vec<Prepared>,
    /// A driver does not take one recording from two threads at a time.
    recording: Mutex<Option<Handle>>,
}

impl Sequence {
    pub(super) fn new(card: &Card, launches: Vec<Prepared>) -> Self {
        Self { card: card.clone(), launches, recording: Mutex::new(None) }
    }

    /// Records it: from now on the card gets all of it at once, if it takes recordings.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where it fails, and [`crate::Error::OutOfMemory`].
    pub fn record(&mut self) -> Result<()> {
        let recording = self.recording.get_mut().unwrap_or_else(PoisonError::into_inner);
        if recording.is_none() {
            // SAFETY: whoever made it answers for the launches.
            *recording = unsafe { self.card.driver.record(&self.launches)? };
        }
        Ok(())
    }

    /// Names of the kernels, in order.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.launches.iter().map(|prepared| &*prepared.launch.kernel)
    }

    pub(super) fn run(&self, card: &Card, stream: Handle) -> Result<()> {
        assert!(self.card.is(card), "a sequence of another card");
        let recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        match *recording {
            // SAFETY: a stream of this driver; whoever made the sequence answers for its launches.
            Some(recording) => unsafe { self.card.driver.replay(stream, recording) },
            None => self.launch_each(card, stream, || Ok(())),
        }
    }

    /// Launch by launch, even where it was recorded; `launched` is called behind each.
    pub(super) fn launch_each(
        &self,
        card: &Card,
        stream: Handle,
        mut launched: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        assert!(self.card.is(card), "a sequence of another card");
        self.launches.iter().try_for_each(|launch| {
            // SAFETY: a stream of this driver; whoever made the sequence answers for its launches.
            unsafe { self.card.driver.launch(stream, launch)? };
            launched()
        })
    }
}

impl Drop for Sequence {
    fn drop(&mut self) {
        if let Some(recording) = self.recording.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // SAFETY: nobody else has it; a driver drops it when it has run.
            unsafe { self.card.driver.drop_recording(recording) }
        }
    }
}
