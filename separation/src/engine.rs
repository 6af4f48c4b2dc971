use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use demucs::{Loudness, Progress, Request, Separator, Span, SpanSums, Work};

use crate::desk::{Desk, Order, Parcel};
use crate::{Error, Result, Song, Stop};

/// Blocks that may wait for the encoders: a segment's worth of every stem.
const WAITING_BLOCKS: usize = 8;

/// What comes back while a song is separated.
#[derive(Debug)]
pub enum Event {
    /// A segment is done, or one of another song that came before.
    Progress(Progress),
    /// The next samples of a stem, by its index in the request. Dropped, its memory serves a later one.
    Block(usize, demucs::Block),
    /// What a span computed, and its song again.
    Span(Box<Song>, SpanSums),
    /// The last event: how it ended.
    Done(demucs::Result<()>),
}

/// Events of one song as they come; where nobody takes them its separation waits, and ends when this is dropped.
#[derive(Debug)]
pub struct Events {
    events: Receiver<Parcel>,
    bell: Bell,
}

/// A batch that was computed.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Segments in it.
    pub segments: usize,
    /// From its beginning, or the end of the one before, to its end.
    pub time: Duration,
    /// In which the device computed; all of it where a device does not tell.
    pub busy: Duration,
    /// Segments that a batch may have.
    pub batch: usize,
}

/// The one thread that owns the networks and their device; it ends when this is dropped.
///
/// Blocks of stems come out through bounded channels, so that the device computes while finished blocks are
/// resampled, encoded and written elsewhere. Songs come one after the other; where batches are larger than what the
/// first one has left, the next ones fill them.
#[derive(Debug)]
pub struct Engine {
    bell: Bell,
    thread: Option<JoinHandle<()>>,
    separator: Arc<Separator>,
}

/// What the thread hears. Orders are as many as there are callers, and of the others one waits at most.
#[derive(Debug)]
pub(crate) enum Word {
    Order(Box<Order>),
    /// Somebody took an event, or has gone.
    Room,
    /// No further order comes.
    End,
}

/// Wakes the thread.
#[derive(Debug, Clone)]
struct Bell {
    words: Sender<Word>,
    rung: Arc<AtomicBool>,
}

impl Engine {
    /// Starts the thread around loaded networks.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn start(separator: Separator) -> Result<Self> {
        Self::start_watched(separator, |_| ())
    }

    /// [`Engine::start`]; `watch` hears of every batch, on the engine's thread.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn start_watched(separator: Separator, watch: impl FnMut(Load) + Send + 'static) -> Result<Self> {
        let separator = Arc::new(separator);
        let (words, inbox) = channel();
        let bell = Bell { words, rung: Arc::default() };
        let (owner, rung) = (Arc::clone(&separator), Arc::clone(&bell.rung));
        let thread = std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || Desk::new(&owner, inbox, rung).work(watch))
            .map_err(|error| Error::Thread(error.to_string()))?;
        Ok(Self { bell, thread: Some(thread), separator })
    }

    /// Whether the thread is gone, as after a panic in the networks: nothing can be separated any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What the networks separate, in their order.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        self.separator.bag().sources()
    }

    /// The networks' sample rate in Hz.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.separator.bag().samplerate()
    }

    /// Segments that pass through a network together, at most.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.separator.batch()
    }

    /// Divides a song of `frames` frames at the engine's rate into spans of `segments` segments each.
    ///
    /// # Errors
    /// [`Error::Separate`] for what the networks cannot do.
    pub fn spans(&self, frames: usize, request: &Request, segments: usize) -> Result<Vec<Span>> {
        self.separator.spans(frames, request, segments).map_err(Error::Separate)
    }

    /// For what needs the networks' description but not the device.
    pub(crate) fn separator(&self) -> &Separator {
        &self.separator
    }

    /// Separates a song, whose loudness is measured here and now. A request to stop, or dropping the events, ends it at
    /// the next segment.
    ///
    /// # Errors
    /// [`Error::Ended`] when the thread is gone, [`Error::Separate`] for what the networks cannot do or a song that
    /// cannot be read; all else comes as [`Event::Done`].
    pub fn separate(&self, mut song: Song, request: &Request, stop: &Stop) -> Result<Events> {
        let loudness = Loudness::of(&mut song).map_err(Error::Separate)?;
        self.order(self.separator.work(song, request, loudness), stop)
    }

    /// Separates one span of a song of this loudness; the events are of its segments and of what it computed.
    ///
    /// # Errors
    /// Those of [`Engine::separate`].
    pub fn span(
        &self,
        song: Song,
        request: &Request,
        loudness: &Loudness,
        span: Span,
        stop: &Stop,
    ) -> Result<Events> {
        self.order(self.separator.span_of(song, request, loudness, span), stop)
    }

    fn order(&self, work: demucs::Result<Work<Song>>, stop: &Stop) -> Result<Events> {
        let (sender, events) = sync_channel(WAITING_BLOCKS);
        let order = Order::new(work.map_err(Error::Separate)?, stop.clone(), sender);
        self.bell.words.send(Word::Order(Box::new(order))).map_err(|_| Error::Ended)?;
        Ok(Events { events, bell: self.bell.clone() })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.bell.words.send(Word::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            let _ = self.words.send(Word::Room);
        }
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().ok().map(Parcel::open);
        self.bell.ring();
        event
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // The thread has to find nobody there.
        self.events = sync_channel(0).1;
        self.bell.ring();
    }
}
