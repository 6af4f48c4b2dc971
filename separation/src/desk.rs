//! What the engine's thread does: orders come in, batches go through the device, events go out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::Instant;

use demucs::{Batches, Block, BoxError, Progress, Separator, StemSink, Work};

use crate::engine::{Load, Word};
use crate::{Event, Song, Stop};

/// Batches' worth of stems that may wait for slow receivers, of all songs together, before no new one begins.
const WAITING_BATCHES: usize = 4;

/// The orders of an engine.
pub(crate) struct Desk<'a> {
    separator: &'a Separator,
    inbox: Receiver<Word>,
    rung: Arc<AtomicBool>,
    /// In the order in which they came.
    orders: Vec<Order>,
    closed: bool,
}

/// A song, or a span of it, that somebody waits for.
#[derive(Debug)]
pub(crate) struct Order {
    /// None once it has ended.
    work: Option<Work<Song>>,
    stop: Stop,
    events: SyncSender<Event>,
    /// What the channel has no room for: as long as there is something, the song takes no part in batches.
    waiting: VecDeque<Event>,
    /// The progress that was told last.
    told: Option<Progress>,
}

impl<'a> Desk<'a> {
    /// One that hears words from `inbox`, where one was [`Word::Room`] if `rung`.
    pub(crate) fn new(separator: &'a Separator, inbox: Receiver<Word>, rung: Arc<AtomicBool>) -> Self {
        Self { separator, inbox, rung, orders: Vec::new(), closed: false }
    }

    /// Works until no order can come any more and all have ended; `watch` hears of every batch.
    pub(crate) fn work(mut self, mut watch: impl FnMut(Load)) {
        let mut batches = Batches::new(self.separator);
        let mut busy_since = None;
        let mut idle = true;
        while self.listen(idle) {
            let moved = self.go_on();
            let mut begun = false;
            while batches.begin(self.able()) {
                begun = true;
            }
            busy_since.get_or_insert_with(Instant::now);
            let computed = batches.finish();
            let done = Instant::now();
            let since = busy_since.take().filter(|_| computed.is_some());
            if let (Some(computed), Some(since)) = (computed, since) {
                let (segments, batch) = (computed.segments, self.separator.batch());
                watch(Load { segments, time: done - since, batch });
                busy_since = computed.goes_on.then_some(done);
                // Who came meanwhile takes part in what the device does while the last batch is handed out.
                self.listen(false);
                if batches.begin(self.able()) {
                    busy_since.get_or_insert_with(Instant::now);
                }
                while batches.take(self.orders.iter_mut().filter_map(|order| order.work.as_mut())).is_some() {}
                // All hear that the device goes on, also those whose turn has not come.
                self.orders.iter_mut().for_each(|order| order.told = None);
            }
            idle = !moved && !begun && computed.is_none();
        }
    }

    /// Hears what is said, and waits for it where there is nothing to do; gives whether there will be.
    fn listen(&mut self, idle: bool) -> bool {
        let mut wait = idle;
        loop {
            if self.closed && self.orders.is_empty() {
                return false;
            }
            let word = if wait { self.inbox.recv().ok() } else { self.inbox.try_recv().ok() };
            match word {
                Some(Word::Order(order)) => self.orders.push(*order),
                Some(Word::Room) => self.rung.store(false, Ordering::SeqCst),
                Some(Word::End) => self.closed = true,
                None => return true,
            }
            wait = false;
        }
    }

    /// Does what can be done without the device; gives whether there was something.
    fn go_on(&mut self) -> bool {
        let mut moved = false;
        self.orders.retain_mut(|order| {
            while order.go_on() {
                moved = true;
            }
            order.is_open()
        });
        moved
    }

    /// The songs whose segments may fill the next batches: as many as these have places, one where there is one place.
    fn able(&mut self) -> impl Iterator<Item = &mut Work<Song>> {
        let batch = self.separator.batch();
        let bag = self.separator.bag();
        let window_frames = bag.members().iter().map(|member| member.model.config().segment_frames()).max();
        let room = WAITING_BATCHES * batch * bag.sources().len() * window_frames.unwrap_or(0);
        let waiting: usize = self.orders.iter().map(Order::waiting_frames).sum();
        let most = if waiting < room { batch * self.separator.in_flight() } else { 0 };
        let open = self.orders.iter_mut().filter(|order| order.work.is_some()).take(most);
        open.filter(|order| order.waiting.is_empty()).filter_map(|order| order.work.as_mut())
    }
}

impl Order {
    pub(crate) fn new(work: Work<Song>, stop: Stop, events: SyncSender<Event>) -> Self {
        Self { work: Some(work), stop, events, waiting: VecDeque::new(), told: None }
    }

    fn is_open(&self) -> bool {
        self.work.is_some() || !self.waiting.is_empty()
    }

    /// Frames of all stems that wait.
    fn waiting_frames(&self) -> usize {
        let frames = |event: &Event| if let Event::Block(_, block) = event { block[0].len() } else { 0 };
        self.waiting.iter().map(frames).sum()
    }

    /// Does the next thing; gives whether there was one.
    fn go_on(&mut self) -> bool {
        if self.work.is_some() && self.stop.requested() {
            self.waiting.clear();
            self.end(Err(demucs::Error::Canceled));
        }
        if let Some(event) = self.waiting.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => return true,
                Err(TrySendError::Full(event)) => self.waiting.push_front(event),
                Err(TrySendError::Disconnected(_)) => {
                    self.work = None;
                    self.waiting.clear();
                }
            }
            return false;
        }
        let Some(work) = &mut self.work else { return false };
        let handed_out = work.check().and_then(|()| work.hand_out(&mut Outbox(&mut self.waiting)));
        let progress = work.progress();
        match handed_out {
            Ok(true) => {}
            Ok(false) if self.told != Some(progress) => {
                self.told = Some(progress);
                self.waiting.push_back(Event::Progress(progress));
            }
            Ok(false) if work.is_done() => self.end(Ok(())),
            Ok(false) => return false,
            Err(error) => self.end(Err(error)),
        }
        true
    }

    fn end(&mut self, how: demucs::Result<()>) {
        let (song, sums) = self.work.take().map(Work::into_parts).unzip();
        if let (Ok(()), Some(song), Some(Some(sums))) = (&how, song, sums) {
            self.waiting.push_back(Event::Span(Box::new(song), sums));
        }
        self.waiting.push_back(Event::Done(how));
    }
}

/// Where the blocks of an order wait.
struct Outbox<'a>(&'a mut VecDeque<Event>);

impl StemSink for Outbox<'_> {
    fn write(&mut self, stem: usize, block: Block) -> Result<(), BoxError> {
        self.0.push_back(Event::Block(stem, block));
        Ok(())
    }
}
