//! What time brings: expired leases, delayed tasks, orphaned songs, forgotten jobs.

use std::collections::BTreeMap;

use super::lines::Line;
use super::machine::Machine;
use super::record::Place;
use crate::ids::JobId;
use crate::queue::{Reaped, TaskId, TaskKind, limits};

impl Machine {
    /// As [`Queue::reap`](crate::queue::Queue::reap).
    pub fn reap(&mut self, now_ms: u64) -> Reaped {
        self.drain(now_ms);
        let mut found = Reaped::default();
        self.reap_leases(now_ms, &mut found);
        found.woken = self.wake_delayed(now_ms);
        self.replan_orphans(now_ms, &mut found);
        self.forget_ended(now_ms);
        let lease_ms = self.rules.lease.as_millis() as u64;
        self.world.idle.retain(|_, asked_ms| *asked_ms + lease_ms > now_ms);
        found
    }

    fn reap_leases(&mut self, now_ms: u64, found: &mut Reaped) {
        // From the last to the first, so that the first one is at the head afterwards.
        for id in due(&self.world.leases, now_ms).into_iter().rev() {
            let Some(task) = self.world.tasks.get(&id) else { continue };
            if !matches!(task.place, Place::Active { .. }) {
                continue;
            }
            found.expired += 1;
            let attempt = task.attempt;
            if attempt >= self.rules.max_attempts {
                found.dead += 1;
                let reason = format!(
                    "given up after {attempt} attempts, the last one without a word within its lease"
                );
                self.give_up(now_ms, id, &reason);
            } else {
                self.take_out(id);
                self.wait(now_ms, id, true);
            }
        }
    }

    fn wake_delayed(&mut self, now_ms: u64) -> u64 {
        let delayed = due(&self.world.delayed, now_ms);
        for id in delayed.iter().rev() {
            self.take_out(*id);
            self.wait(now_ms, *id, true);
        }
        delayed.len() as u64
    }

    /// Songs whose spans or merge wait for workers that nobody has seen for long are planned again by others.
    fn replan_orphans(&mut self, now_ms: u64, found: &mut Reaped) {
        let since_ms = now_ms.checked_sub(self.rules.orphaned_after.as_millis() as u64);
        let mut orphans = BTreeMap::new();
        for task in self.world.lines.orphans(since_ms) {
            if let Some(job) = self.world.jobs.get(&task.job) {
                orphans.entry(job.seq).or_insert(task);
            }
        }
        let chosen: Vec<TaskId> = orphans.into_values().take(limits::REPLAN).collect();
        for task in chosen.iter().rev() {
            found.replanned += 1;
            self.replan(now_ms, *task, found);
        }
    }

    fn replan(&mut self, now_ms: u64, orphan: TaskId, found: &mut Reaped) {
        let plan = orphan.plan + 1;
        if plan >= self.rules.max_attempts {
            found.dead += 1;
            let reason =
                format!("given up after {plan} plans: no worker of the kind that planned it came back");
            self.give_up(now_ms, orphan, &reason);
            return;
        }
        self.destroy_all(orphan.job);
        let Some(job) = self.world.jobs.get_mut(&orphan.job) else { return };
        job.plan = plan;
        (job.done, job.total, job.spans) = (0, 0, 0);
        job.left.clear();
        job.said.clear();
        let task = TaskId { job: orphan.job, plan, kind: TaskKind::Plan, index: 0 };
        self.create(now_ms, task, Line::of(TaskKind::Plan, ""), 0, String::new());
        self.wait(now_ms, task, true);
    }

    fn forget_ended(&mut self, now_ms: u64) {
        let later_ms = now_ms + self.rules.remember.as_millis() as u64;
        let due: Vec<((u64, String), JobId)> = self
            .world
            .ended
            .range(..(now_ms + 1, String::new()))
            .take(limits::REAP)
            .map(|(key, job)| (key.clone(), *job))
            .collect();
        for (key, id) in due {
            if self.world.jobs.get(&id).is_some_and(|job| !job.tasks.is_empty()) {
                // Its notification is still on the way.
                self.world.ended.remove(&key);
                self.world.ended.insert((later_ms, key.1), id);
            } else {
                self.forget(id);
            }
        }
    }
}

fn due(tasks: &BTreeMap<(u64, String), TaskId>, now_ms: u64) -> Vec<TaskId> {
    tasks.range(..(now_ms + 1, String::new())).take(limits::REAP).map(|(_, task)| *task).collect()
}
