//! The queue of a single process: [`Machine`] behind a lock, with those who wait.
//!
//! It is lost with the process; as with the loss of Redis, what was accepted is submitted again from the store.

mod entrance;
mod lines;
mod machine;
mod moves;
mod reap;
mod record;
mod work;
mod workers;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{
    Claim, Claimant, Clock, Dead, Depth, Event, Failure, Fence, NewJob, Outcome, Queue, Reaped, Result, Room,
    Rules, Seen, State, Status, Submitted, TaskId, Token, limits,
};
use crate::ids::{Epoch, JobId, SongHash, StemName};

pub use machine::Machine;

/// A queue in the memory of one process.
#[derive(Debug)]
pub struct MemoryQueue {
    machine: Mutex<Machine>,
    clock: Clock,
    /// Rung for everybody with every change.
    changes: Notify,
    /// Rung when there is more to claim.
    bell: Notify,
}

/// Longest sleep at the doorbell; what woke nobody may be for others only.
const SLEEP: Duration = Duration::from_millis(500);

impl MemoryQueue {
    /// An empty one.
    #[must_use]
    pub fn new(rules: Rules, clock: Clock) -> Self {
        Self { machine: Mutex::new(Machine::new(rules)), clock, changes: Notify::new(), bell: Notify::new() }
    }

    /// Puts an entry onto the entrance list, as if someone pushed it by hand.
    pub fn push_by_hand(&self, entry: &str) {
        self.change(|machine, _| machine.push_by_hand(entry));
    }

    fn read(&self) -> MutexGuard<'_, Machine> {
        // A panic in the middle of a change would be a defect of the machine; the rest of the service goes on.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Machine, u64) -> T) -> T {
        // The time is taken under the lock: it never goes back from one change to the next.
        let mut machine = self.read();
        let before = machine.ready();
        let answer = change(&mut machine, self.clock.now_ms());
        let more = machine.ready() > before;
        drop(machine);
        self.changes.notify_waiters();
        if more {
            // Those who sleep, and one who is about to.
            self.bell.notify_waiters();
            self.bell.notify_one();
        }
        answer
    }

    /// Waits until `holds`, or the time is over; gives whether it does.
    async fn wait_until(&self, timeout: Duration, holds: impl Fn(&Machine) -> bool + Send) -> bool {
        let end = Instant::now() + timeout;
        loop {
            let mut change = std::pin::pin!(self.changes.notified());
            // Before the look, so that no change in between is missed.
            change.as_mut().enable();
            if holds(&self.read()) {
                return true;
            }
            if timeout_at(end, change).await.is_err() {
                return false;
            }
        }
    }
}

#[async_trait::async_trait]
impl Queue for MemoryQueue {
    async fn submit(&self, job: &NewJob, room: Room) -> Result<Submitted> {
        Ok(self.change(|machine, now_ms| machine.submit(now_ms, job, room)))
    }

    async fn claim(&self, claimant: &Claimant, token: Token) -> Result<Option<Claim>> {
        Ok(self.change(|machine, now_ms| machine.claim(now_ms, claimant, token)))
    }

    async fn progress(&self, task: TaskId, token: Token, done: u32, total: u32) -> Result<Fence> {
        Ok(self.change(|machine, now_ms| machine.progress(now_ms, task, token, done, total)))
    }

    async fn stem_ready(&self, task: TaskId, token: Token, stem: &StemName) -> Result<Fence> {
        Ok(self.change(|machine, _| machine.stem_ready(task, token, stem)))
    }

    async fn complete(&self, task: TaskId, token: Token, outcome: &Outcome) -> Result<Fence> {
        limits::outcome(task, outcome)?;
        Ok(self.change(|machine, now_ms| machine.complete(now_ms, task, token, outcome)))
    }

    async fn fail(&self, task: TaskId, token: Token, failure: Failure, reason: &str) -> Result<Fence> {
        let reason = limits::reason(reason);
        Ok(self.change(|machine, now_ms| machine.fail(now_ms, task, token, failure, reason)))
    }

    async fn release(&self, task: TaskId, token: Token) -> Result<Fence> {
        Ok(self.change(|machine, now_ms| machine.release(now_ms, task, token)))
    }

    async fn reap(&self) -> Result<Reaped> {
        Ok(self.change(Machine::reap))
    }

    async fn cancel(&self, job: JobId) -> Result<Option<State>> {
        Ok(self.change(|machine, now_ms| machine.cancel(now_ms, job)))
    }

    async fn forget(&self, job: JobId) -> Result<()> {
        self.change(|machine, _| machine.forget(job));
        Ok(())
    }

    async fn reset(&self, epoch: Epoch) -> Result<Epoch> {
        Ok(self.change(|machine, _| machine.reset(epoch)))
    }

    async fn epoch(&self) -> Result<Epoch> {
        Ok(self.read().epoch())
    }

    async fn status(&self, job: JobId) -> Result<Option<Status>> {
        Ok(self.read().status(job))
    }

    async fn unfinished(&self, after: Option<JobId>, limit: usize) -> Result<Vec<(JobId, SongHash)>> {
        Ok(self.read().unfinished(after, limit))
    }

    async fn events(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<Event>> {
        Ok(self.read().events(job, after, limit))
    }

    async fn changed(&self, job: JobId, after: u64, timeout: Duration) -> Result<bool> {
        let later = |machine: &Machine| machine.status(job).is_some_and(|status| status.last_event > after);
        Ok(self.wait_until(timeout, later).await)
    }

    async fn ready(&self, timeout: Duration) -> Result<()> {
        let end = Instant::now() + timeout;
        loop {
            let nap = end.min(Instant::now() + SLEEP);
            let rung = timeout_at(nap, self.bell.notified()).await.is_ok();
            if rung || Instant::now() >= end || self.read().ready() > 0 {
                return Ok(());
            }
        }
    }

    async fn depth(&self) -> Result<Depth> {
        Ok(self.read().depth(self.clock.now_ms()))
    }

    async fn workers(&self, limit: usize) -> Result<Vec<Seen>> {
        let machine = self.read();
        Ok(machine.workers(self.clock.now_ms(), limit.min(limits::WORKERS)))
    }

    async fn dead(&self, limit: usize) -> Result<Vec<Dead>> {
        Ok(self.read().dead(limit))
    }

    async fn bury(&self, job: JobId) -> Result<()> {
        self.change(|machine, _| machine.bury(job));
        Ok(())
    }

    async fn next_foreign(&self) -> Result<Option<String>> {
        Ok(self.change(Machine::next_foreign))
    }

    async fn settle_foreign(&self, entry: &str) -> Result<()> {
        self.change(|machine, _| machine.settle_foreign(entry));
        Ok(())
    }

    /// Goes to the program's own log: nobody else could read it.
    async fn log(&self, line: &str) -> Result<()> {
        tracing::debug!(line, "log line");
        Ok(())
    }
}
