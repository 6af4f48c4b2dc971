//! The one thread that owns the networks and their device.
//!
//! Songs go in through a bounded channel and blocks of stems come out through another, so that
//! the device computes while finished blocks are resampled, encoded and written elsewhere.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use demucs::{BoxError, Progress, Request, Separator, StemSink};

use crate::song::Song;

/// Blocks that may wait for the encoders: a segment's worth of every stem.
const WAITING_BLOCKS: usize = 8;

/// What comes back while a song is separated.
#[derive(Debug)]
pub(crate) enum Event {
    /// A segment is done.
    Progress(Progress),
    /// The next samples of a stem, by its index in the request.
    Block(usize, audio::Block),
    /// The last event: how it ended.
    Done(demucs::Result<()>),
}

/// A running engine; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Engine {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

struct Order {
    song: Song,
    request: Request,
    events: SyncSender<Event>,
}

impl Engine {
    /// Starts the thread around loaded networks.
    pub(crate) fn start(separator: Separator) -> Result<Self> {
        let (orders, inbox) = sync_channel::<Order>(1);
        let thread = std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || {
                for order in inbox {
                    work(&separator, order);
                }
            })
            .context("cannot start the engine's thread")?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Separates a song. A receiver that is dropped stops it at the next segment.
    pub(crate) fn separate(&self, song: Song, request: Request) -> Result<Receiver<Event>> {
        let (events, outbox) = sync_channel(WAITING_BLOCKS);
        let order = Order { song, request, events };
        let orders = self.orders.as_ref().context("the engine has ended")?;
        orders.send(order).ok().context("the engine has ended")?;
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
    let mut observer = |progress| {
        let heard = events.send(Event::Progress(progress)).is_ok();
        if heard && !crate::stop::requested() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let mut sink = Outbox(&order.events);
    let done = separator.separate(&mut order.song, &order.request, &mut sink, &mut observer);
    let _ = order.events.send(Event::Done(done));
}

struct Outbox<'a>(&'a SyncSender<Event>);

impl StemSink for Outbox<'_> {
    fn write(&mut self, stem: usize, block: [&[f32]; 2]) -> Result<(), BoxError> {
        let block = block.map(<[f32]>::to_vec).into();
        self.0.send(Event::Block(stem, block)).map_err(|_| "nobody takes the stems".into())
    }
}
