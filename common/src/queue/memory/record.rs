//! What the machine knows of one job and of one task.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::lines::Line;
use crate::ids::StemName;
use crate::queue::{Event, Happening, NewJob, State, Status, TaskId, TaskKind, Token, limits};

/// What settles a task; the same word again is not a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Complete,
    Fail,
    Release,
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) new: NewJob,
    pub(super) state: State,
    pub(super) plan: u32,
    pub(super) seq: u64,
    pub(super) times_ms: [u64; 3],
    pub(super) reason: String,
    pub(super) permille: u32,
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) events: VecDeque<Event>,
    pub(super) last_event: u64,
    pub(super) fingerprint: String,
    pub(super) merge: String,
    pub(super) spans: u32,
    /// Spans that are not finished.
    pub(super) left: BTreeSet<u32>,
    /// Whether its tenant's time has advanced for it.
    pub(super) charged: bool,
    pub(super) said: HashMap<(u32, TaskKind, u32), (Word, Token)>,
    pub(super) stems: BTreeSet<StemName>,
    pub(super) tasks: BTreeSet<TaskId>,
}

impl Job {
    pub(super) fn new(new: NewJob, seq: u64, now_ms: u64) -> Self {
        let mut job = Self {
            new,
            state: State::Queued,
            plan: 0,
            seq,
            times_ms: [now_ms, 0, 0],
            reason: String::new(),
            permille: 0,
            done: 0,
            total: 0,
            events: VecDeque::new(),
            last_event: 0,
            fingerprint: String::new(),
            merge: String::new(),
            spans: 0,
            left: BTreeSet::new(),
            charged: false,
            said: HashMap::new(),
            stems: BTreeSet::new(),
            tasks: BTreeSet::new(),
        };
        job.tell(Happening::State { state: State::Queued });
        job
    }

    pub(super) fn tell(&mut self, what: Happening) {
        self.last_event += 1;
        self.events.push_back(Event { number: self.last_event, what });
        if self.events.len() > limits::EVENTS {
            self.events.pop_front();
        }
    }

    /// Adds to what is done; the highest part so far is what is told.
    pub(super) fn advance(&mut self, units: u64) {
        self.done += units;
        if self.total == 0 {
            return;
        }
        let reached = (self.done.saturating_mul(1000) / self.total).min(999) as u32;
        if reached > self.permille {
            self.permille = reached;
            self.tell(Happening::Progress { permille: reached, units: self.units() });
        }
    }

    pub(super) fn end(&mut self, now_ms: u64, state: State, reason: &str) {
        self.state = state;
        self.times_ms[2] = now_ms;
        reason.clone_into(&mut self.reason);
        self.left.clear();
        if state == State::Succeeded {
            self.permille = 1000;
            self.done = self.total;
            self.tell(Happening::Progress { permille: 1000, units: self.units() });
        }
        self.tell(Happening::State { state });
    }

    pub(super) fn status(&self, ahead: u64) -> Status {
        Status {
            id: self.new.id,
            tenant: self.new.tenant.clone(),
            song: self.new.song,
            state: self.state,
            units: self.units(),
            permille: self.permille,
            ahead,
            times_ms: self.times_ms,
            reason: self.reason.clone(),
            last_event: self.last_event,
        }
    }

    fn units(&self) -> (u32, u32) {
        let whole = |units: u64| u32::try_from(units).unwrap_or(u32::MAX);
        (whole(self.done), whole(self.total))
    }
}

/// Where a task is: in exactly one place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Entering,
    Ready { place: i64 },
    Active { token: Token, until_ms: u64 },
    Delayed { due_ms: u64 },
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) line: Line,
    pub(super) place: Place,
    /// When it began to wait, or came into the hands that it is in.
    pub(super) since_ms: u64,
    pub(super) attempt: u32,
    pub(super) units: u32,
    pub(super) part: String,
    /// Units in the hands of its present worker.
    pub(super) done: u64,
    /// Fingerprint of its worker, where that takes spans or merges.
    pub(super) takes: Option<String>,
    /// Who claimed it last, and who had it before.
    pub(super) worker: Option<String>,
    pub(super) before: Option<String>,
}
