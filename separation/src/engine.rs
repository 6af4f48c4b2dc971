use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use demucs::{BoxError, Loudness, Progress, Request, Separator, Span, SpanSums, StemSink};

use crate::{Error, Result, Song, Stop};

/// Blocks that may wait for the encoders: a segment's worth of every stem.
const WAITING_BLOCKS: usize = 8;

/// What comes back while a song is separated.
#[derive(Debug)]
pub enum Event {
    /// A segment is done.
    Progress(Progress),
    /// The next samples of a stem, by its index in the request.
    Block(usize, audio::Block),
    /// What a span computed, and its song again.
    Span(Box<Song>, SpanSums),
    /// The last event: how it ended.
    Done(demucs::Result<()>),
}

/// The one thread that owns the networks and their device; it ends when this is dropped.
///
/// Songs go in through a bounded channel and blocks of stems come out through another, so that the
/// device computes while finished blocks are resampled, encoded and written elsewhere.
#[derive(Debug)]
pub struct Engine {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    separator: Arc<Separator>,
}

struct Order {
    song: Song,
    request: Request,
    /// One span of the song, with the loudness of the whole; none is the song.
    span: Option<(Loudness, Span)>,
    stop: Stop,
    events: SyncSender<Event>,
}

impl Engine {
    /// Starts the thread around loaded networks.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn start(separator: Separator) -> Result<Self> {
        let separator = Arc::new(separator);
        let (orders, inbox) = sync_channel::<Order>(1);
        let owner = Arc::clone(&separator);
        let thread = std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || {
                for order in inbox {
                    work(&owner, order);
                }
            })
            .map_err(|error| Error::Thread(error.to_string()))?;
        Ok(Self { orders: Some(orders), thread: Some(thread), separator })
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

    /// Separates a song. A request to stop, or a receiver that is dropped, ends it at the next segment.
    ///
    /// # Errors
    /// [`Error::Ended`] when the thread is gone; all else comes as [`Event::Done`].
    pub fn separate(&self, song: Song, request: Request, stop: &Stop) -> Result<Receiver<Event>> {
        self.order(song, request, None, stop)
    }

    /// Separates one span of a song; the receiver hears of its segments and of what it computed.
    ///
    /// # Errors
    /// Those of [`Engine::separate`].
    pub fn span(
        &self,
        song: Song,
        request: Request,
        loudness: Loudness,
        span: Span,
        stop: &Stop,
    ) -> Result<Receiver<Event>> {
        self.order(song, request, Some((loudness, span)), stop)
    }

    fn order(
        &self,
        song: Song,
        request: Request,
        span: Option<(Loudness, Span)>,
        stop: &Stop,
    ) -> Result<Receiver<Event>> {
        let (events, outbox) = sync_channel(WAITING_BLOCKS);
        let order = Order { song, request, span, stop: stop.clone(), events };
        let orders = self.orders.as_ref().ok_or(Error::Ended)?;
        orders.send(order).map_err(|_| Error::Ended)?;
        Ok(outbox)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(separator: &Separator, mut order: Order) {
    let events = order.events.clone();
    let stop = order.stop.clone();
    let mut observer = |progress| {
        let heard = events.send(Event::Progress(progress)).is_ok();
        if heard && !stop.requested() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let done = match order.span {
        None => {
            let mut sink = Outbox(&order.events);
            separator.separate(&mut order.song, &order.request, &mut sink, &mut observer)
        }
        Some((loudness, span)) => separator
            .separate_span(&mut order.song, &order.request, &loudness, span, &mut observer)
            .map(|sums| {
                let _ = order.events.send(Event::Span(Box::new(order.song), sums));
            }),
    };
    let _ = order.events.send(Event::Done(done));
}

struct Outbox<'a>(&'a SyncSender<Event>);

impl StemSink for Outbox<'_> {
    fn write(&mut self, stem: usize, block: [&[f32]; 2]) -> std::result::Result<(), BoxError> {
        let block = block.map(<[f32]>::to_vec).into();
        self.0.send(Event::Block(stem, block)).map_err(|_| "nobody takes the stems".into())
    }
}
