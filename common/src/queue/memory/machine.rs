//! The queue as a machine: no clock, no locks, no waiting. What it does is what the scripts do.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::entrance::Entrance;
use super::lines::{Line, Lines};
use super::record::{Job, Place, Task};
use crate::ids::{Epoch, JobId, SongHash, Tenant};
use crate::queue::{
    Dead, Depth, Event, First, NewJob, Room, Rules, State, Status, Submitted, TaskId, TaskKind, Token, limits,
};

/// A queue in memory whose every call is told what time it is.
///
/// The calls are those of [`Queue`](crate::queue::Queue).
#[derive(Debug)]
pub struct Machine {
    pub(super) rules: Rules,
    pub(super) epoch: Epoch,
    pub(super) entrance: Entrance,
    pub(super) world: World,
}

/// Everything of one epoch.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) jobs: HashMap<JobId, Job>,
    pub(super) tasks: HashMap<TaskId, Task>,
    pub(super) lines: Lines,
    /// By the end of their lease, then by their name.
    pub(super) leases: BTreeMap<(u64, String), TaskId>,
    pub(super) held: HashMap<Token, TaskId>,
    /// By when they are due, then by their name.
    pub(super) delayed: BTreeMap<(u64, String), TaskId>,
    /// Jobs that have not ended, in the order in which they entered.
    pub(super) open: BTreeMap<u64, JobId>,
    pub(super) open_of: HashMap<Tenant, u64>,
    pub(super) cost_ms: u64,
    /// Ended jobs by when they are forgotten.
    pub(super) ended: BTreeMap<(u64, String), JobId>,
    /// Who asked for work in vain, and when the last time.
    pub(super) idle: HashMap<String, u64>,
    /// The newest first.
    pub(super) dead: VecDeque<Dead>,
    seq: u64,
}

impl Machine {
    /// An empty one.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, epoch: Epoch(0), entrance: Entrance::default(), world: World::default() }
    }

    /// As [`Queue::submit`](crate::queue::Queue::submit).
    pub fn submit(&mut self, now_ms: u64, job: &NewJob, room: Room) -> Submitted {
        let id = job.id;
        if id.epoch() < self.epoch {
            return Submitted::Stale;
        }
        self.raise(id.epoch());
        let kind = match job.first {
            First::Plan => TaskKind::Plan,
            First::Derive => TaskKind::Derive,
        };
        let task = TaskId { job: id, plan: 0, kind, index: 0 };
        if let Some(known) = self.world.jobs.get(&id) {
            let place = self.world.tasks.get(&task).map(|task| task.place);
            if matches!(place, Some(Place::Entering)) && !self.entrance.has(task) {
                self.entrance.push(task.to_string());
            }
            return Submitted::Known(known.state);
        }
        if self.world.open_of.get(&job.tenant).copied().unwrap_or(0) >= room.jobs_of_tenant {
            return Submitted::TenantFull;
        }
        if self.world.open.len() as u64 >= room.jobs {
            return Submitted::Full;
        }

        self.world.seq += 1;
        let seq = self.world.seq;
        self.world.open.insert(seq, id);
        *self.world.open_of.entry(job.tenant.clone()).or_insert(0) += 1;
        self.world.cost_ms += limits::cost_ms(job);
        self.world.jobs.insert(id, Job::new(job.clone(), seq, now_ms));
        self.create(now_ms, task, Line::of(kind, ""), 0, String::new());
        self.entrance.push(task.to_string());
        Submitted::Accepted
    }

    /// As [`Queue::cancel`](crate::queue::Queue::cancel).
    pub fn cancel(&mut self, now_ms: u64, job: JobId) -> Option<State> {
        let state = self.world.jobs.get(&job)?.state;
        if state.is_terminal() {
            return Some(state);
        }
        self.finish(now_ms, job, State::Canceled, "");
        Some(State::Canceled)
    }

    /// As [`Queue::forget`](crate::queue::Queue::forget).
    pub fn forget(&mut self, job: JobId) {
        if self.world.jobs.get(&job).is_some_and(|job| job.state.is_terminal()) {
            self.destroy_all(job);
            self.world.jobs.remove(&job);
            self.world.ended.retain(|_, ended| *ended != job);
        }
    }

    /// As [`Queue::reset`](crate::queue::Queue::reset).
    pub fn reset(&mut self, epoch: Epoch) -> Epoch {
        self.raise(epoch);
        self.epoch
    }

    /// As [`Queue::epoch`](crate::queue::Queue::epoch).
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// As [`Queue::status`](crate::queue::Queue::status).
    #[must_use]
    pub fn status(&self, job: JobId) -> Option<Status> {
        let job = self.world.jobs.get(&job)?;
        let queued = job.state == State::Queued;
        let ahead = if queued { self.world.open.range(..job.seq).count() as u64 } else { 0 };
        Some(job.status(ahead))
    }

    /// As [`Queue::unfinished`](crate::queue::Queue::unfinished).
    #[must_use]
    pub fn unfinished(&self, after: Option<JobId>, limit: usize) -> Vec<(JobId, SongHash)> {
        let seq = after.and_then(|job| self.world.jobs.get(&job)).map_or(0, |job| job.seq);
        let open = self.world.open.range(seq + 1..).take(limit);
        open.filter_map(|(_, id)| self.world.jobs.get(id).map(|job| (*id, job.new.song))).collect()
    }

    /// As [`Queue::events`](crate::queue::Queue::events).
    #[must_use]
    pub fn events(&self, job: JobId, after: u64, limit: usize) -> Vec<Event> {
        let events = self.world.jobs.get(&job).into_iter().flat_map(|job| &job.events);
        events.filter(|event| event.number > after).take(limit).cloned().collect()
    }

    /// As [`Queue::depth`](crate::queue::Queue::depth).
    #[must_use]
    pub fn depth(&self, now_ms: u64) -> Depth {
        let is_notice = |id: &&TaskId| id.kind == TaskKind::Notify;
        let tasks = self.world.tasks.iter();
        let waits = tasks.filter(|(id, task)| match task.place {
            Place::Ready { .. } => !is_notice(id),
            Place::Entering => self.entrance.is_first(**id),
            Place::Active { .. } | Place::Delayed { .. } => false,
        });
        let oldest_ms = waits.map(|(_, task)| task.since_ms).min().unwrap_or(now_ms);
        Depth {
            jobs: self.world.open.len() as u64,
            ready: self.ready(),
            delayed: self.world.delayed.len() as u64,
            active: self.world.leases.len() as u64,
            cost_ms: self.world.cost_ms,
            dead: self.world.dead.len() as u64,
            ready_notices: self.world.lines.len_of(&Line::of(TaskKind::Notify, "")),
            active_notices: self.world.leases.values().filter(is_notice).count() as u64,
            oldest_ready_ms: now_ms.saturating_sub(oldest_ms),
        }
    }

    /// Tasks that wait, foreign entries included.
    pub(super) fn ready(&self) -> u64 {
        self.entrance.len() + self.world.lines.len()
    }

    /// As [`Queue::dead`](crate::queue::Queue::dead).
    #[must_use]
    pub fn dead(&self, limit: usize) -> Vec<Dead> {
        self.world.dead.iter().take(limit).cloned().collect()
    }

    /// As [`Queue::bury`](crate::queue::Queue::bury).
    pub fn bury(&mut self, job: JobId) {
        self.world.dead.retain(|dead| dead.job != job);
    }

    /// Puts an entry onto the entrance list, as if someone pushed it by hand.
    pub fn push_by_hand(&mut self, entry: &str) {
        self.entrance.push(entry.to_owned());
    }

    /// As [`Queue::next_foreign`](crate::queue::Queue::next_foreign).
    pub fn next_foreign(&mut self, now_ms: u64) -> Option<String> {
        self.drain(now_ms);
        self.entrance.next_foreign(now_ms, now_ms + self.rules.lease.as_millis() as u64)
    }

    /// As [`Queue::settle_foreign`](crate::queue::Queue::settle_foreign).
    pub fn settle_foreign(&mut self, entry: &str) {
        self.entrance.settle_foreign(entry);
    }

    fn raise(&mut self, epoch: Epoch) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.world = World::default();
            self.entrance.keep_foreign();
        }
    }
}
