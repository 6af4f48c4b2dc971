//! What workers ask and say.

use super::lines::Line;
use super::machine::Machine;
use super::record::{Place, Word};
use crate::ids::StemName;
use crate::queue::{
    Claim, Claimant, Failure, Fence, Happening, Outcome, Spans, State, TaskId, TaskKind, Token, limits,
};

impl Machine {
    /// As [`Queue::claim`](crate::queue::Queue::claim).
    pub fn claim(&mut self, now_ms: u64, claimant: &Claimant, token: Token) -> Option<Claim> {
        if let Some(held) = self.world.held.get(&token) {
            return self.handed(*held);
        }
        self.drain(now_ms);
        let takes = |kind| claimant.kinds.contains(&kind);
        for kind in TaskKind::ALL.into_iter().filter(|kind| takes(*kind)) {
            let line = Line::of(kind, &claimant.fingerprint);
            self.world.lines.see(now_ms, &line);
            if let Some(id) = self.world.lines.next(&line) {
                let takes_parts = takes(TaskKind::Merge) || takes(TaskKind::Span);
                let fingerprint =
                    Some(claimant.fingerprint.clone()).filter(|text| takes_parts && !text.is_empty());
                self.hand_out(now_ms, id, token, fingerprint);
                if let Some(task) = self.world.tasks.get_mut(&id) {
                    task.before = task.worker.replace(claimant.worker.clone());
                    task.since_ms = now_ms;
                }
                self.world.idle.remove(&claimant.worker);
                return self.handed(id);
            }
        }
        if claimant.kinds.iter().any(|kind| *kind != TaskKind::Notify) {
            self.world.idle.insert(claimant.worker.clone(), now_ms);
        }
        None
    }

    fn hand_out(&mut self, now_ms: u64, id: TaskId, token: Token, takes: Option<String>) {
        self.take_out(id);
        let until_ms = now_ms + self.rules.lease.as_millis() as u64;
        let (Some(task), Some(job)) = (self.world.tasks.get_mut(&id), self.world.jobs.get_mut(&id.job))
        else {
            return;
        };
        task.attempt += 1;
        task.place = Place::Active { token, until_ms };
        task.takes = takes;
        // What an earlier attempt had in hand is lost.
        job.done -= std::mem::take(&mut task.done);
        self.world.leases.insert((until_ms, id.to_string()), id);
        self.world.held.insert(token, id);
        if id.kind != TaskKind::Notify && job.state == State::Queued {
            job.state = State::Running;
            job.times_ms[1] = now_ms;
            job.tell(Happening::State { state: State::Running });
        }
        if matches!(id.kind, TaskKind::Plan | TaskKind::Derive) && !job.charged {
            job.charged = true;
            self.world.lines.charge(&job.new.tenant, limits::cost_ms(&job.new));
        }
    }

    fn handed(&self, id: TaskId) -> Option<Claim> {
        let (task, job) = (self.world.tasks.get(&id)?, self.world.jobs.get(&id.job)?);
        let merge = id.kind == TaskKind::Merge;
        Some(Claim {
            task: id,
            attempt: task.attempt,
            last: task.attempt >= self.rules.max_attempts,
            tenant: job.new.tenant.clone(),
            song: job.new.song,
            payload: job.new.payload.clone(),
            part: if merge { job.merge.clone() } else { task.part.clone() },
            spans: if merge { job.spans } else { 0 },
        })
    }

    /// None where the task is held with this token, otherwise the answer.
    fn fence(&self, id: TaskId, token: Token, word: Option<Word>) -> Option<Fence> {
        if id.job.epoch() < self.epoch {
            return Some(Fence::Canceled);
        }
        let Some(job) = self.world.jobs.get(&id.job) else { return Some(Fence::Lost) };
        let said = job.said.get(&(id.plan, id.kind, id.index));
        if word.is_some_and(|word| said == Some(&(word, token))) {
            return Some(Fence::Held);
        }
        if id.kind != TaskKind::Notify && matches!(job.state, State::Canceled | State::Failed) {
            return Some(Fence::Canceled);
        }
        match self.world.tasks.get(&id).map(|task| task.place) {
            Some(Place::Active { token: holder, .. }) if holder == token => None,
            _ => Some(Fence::Lost),
        }
    }

    fn settle(&mut self, id: TaskId, token: Token, word: Word) -> Fence {
        if let Some(job) = self.world.jobs.get_mut(&id.job) {
            job.said.insert((id.plan, id.kind, id.index), (word, token));
        }
        Fence::Held
    }

    /// As [`Queue::progress`](crate::queue::Queue::progress).
    pub fn progress(&mut self, now_ms: u64, id: TaskId, token: Token, done: u32, total: u32) -> Fence {
        if let Some(answer) = self.fence(id, token, None) {
            return answer;
        }
        let lease = now_ms + self.rules.lease.as_millis() as u64;
        let (Some(task), Some(job)) = (self.world.tasks.get_mut(&id), self.world.jobs.get_mut(&id.job))
        else {
            return Fence::Lost;
        };
        if let Place::Active { until_ms, .. } = &mut task.place
            && lease > *until_ms
        {
            self.world.leases.remove(&(*until_ms, id.to_string()));
            self.world.leases.insert((lease, id.to_string()), id);
            *until_ms = lease;
        }
        if let Some(fingerprint) = &task.takes {
            self.world.lines.see(now_ms, &Line::of(TaskKind::Merge, fingerprint));
            self.world.lines.see(now_ms, &Line::of(TaskKind::Span, fingerprint));
        }
        let units = match id.kind {
            TaskKind::Span => u64::from(task.units),
            TaskKind::Plan | TaskKind::Derive => {
                job.total = job.total.max(u64::from(total));
                job.total
            }
            TaskKind::Merge | TaskKind::Notify => 0,
        };
        let reached = u64::from(done).min(units);
        if reached > task.done {
            let more = reached - task.done;
            task.done = reached;
            job.advance(more);
        }
        Fence::Held
    }

    /// As [`Queue::stem_ready`](crate::queue::Queue::stem_ready).
    pub fn stem_ready(&mut self, id: TaskId, token: Token, stem: &StemName) -> Fence {
        if let Some(answer) = self.fence(id, token, None) {
            return answer;
        }
        if let Some(job) = self.world.jobs.get_mut(&id.job)
            && job.stems.insert(stem.clone())
        {
            job.tell(Happening::Stem { stem: stem.clone() });
        }
        Fence::Held
    }

    /// As [`Queue::complete`](crate::queue::Queue::complete). Of tasks that are no plans the outcome is taken for
    /// [`Outcome::Done`].
    pub fn complete(&mut self, now_ms: u64, id: TaskId, token: Token, outcome: &Outcome) -> Fence {
        if let Some(answer) = self.fence(id, token, Some(Word::Complete)) {
            return answer;
        }
        match (id.kind, outcome) {
            (TaskKind::Plan, Outcome::Planned(plan)) => self.divide(now_ms, id, plan),
            (TaskKind::Span, _) => self.span_done(now_ms, id),
            (TaskKind::Notify, _) => self.destroy(id),
            _ => self.finish(now_ms, id.job, State::Succeeded, ""),
        }
        self.settle(id, token, Word::Complete)
    }

    fn divide(&mut self, now_ms: u64, id: TaskId, plan: &Spans) {
        self.destroy(id);
        let Some(job) = self.world.jobs.get_mut(&id.job) else { return };
        job.spans = plan.spans.len() as u32;
        job.merge.clone_from(&plan.merge);
        job.fingerprint.clone_from(&plan.fingerprint);
        job.done = 0;
        job.total = plan.spans.iter().map(|span| u64::from(span.units)).sum();
        job.left = (0..job.spans).collect();
        for (index, span) in (0..).zip(&plan.spans) {
            let task = TaskId { kind: TaskKind::Span, index, ..id };
            self.create(
                now_ms,
                task,
                Line::of(TaskKind::Span, &plan.fingerprint),
                span.units,
                span.part.clone(),
            );
            self.wait(now_ms, task, false);
        }
    }

    fn span_done(&mut self, now_ms: u64, id: TaskId) {
        let rest = self.world.tasks.get(&id).map_or(0, |task| u64::from(task.units) - task.done);
        self.destroy(id);
        let Some(job) = self.world.jobs.get_mut(&id.job) else { return };
        job.advance(rest);
        if job.left.remove(&id.index) && job.left.is_empty() {
            let line = Line::of(TaskKind::Merge, &job.fingerprint);
            let merge = TaskId { kind: TaskKind::Merge, index: 0, ..id };
            self.create(now_ms, merge, line, 0, String::new());
            self.wait(now_ms, merge, false);
        }
    }

    /// As [`Queue::fail`](crate::queue::Queue::fail).
    pub fn fail(&mut self, now_ms: u64, id: TaskId, token: Token, failure: Failure, reason: &str) -> Fence {
        if let Some(answer) = self.fence(id, token, Some(Word::Fail)) {
            return answer;
        }
        let attempt = self.world.tasks.get(&id).map_or(0, |task| task.attempt);
        if failure == Failure::Permanent || attempt >= self.rules.max_attempts {
            self.give_up(now_ms, id, reason);
        } else {
            self.take_out(id);
            let due_ms = now_ms + self.rules.pause_ms(attempt);
            self.world.delayed.insert((due_ms, id.to_string()), id);
            if let Some(task) = self.world.tasks.get_mut(&id) {
                task.place = Place::Delayed { due_ms };
            }
        }
        self.settle(id, token, Word::Fail)
    }

    /// As [`Queue::release`](crate::queue::Queue::release).
    pub fn release(&mut self, now_ms: u64, id: TaskId, token: Token) -> Fence {
        if let Some(answer) = self.fence(id, token, Some(Word::Release)) {
            return answer;
        }
        self.take_out(id);
        if let Some(task) = self.world.tasks.get_mut(&id) {
            task.attempt -= 1;
        }
        self.wait(now_ms, id, true);
        self.settle(id, token, Word::Release)
    }
}
