//! Segments that pass through a network together, of one song or of several.

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::mixture::Mixture;
use crate::network::Begun;
use crate::separator::Separator;
use crate::work::Work;

#[cfg(test)]
pub(crate) use trial::Trial;

/// Batches on their way through the networks of a separator.
///
/// One thread goes round and round: [`Batches::begin`], [`Batches::finish`], [`Batches::begin`] again so that the
/// device goes on, [`Batches::take`]. What a song gets does not depend on whose segments share a batch with its own.
#[derive(Debug)]
pub struct Batches<'a> {
    separator: &'a Separator,
    /// What the device has, the oldest first.
    begun: VecDeque<Batch<'a>>,
    /// What is computed and not taken.
    done: Option<(Batch<'a>, Result<()>)>,
    /// Of earlier batches.
    spare: Vec<Buffers>,
}

/// A batch that was computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Computed {
    /// Segments in it.
    pub segments: usize,
    /// Seconds that the device computed it for, where it is not the CPU and none failed.
    pub device_s: Option<f64>,
    /// Whether the device has another one meanwhile.
    pub goes_on: bool,
}

/// A segment's place in a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) work: u64,
    /// Which of the work's passes.
    pub(crate) pass: usize,
    pub(crate) segment: usize,
}

#[derive(Debug)]
struct Batch<'a> {
    member: usize,
    seats: Vec<Seat>,
    /// Seats whose segments were taken.
    taken: usize,
    buffers: Buffers,
    begun: Result<Begun<'a>>,
}

/// What goes into a network and comes out of it.
#[derive(Debug, Default)]
struct Buffers {
    windows: Vec<f32>,
    outputs: Vec<f32>,
}

impl<'a> Batches<'a> {
    /// None yet.
    #[must_use]
    pub fn new(separator: &'a Separator) -> Self {
        Self { separator, begun: VecDeque::new(), done: None, spare: Vec::new() }
    }

    /// Reads the next segments of `works`, first come, first served, and has the device begin with them; gives
    /// whether it has to be asked again.
    ///
    /// Where a batch would not be full while the device is busy, it waits for those who come meanwhile.
    pub fn begin<'w, M: Mixture + 'w>(&mut self, works: impl IntoIterator<Item = &'w mut Work<M>>) -> bool {
        if self.begun.len() + usize::from(self.done.is_some()) >= self.separator.in_flight() {
            return false;
        }
        let mut works: Vec<_> = works.into_iter().collect();
        let most = self.separator.batch();
        let Some(member) = works.iter().find_map(|work| work.member()) else { return false };
        let mut seats = Vec::new();
        for work in &mut works {
            let free = most - seats.len();
            seats.extend(std::iter::from_fn(|| work.seat(member, most)).take(free));
        }
        if seats.len() < most && !self.begun.is_empty() {
            for seat in seats.into_iter().rev() {
                if let Some(work) = of(&mut works, seat) {
                    work.leave(seat);
                }
            }
            return false;
        }
        let network = &self.separator.bag().members()[member].model;
        let window = 2 * network.config().segment_frames();
        let mut buffers = self.spare.pop().unwrap_or_default();
        buffers.windows.resize(seats.len() * window, 0.0);
        let mut filled = 0;
        // A song that cannot be read leaves its seats.
        seats.retain(|seat| {
            let place = &mut buffers.windows[filled..filled + window];
            let read = of(&mut works, *seat).is_some_and(|work| work.read(*seat, place));
            filled += if read { window } else { 0 };
            read
        });
        buffers.windows.truncate(filled);
        if seats.is_empty() {
            self.spare.push(buffers);
            return true;
        }
        buffers.outputs.resize(buffers.windows.len() * network.config().sources.len(), 0.0);
        let begun = network.begin(&buffers.windows);
        self.begun.push_back(Batch { member, seats, taken: 0, buffers, begun });
        true
    }

    /// Waits until the oldest batch is computed; none where there is none.
    pub fn finish(&mut self) -> Option<Computed> {
        let mut batch = self.begun.pop_front()?;
        let Buffers { windows, outputs } = &mut batch.buffers;
        let begun = std::mem::replace(&mut batch.begun, Err(Error::Canceled));
        let done = self.separator.finish(batch.member, begun, windows, outputs);
        let computed = Computed {
            segments: batch.seats.len(),
            device_s: done.as_ref().ok().copied().flatten(),
            goes_on: !self.begun.is_empty(),
        };
        self.done = Some((batch, done.map(drop)));
        Some(computed)
    }

    /// Gives the next segment of what was computed to that of `works` that it is of, and gives its [`Work::id`]; none
    /// where all are given. What is of others is dropped.
    ///
    /// The work hands out what is complete by it, before the next one is taken: so blocks are no longer than a segment.
    pub fn take<'w, M: Mixture + 'w>(
        &mut self,
        works: impl IntoIterator<Item = &'w mut Work<M>>,
    ) -> Option<u64> {
        let (mut batch, done) = self.done.take()?;
        let mut works: Vec<_> = works.into_iter().collect();
        if let Err(error) = done {
            fail(&mut works, &batch.seats, error);
        } else if let Some(seat) = batch.seats.get(batch.taken).copied() {
            let each = batch.buffers.outputs.len() / batch.seats.len();
            if let Some(work) = of(&mut works, seat) {
                work.take(seat, &batch.buffers.outputs[batch.taken * each..][..each]);
            }
            batch.taken += 1;
            self.done = Some((batch, Ok(())));
            return Some(seat.work);
        }
        self.spare.push(batch.buffers);
        None
    }
}

impl Drop for Batches<'_> {
    /// Waits for what the device has, so that it is free for others.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        while self.finish().is_some() {}
    }
}

fn of<'b, M: Mixture>(works: &'b mut [&mut Work<M>], seat: Seat) -> Option<&'b mut Work<M>> {
    works.iter_mut().map(|work| &mut **work).find(|work| work.id() == seat.work)
}

/// Tells all whose segments a batch had why it failed.
fn fail<M: Mixture>(works: &mut [&mut Work<M>], seats: &[Seat], error: Error) {
    if seats.iter().all(|seat| seat.work == seats[0].work) {
        if let Some(work) = of(works, seats[0]) {
            work.fail(error);
        }
        return;
    }
    let error = Arc::new(error);
    for seat in seats {
        if let Some(work) = of(works, *seat) {
            work.fail(Error::Batch(Arc::clone(&error)));
        }
    }
}
