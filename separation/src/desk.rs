//! What the engine's thread does: orders come in, batches go through the device, events go out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use demucs::{Batches, Block, BoxError, Progress, Separator, StemSink, Work};

use crate::engine::{Load, Word};
use crate::{Event, Song, Stop};

/// Batches' worth of stems that nobody has taken, of all songs together, before no new one begins.
const WAITING_BATCHES: usize = 4;

/// The orders of an engine.
pub(crate) struct Desk<'a> {
    separator: &'a Separator,
    inbox: Receiver<Word>,
    rung: Arc<AtomicBool>,
    /// In the order in which they came.
    orders: Vec<Order>,
    untaken: Untaken,
    closed: bool,
}

/// A song, or a span of it, that somebody waits for.
#[derive(Debug)]
pub(crate) struct Order {
    /// None once it has ended.
    work: Option<Work<Song>>,
    stop: Stop,
    events: SyncSender<Parcel>,
    /// What the channel has no room for: as long as there is something, the song takes no part in batches.
    waiting: VecDeque<Parcel>,
    /// The progress that was told last.
    told: Option<Progress>,
}

/// An event on its way to who takes it.
#[derive(Debug)]
pub(crate) struct Parcel {
    event: Event,
    /// With the last stem of a stretch.
    untaken: Option<Untaken>,
}

/// Counts stretches of stems that nobody has taken: of every one there is a clone.
#[derive(Debug, Clone, Default)]
struct Untaken(Arc<()>);

impl<'a> Desk<'a> {
    /// One that hears words from `inbox`, where one was [`Word::Room`] if `rung`.
    pub(crate) fn new(separator: &'a Separator, inbox: Receiver<Word>, rung: Arc<AtomicBool>) -> Self {
        Self { separator, inbox, rung, orders: Vec::new(), untaken: Untaken::default(), closed: false }
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
                let time = done - since;
                let busy = computed.device_s.map_or(time, Duration::from_secs_f64);
                watch(Load { segments, time, busy, batch });
                busy_since = computed.goes_on.then_some(done);
                // Who came meanwhile takes part in what the device does while the last batch is handed out.
                self.listen(false);
                if batches.begin(self.able()) {
                    busy_since.get_or_insert_with(Instant::now);
                }
                while let Some(id) = batches.take(self.works()) {
                    let of = self.orders.iter_mut().filter(|order| order.is(id));
                    of.for_each(|order| while order.hand_out(&self.untaken) {});
                }
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
            while order.go_on(&self.untaken) {
                moved = true;
            }
            order.is_open()
        });
        moved
    }

    fn works(&mut self) -> impl Iterator<Item = &mut Work<Song>> {
        self.orders.iter_mut().filter_map(|order| order.work.as_mut())
    }

    /// The songs whose segments may fill the next batches: as many as these have places, of those that nobody keeps waiting.
    fn able(&mut self) -> impl Iterator<Item = &mut Work<Song>> {
        let batch = self.separator.batch();
        let room = self.untaken.count() < WAITING_BATCHES * batch;
        let most = if room { batch * self.separator.in_flight() } else { 0 };
        // One after the other where there is one place, also behind a song that is kept waiting.
        let first = if batch == 1 { most } else { usize::MAX };
        let open = self.orders.iter_mut().filter(|order| order.work.is_some()).take(first);
        open.filter(|order| order.waiting.is_empty()).take(most).filter_map(|order| order.work.as_mut())
    }
}

impl Order {
    pub(crate) fn new(work: Work<Song>, stop: Stop, events: SyncSender<Parcel>) -> Self {
        Self { work: Some(work), stop, events, waiting: VecDeque::new(), told: None }
    }

    fn is_open(&self) -> bool {
        self.work.is_some() || !self.waiting.is_empty()
    }

    fn is(&self, id: u64) -> bool {
        self.work.as_ref().is_some_and(|work| work.id() == id)
    }

    /// Does the next thing; gives whether there was one.
    fn go_on(&mut self, untaken: &Untaken) -> bool {
        if self.work.is_some() && self.stop.requested() {
            self.waiting.clear();
            self.end(Err(demucs::Error::Canceled));
        }
        if let Some(parcel) = self.waiting.pop_front() {
            match self.events.try_send(parcel) {
                Ok(()) => return true,
                Err(TrySendError::Full(parcel)) => self.waiting.push_front(parcel),
                Err(TrySendError::Disconnected(_)) => {
                    self.work = None;
                    self.waiting.clear();
                }
            }
            return false;
        }
        if self.hand_out(untaken) {
            return true;
        }
        let Some(work) = &self.work else { return false };
        let progress = work.progress();
        if self.told != Some(progress) {
            self.told = Some(progress);
            self.waiting.push_back(Event::Progress(progress).into());
        } else if work.is_done() {
            self.end(Ok(()));
        } else {
            return false;
        }
        true
    }

    /// Puts the next stretch of all stems where events wait, or how the song failed; gives whether there was one.
    fn hand_out(&mut self, untaken: &Untaken) -> bool {
        let Some(work) = &mut self.work else { return false };
        match work.check().and_then(|()| work.hand_out(&mut Outbox(&mut self.waiting))) {
            Ok(true) => {
                if let Some(last) = self.waiting.back_mut() {
                    last.untaken = Some(untaken.clone());
                }
            }
            Ok(false) => return false,
            Err(error) => self.end(Err(error)),
        }
        true
    }

    fn end(&mut self, how: demucs::Result<()>) {
        let (song, sums) = self.work.take().map(Work::into_parts).unzip();
        if let (Ok(()), Some(song), Some(Some(sums))) = (&how, song, sums) {
            self.waiting.push_back(Event::Span(Box::new(song), sums).into());
        }
        self.waiting.push_back(Event::Done(how).into());
    }
}

impl Parcel {
    /// What is in it, which is taken by that.
    pub(crate) fn open(self) -> Event {
        self.event
    }
}

impl From<Event> for Parcel {
    fn from(event: Event) -> Self {
        Self { event, untaken: None }
    }
}

impl Untaken {
    fn count(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// Where the blocks of an order wait.
struct Outbox<'a>(&'a mut VecDeque<Parcel>);

impl StemSink for Outbox<'_> {
    fn write(&mut self, stem: usize, block: Block) -> Result<(), BoxError> {
        self.0.push_back(Event::Block(stem, block).into());
        Ok(())
    }
}
