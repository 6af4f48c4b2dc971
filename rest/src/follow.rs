//! What happens to a job, for a client that follows it: by server-sent events, or by gRPC.
//!
//! Every event carries the whole job as it is when the event is told. A snapshot says that events are missing (the
//! queue was lost, or had forgotten them): the job in it is what counts. What the manifest says decides: nothing follows
//! the state that it names.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use common::StemName;
use common::job::{Record, View};
use common::queue::{Event, Happening};

use crate::error::Problem;
use crate::limits::Place;
use crate::state::App;

/// Longest silence; then the client hears that the connection lives.
const SILENCE: Duration = Duration::from_secs(15);

/// How often a job is looked at without an event: its end may come without one.
const LOOK: Duration = Duration::from_secs(2);

/// Longest stream; clients come again and go on.
const LONGEST: Duration = Duration::from_hours(1);

/// Events that are read at once.
const BATCH: usize = 200;

/// What a client is told.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Happened(Happened),
    /// Nothing for long.
    StillHere,
}

/// Something that happened to a job.
#[derive(Debug, Clone)]
pub(crate) struct Happened {
    /// By which a client goes on behind it; none of what the queue did not say.
    pub(crate) number: Option<u64>,
    pub(crate) what: What,
    /// Of [`What::Stem`].
    pub(crate) stem: Option<StemName>,
    pub(crate) view: Arc<View>,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Snapshot,
    State,
    Progress,
    Stem,
}

/// One client's place in the events of a job.
pub(crate) struct Follower {
    app: App,
    record: Record,
    /// Number of the last event that was sent.
    after: u64,
    /// Whether anything was sent yet.
    begun: bool,
    waiting: VecDeque<Told>,
    done: bool,
    silent_since: tokio::time::Instant,
    until: tokio::time::Instant,
    _place: Place,
}

impl Follower {
    /// Of what happens after event number `after`; it has its place until it is dropped.
    pub(crate) fn new(app: App, record: Record, after: u64, place: Place) -> Self {
        let now = tokio::time::Instant::now();
        Self {
            app,
            record,
            after,
            begun: false,
            waiting: VecDeque::new(),
            done: false,
            silent_since: now,
            until: now + LONGEST,
            _place: place,
        }
    }

    /// The next word for the client; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.waiting.pop_front() {
                self.silent_since = tokio::time::Instant::now();
                return Some(told);
            }
            if self.done || self.app.closing.is_cancelled() || tokio::time::Instant::now() > self.until {
                return None;
            }
            // Also where store or queue cannot be reached for now: the connection stays.
            if self.look().await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
            if self.waiting.is_empty() && !self.done {
                if self.silent_since.elapsed() >= SILENCE {
                    self.waiting.push_back(Told::StillHere);
                } else {
                    self.rest().await;
                }
            }
        }
    }

    /// Waits until something may have happened.
    async fn rest(&self) {
        let queue = self.app.ledger.queue();
        let nap = LOOK.min(SILENCE.saturating_sub(self.silent_since.elapsed()));
        tokio::select! {
            () = self.app.closing.cancelled() => {}
            changed = queue.changed(self.record.id, self.after, nap) => {
                // A queue that does not wait is not asked without a pause.
                if !matches!(changed, Ok(true)) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Puts in line whatever happened since the last look.
    async fn look(&mut self) -> Result<(), Problem> {
        let queue = self.app.ledger.queue();
        let last = queue.status(self.record.id).await?.map(|status| status.last_event);
        if last.is_none() && self.app.ledger.record(&self.record.id).await?.is_none() {
            // Deleted, or of before a reset: whoever comes again learns that there is no such job.
            self.done = true;
            return Ok(());
        }
        // The queue counts from 1 again: it was lost meanwhile.
        let forgotten = last.is_some_and(|last| last < self.after);
        let mut events =
            if forgotten { Vec::new() } else { queue.events(self.record.id, self.after, BATCH).await? };
        let view = Arc::new(self.app.ledger.view(&self.record).await?);
        let gap = events.first().is_some_and(|event| event.number > self.after + 1);
        if forgotten || gap || !self.begun && events.is_empty() {
            self.after = last.unwrap_or(self.after);
            events.retain(|event| event.number > self.after);
            self.push(Some(self.after).filter(|after| *after > 0), What::Snapshot, &view, None);
            self.done = view.state.is_terminal();
            return Ok(());
        }
        let newest_progress = events
            .iter()
            .rev()
            .find(|event| matches!(event.what, Happening::Progress { .. }))
            .map(|e| e.number);
        for event in &events {
            self.after = event.number;
            self.tell(event, newest_progress, &view);
        }
        let behind = last.is_some_and(|last| last > self.after);
        if view.state.is_terminal() && !behind && !self.done {
            // The manifest is there and the queue has not said so: it will, or it was lost.
            self.push(None, What::State, &view, None);
            self.done = true;
        }
        Ok(())
    }

    fn tell(&mut self, event: &Event, newest_progress: Option<u64>, view: &Arc<View>) {
        match &event.what {
            // A terminal state is one only with its manifest.
            Happening::State { state } if state.is_terminal() => {
                if view.state.is_terminal() {
                    self.push(Some(event.number), What::State, view, None);
                    self.done = true;
                }
            }
            Happening::State { .. } => self.push(Some(event.number), What::State, view, None),
            Happening::Progress { .. } if newest_progress != Some(event.number) => {}
            Happening::Progress { .. } => self.push(Some(event.number), What::Progress, view, None),
            Happening::Stem { stem } => self.push(Some(event.number), What::Stem, view, Some(stem)),
        }
    }

    fn push(&mut self, number: Option<u64>, what: What, view: &Arc<View>, stem: Option<&StemName>) {
        if self.done {
            return;
        }
        self.begun = true;
        let (stem, view) = (stem.cloned(), Arc::clone(view));
        self.waiting.push_back(Told::Happened(Happened { number, what, stem, view }));
    }
}
