//! How tasks come into being, move and go; how jobs end.

use super::lines::Line;
use super::machine::Machine;
use super::record::{Place, Task};
use crate::ids::JobId;
use crate::queue::{Dead, State, TaskId, TaskKind, limits};

impl Machine {
    /// A new task, on its way in. Nothing where its job is not known.
    pub(super) fn create(&mut self, now_ms: u64, id: TaskId, line: Line, units: u32, part: String) {
        let Some(job) = self.world.jobs.get_mut(&id.job) else { return };
        job.tasks.insert(id);
        let (place, since_ms) = (Place::Entering, now_ms);
        let (takes, worker, before) = (None, None, None);
        let task = Task { line, place, since_ms, attempt: 0, units, part, done: 0, takes, worker, before };
        self.world.tasks.insert(id, task);
    }

    /// Puts a task that is in no other place into its line: at the head what comes back, which waits from now on.
    pub(super) fn wait(&mut self, now_ms: u64, id: TaskId, at_head: bool) {
        let Some(job) = self.world.jobs.get(&id.job) else { return };
        let Some(task) = self.world.tasks.get_mut(&id) else { return };
        let place = self.world.lines.wait(now_ms, id, &task.line, &job.new.tenant, at_head);
        task.place = Place::Ready { place };
        if at_head {
            task.since_ms = now_ms;
        }
    }

    /// Takes a task out of wherever it is.
    pub(super) fn take_out(&mut self, id: TaskId) {
        let Some(job) = self.world.jobs.get(&id.job) else { return };
        let Some(task) = self.world.tasks.get(&id) else { return };
        match task.place {
            Place::Entering => self.entrance.remove(id),
            Place::Ready { place } => self.world.lines.leave(&task.line, &job.new.tenant, place),
            Place::Active { token, until_ms } => {
                self.world.leases.remove(&(until_ms, id.to_string()));
                self.world.held.remove(&token);
            }
            Place::Delayed { due_ms } => {
                self.world.delayed.remove(&(due_ms, id.to_string()));
            }
        }
    }

    pub(super) fn destroy(&mut self, id: TaskId) {
        self.take_out(id);
        self.world.tasks.remove(&id);
        if let Some(job) = self.world.jobs.get_mut(&id.job) {
            job.tasks.remove(&id);
        }
    }

    pub(super) fn destroy_all(&mut self, job: JobId) {
        let tasks = self.world.jobs.get(&job).map(|job| job.tasks.clone()).unwrap_or_default();
        for task in tasks {
            self.destroy(task);
        }
    }

    /// What is in the entrance goes to its lines.
    pub(super) fn drain(&mut self, now_ms: u64) {
        for id in self.entrance.drain() {
            let entering =
                self.world.tasks.get(&id).is_some_and(|task| matches!(task.place, Place::Entering));
            if let Some(job) = self.world.jobs.get(&id.job).filter(|_| entering) {
                self.world.lines.enter(&job.new.tenant);
                self.wait(now_ms, id, false);
            }
        }
    }

    /// Ends a job that has not ended.
    pub(super) fn finish(&mut self, now_ms: u64, id: JobId, state: State, reason: &str) {
        self.destroy_all(id);
        let Some(job) = self.world.jobs.get_mut(&id) else { return };
        job.end(now_ms, state, reason);
        self.world.open.remove(&job.seq);
        self.world.cost_ms -= limits::cost_ms(&job.new);
        if let Some(open) = self.world.open_of.get_mut(&job.new.tenant) {
            *open -= 1;
        }
        let notify = job.new.notify;
        self.world.ended.insert((now_ms + self.rules.remember.as_millis() as u64, id.to_string()), id);
        if notify {
            let task = TaskId { job: id, plan: 0, kind: TaskKind::Notify, index: 0 };
            self.create(now_ms, task, Line::of(TaskKind::Notify, ""), 0, String::new());
            self.wait(now_ms, task, false);
        }
    }

    /// A task is given up; so is its job, except for a notification, which comes after the end.
    pub(super) fn give_up(&mut self, now_ms: u64, id: TaskId, reason: &str) {
        let entry = Dead { job: id.job, task: id.to_string(), reason: reason.to_owned(), at_ms: now_ms };
        self.world.dead.push_front(entry);
        self.world.dead.truncate(limits::DEAD);
        if id.kind == TaskKind::Notify {
            self.destroy(id);
        } else {
            self.finish(now_ms, id.job, State::Failed, reason);
        }
    }
}
