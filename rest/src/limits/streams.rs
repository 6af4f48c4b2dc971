//! Streams of events that one key or address has open: each holds a connection for as long as an hour.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Subject;
use super::admission::rejected;
use crate::error::{Code, Problem};

/// Seconds after which a refused client may come again.
const AGAIN_S: u64 = 10;

/// Who has how many open. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    share: usize,
    open: Arc<Mutex<HashMap<Subject, usize>>>,
}

/// A place for one stream, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    streams: Streams,
    subject: Subject,
}

impl Streams {
    /// `share` of each key or address; any number where it is 0.
    pub(crate) fn new(share: usize) -> Self {
        Self { share, open: Arc::default() }
    }

    /// A place for one more.
    ///
    /// # Errors
    /// [`Code::StreamsFull`].
    pub(crate) fn enter(&self, subject: Subject) -> Result<Place, Problem> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(subject).or_default();
        if self.share > 0 && *count >= self.share {
            rejected("streams");
            return Err(Problem::plain(Code::StreamsFull).retry_after(AGAIN_S));
        }
        *count += 1;
        Ok(Place { streams: self.clone(), subject })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.subject) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_share_and_gives_places_back() {
        let streams = Streams::new(2);
        let (one, other) = (Subject::key("one"), Subject::key("other"));
        let first = streams.enter(one).unwrap();
        let _second = streams.enter(one).unwrap();
        assert_eq!(streams.enter(one).unwrap_err().code(), Code::StreamsFull);
        drop(streams.enter(other).unwrap());
        drop(first);
        drop(streams.enter(one).unwrap());
        assert_eq!(streams.open.lock().unwrap().len(), 1, "who has none is forgotten");
        let any = Streams::new(0);
        let many: Vec<_> = (0..100).map(|_| any.enter(one).unwrap()).collect();
        assert_eq!(many.len(), 100);
    }
}
