//! What a card does beside its other work: copies, launches, and events that say how far it is.

use super::card::Card;
use super::driver::Handle;
use super::memory::{Memory, Pinned, Value};
use super::sequence::Sequence;
use crate::error::Result;

/// Work that is done in order. What it is given returns at once.
#[derive(Debug)]
pub struct Stream {
    card: Card,
    pub(super) handle: Handle,
}

impl Stream {
    pub(super) fn new(card: &Card) -> Result<Self> {
        Ok(Self { card: card.clone(), handle: card.driver.new_stream()? })
    }

    /// Copies the first `len` values to where `offset` bytes of `to` are before.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where it fails.
    ///
    /// # Panics
    /// Where they do not fit.
    pub fn upload<T: Value>(
        &self,
        from: Pinned<T>,
        len: usize,
        to: &Memory,
        offset: usize,
    ) -> Result<Copying<T>> {
        let bytes = size_of_val(&from[..len]);
        let address = to.part(&self.card, offset, bytes);
        // SAFETY: both have these bytes; `Copying` keeps these, and memory of a card waits for it before it goes.
        unsafe { self.card.driver.upload(self.handle, from.address(), address, bytes)? };
        self.copying(from)
    }

    /// Copies to the first `len` values what is behind `offset` bytes of `from`.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where it fails.
    ///
    /// # Panics
    /// Where they reach beyond its end.
    pub fn download<T: Value>(
        &self,
        from: &Memory,
        offset: usize,
        to: Pinned<T>,
        len: usize,
    ) -> Result<Copying<T>> {
        let bytes = size_of_val(&to[..len]);
        let address = from.part(&self.card, offset, bytes);
        // SAFETY: both have these bytes; `Copying` keeps these, and memory of a card waits for it before it goes.
        unsafe { self.card.driver.download(self.handle, address, to.address(), bytes)? };
        self.copying(to)
    }

    /// Copies the first `bytes` of one memory to the beginning of another one, and waits for it: gives the seconds of the card.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where it fails.
    ///
    /// # Panics
    /// Where either has fewer.
    pub fn copy(&self, from: &Memory, to: &mut Memory, bytes: usize) -> Result<f64> {
        let (from, to) = (from.part(&self.card, 0, bytes), to.part(&self.card, 0, bytes));
        let begun = self.mark()?;
        // SAFETY: both have these bytes, are two memories, and are borrowed until the copy is done.
        let copied = unsafe { self.card.driver.copy(self.handle, from, to, bytes) };
        let ended = self.mark();
        // Whatever became of it, nobody has them again before the stream is done.
        self.finish()?;
        copied?;
        ended?.seconds_since(&begun)
    }

    fn copying<T: Value>(&self, values: Pinned<T>) -> Result<Copying<T>> {
        match self.mark() {
            Ok(done) => Ok(Copying { done, values: Some(values) }),
            Err(error) => {
                // Nothing says when the copy ends: not before the stream does.
                let _ = self.finish();
                Err(error)
            }
        }
    }

    /// Runs a sequence: as it was recorded, or launch by launch.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where a launch fails, or what ran before it.
    pub(crate) fn run(&self, sequence: &Sequence) -> Result<()> {
        sequence.run(&self.card, self.handle)
    }

    /// Runs a sequence, and waits for it: gives the seconds of the card.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where a launch fails, or what ran before it.
    pub(crate) fn time(&self, sequence: &Sequence) -> Result<f64> {
        let begun = self.mark()?;
        self.run(sequence)?;
        self.mark()?.seconds_since(&begun)
    }

    /// The same for each of its launches, which are not run as one.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where a launch fails, or what ran before it.
    pub(crate) fn time_each(&self, sequence: &Sequence) -> Result<Vec<f64>> {
        // All of it once before, so that launches wait for the card and not the card for launches.
        self.run(sequence)?;
        let mut marks = vec![self.mark()?];
        sequence.launch_each(&self.card, self.handle, || {
            marks.push(self.mark()?);
            Ok(())
        })?;
        marks.windows(2).map(|pair| pair[1].seconds_since(&pair[0])).collect()
    }

    /// An event behind all that was given so far.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where it fails.
    pub fn mark(&self) -> Result<Event> {
        // SAFETY: a stream of this driver.
        let handle = unsafe { self.card.driver.new_event(self.handle)? };
        Ok(Event { card: self.card.clone(), handle })
    }

    /// What is given from now on waits for an event of any stream.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where it fails.
    ///
    /// # Panics
    /// For an event of another card.
    pub fn follow(&self, event: &Event) -> Result<()> {
        assert!(self.card.is(&event.card), "an event of another card");
        // SAFETY: both are of this driver.
        unsafe { self.card.driver.follow(self.handle, event.handle) }
    }

    /// Waits until all is done.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where something that was given failed.
    pub fn finish(&self) -> Result<()> {
        // SAFETY: a stream of this driver.
        unsafe { self.card.driver.finish(self.handle) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: nobody else has it; what it was given is done nevertheless.
        unsafe { self.card.driver.drop_stream(self.handle) }
    }
}

/// A place in a stream.
#[derive(Debug)]
pub struct Event {
    card: Card,
    handle: Handle,
}

impl Event {
    /// Waits for it.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where something before it failed.
    pub fn reach(&self) -> Result<()> {
        // SAFETY: an event of this driver.
        unsafe { self.card.driver.reach(self.handle) }
    }

    /// Waits for it, and says how many seconds the card took from an earlier one.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where something before it failed.
    ///
    /// # Panics
    /// For an event of another card.
    pub fn seconds_since(&self, earlier: &Self) -> Result<f64> {
        assert!(self.card.is(&earlier.card), "an event of another card");
        earlier.reach()?;
        self.reach()?;
        // SAFETY: both are of this driver, and were reached.
        unsafe { self.card.driver.seconds(earlier.handle, self.handle) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: nobody else has it.
        unsafe { self.card.driver.drop_event(self.handle) }
    }
}

/// Values that are being copied. They come back when that is done.
#[derive(Debug)]
pub struct Copying<T: Value> {
    done: Event,
    values: Option<Pinned<T>>,
}

impl<T: Value> Copying<T> {
    /// Behind the copy.
    #[must_use]
    pub fn done(&self) -> &Event {
        &self.done
    }

    /// Waits for the copy.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where it failed, or something before it.
    ///
    /// # Panics
    /// Never: it has the values until then.
    pub fn wait(mut self) -> Result<Pinned<T>> {
        self.done.reach()?;
        Ok(self.values.take().expect("nobody takes them before"))
    }
}

impl<T: Value> Drop for Copying<T> {
    fn drop(&mut self) {
        // They may not go before the card is done with them. Where it failed it is done with everything.
        if self.values.is_some() {
            let _ = self.done.reach();
        }
    }
}
