//! Streams and events of an emulated card. What a stream is given runs as late as it can: when somebody waits for it, and before
//! that what it follows; by a draw nothing else does, or all other streams are ahead of it. So what does not wait for another stream
//! finds that nothing has happened there yet.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Instant;

use super::driver::Handle;
use crate::error::{Error, Result};
use crate::seeded::splitmix;

/// What a stream can be given.
pub(super) type Work = Box<dyn FnOnce() -> Result<()> + Send>;

/// All streams of a card.
#[derive(Debug, Default)]
pub(super) struct Queues {
    streams: BTreeMap<Handle, Stream>,
    events: BTreeMap<Handle, Event>,
    /// The latest handle.
    latest: Handle,
    drawn: u64,
    /// Why the card failed: nothing succeeds from then on.
    failed: Option<String>,
}

#[derive(Debug, Default)]
struct Stream {
    given: VecDeque<Given>,
    done: usize,
}

enum Given {
    Work(Work),
    Follow(Place),
    Mark(Handle),
}

/// So many things of a stream.
#[derive(Debug, Clone, Copy)]
struct Place {
    stream: Handle,
    count: usize,
}

impl Place {
    fn end(stream: Handle) -> Self {
        Self { stream, count: usize::MAX }
    }
}

#[derive(Debug)]
struct Event {
    place: Place,
    /// When it was reached.
    at: Option<Instant>,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Work(_) => f.write_str("Work"),
            Self::Follow(place) => place.fmt(f),
            Self::Mark(event) => write!(f, "Mark({event})"),
        }
    }
}

impl Queues {
    pub(super) fn new_stream(&mut self) -> Result<Handle> {
        self.check()?;
        let handle = self.next();
        self.streams.insert(handle, Stream::default());
        Ok(handle)
    }

    /// What it was given is done nevertheless.
    pub(super) fn drop_stream(&mut self, stream: Handle) {
        let _ = self.finish(stream);
        self.streams.remove(&stream);
    }

    pub(super) fn give(&mut self, stream: Handle, work: Work) -> Result<()> {
        self.push(stream, Given::Work(work)).map(drop)
    }

    /// An event behind all that the stream was given.
    pub(super) fn new_event(&mut self, stream: Handle) -> Result<Handle> {
        let event = self.next();
        let place = self.push(stream, Given::Mark(event))?;
        self.events.insert(event, Event { place, at: None });
        Ok(event)
    }

    pub(super) fn drop_event(&mut self, event: Handle) {
        self.events.remove(&event);
    }

    pub(super) fn follow(&mut self, stream: Handle, event: Handle) -> Result<()> {
        let place = self.event(event)?.place;
        self.push(stream, Given::Follow(place)).map(drop)
    }

    /// Runs what is before an event.
    pub(super) fn reach(&mut self, event: Handle) -> Result<()> {
        let place = self.event(event)?.place;
        self.draw(place.stream)?;
        self.run_to(place)
    }

    /// Runs all that a stream was given.
    pub(super) fn finish(&mut self, stream: Handle) -> Result<()> {
        self.draw(stream)?;
        self.run_to(Place::end(stream))
    }

    /// Runs all that any stream was given.
    pub(super) fn finish_all(&mut self) {
        for stream in self.streams.keys().copied().collect::<Vec<_>>() {
            let _ = self.run_to(Place::end(stream));
        }
    }

    /// Draws whether the other streams, in any order, do all that they can before this one.
    fn draw(&mut self, stream: Handle) -> Result<()> {
        self.drawn = splitmix(self.drawn);
        if self.drawn.is_multiple_of(2) {
            return Ok(());
        }
        let mut others: Vec<_> = self.streams.keys().copied().filter(|other| *other != stream).collect();
        others.sort_by_key(|other| splitmix(self.drawn ^ *other as u64));
        others.into_iter().try_for_each(|other| self.run_to(Place::end(other)))
    }

    /// Seconds between two events that were reached.
    pub(super) fn seconds(&self, from: Handle, to: Handle) -> Result<f64> {
        let at = |event| {
            let at = self.event(event)?.at;
            at.ok_or_else(|| Error::Card("an event that was not reached".into()))
        };
        Ok(at(to)?.duration_since(at(from)?).as_secs_f64())
    }

    /// Gives up what streams were given, and refuses whatever comes.
    pub(super) fn fail(&mut self, why: String) {
        self.streams.values_mut().for_each(|stream| stream.given.clear());
        self.failed.get_or_insert(why);
    }

    fn check(&self) -> Result<()> {
        self.failed.clone().map_or(Ok(()), |why| Err(Error::Card(why)))
    }

    fn next(&mut self) -> Handle {
        self.latest += 1;
        self.latest
    }

    fn event(&self, event: Handle) -> Result<&Event> {
        self.check()?;
        self.events.get(&event).ok_or_else(|| Error::Card("an event that nobody has".into()))
    }

    /// Gives the place behind it.
    fn push(&mut self, stream: Handle, given: Given) -> Result<Place> {
        self.check()?;
        let queue =
            self.streams.get_mut(&stream).ok_or_else(|| Error::Card("a stream that nobody has".into()))?;
        queue.given.push_back(given);
        Ok(Place { stream, count: queue.done + queue.given.len() })
    }

    fn run_to(&mut self, place: Place) -> Result<()> {
        self.check()?;
        // A stream that is gone has done everything.
        while let Some(stream) =
            self.streams.get_mut(&place.stream).filter(|stream| stream.done < place.count)
        {
            let Some(next) = stream.given.pop_front() else { break };
            stream.done += 1;
            match next {
                Given::Work(work) => work().inspect_err(|error| self.fail(error.to_string()))?,
                Given::Follow(place) => self.run_to(place)?,
                Given::Mark(event) => {
                    if let Some(event) = self.events.get_mut(&event) {
                        event.at = Some(Instant::now());
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Streams that write down what they do.
    #[derive(Default)]
    struct Log {
        queues: Queues,
        lines: Arc<Mutex<Vec<&'static str>>>,
    }

    impl Log {
        fn give(&mut self, stream: Handle, line: &'static str) {
            let lines = Arc::clone(&self.lines);
            let write = move || {
                lines.lock().unwrap().push(line);
                Ok(())
            };
            self.queues.give(stream, Box::new(write)).unwrap();
        }

        /// What was done since it was asked last.
        fn take(&self) -> Vec<&'static str> {
            std::mem::take(&mut self.lines.lock().unwrap())
        }
    }

    #[test]
    fn what_a_stream_is_given_runs_when_somebody_waits_behind_what_it_follows() {
        let (mut log, mut seen) = (Log::default(), BTreeSet::new());
        let [one, two] = [(); 2].map(|()| log.queues.new_stream().unwrap());
        for _ in 0..20 {
            log.give(one, "a");
            let behind_a = log.queues.new_event(one).unwrap();
            log.give(one, "b");
            log.give(two, "c");
            log.queues.follow(two, behind_a).unwrap();
            log.queues.drop_event(behind_a);
            log.give(two, "d");
            let behind_d = log.queues.new_event(two).unwrap();
            log.give(two, "e");
            assert!(log.take().is_empty() && log.queues.seconds(behind_d, behind_d).is_err());
            log.queues.reach(behind_d).unwrap();
            seen.insert(log.take());
            assert!(log.queues.seconds(behind_d, behind_d).unwrap() <= 0.0);
            log.queues.reach(behind_d).unwrap();
            log.queues.finish_all();
            log.take();
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [vec!["a", "b", "c", "d"], vec!["c", "a", "d"]]);
    }

    #[test]
    fn what_fails_is_told_to_who_waits_and_to_all_that_come() {
        let mut log = Log::default();
        let [one, two] = [(); 2].map(|()| log.queues.new_stream().unwrap());
        log.give(two, "a");
        let behind_a = log.queues.new_event(two).unwrap();
        log.queues.finish(two).unwrap();
        log.queues.give(one, Box::new(|| Err(Error::Card("a fault".into())))).unwrap();
        log.give(one, "b");
        log.give(two, "c");
        assert!(log.queues.finish(one).is_err() && log.queues.reach(behind_a).is_err());
        assert!(log.queues.new_stream().is_err() && log.queues.finish(two).is_err());
        assert!(!log.take().contains(&"b"));
    }
}
