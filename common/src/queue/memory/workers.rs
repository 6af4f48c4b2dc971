//! Who works on what.

use super::machine::Machine;
use crate::queue::{Held, Seen, TaskId, TaskKind};

impl Machine {
    /// As [`Queue::workers`](crate::queue::Queue::workers).
    #[must_use]
    pub fn workers(&self, now_ms: u64, limit: usize) -> Vec<Seen> {
        let lease_ms = self.rules.lease.as_millis() as u64;
        let held = self.world.leases.iter().take(limit);
        let held = held.filter(|(_, id)| id.kind != TaskKind::Notify);
        let busy = held.filter_map(|((until_ms, _), id)| self.at_work(now_ms, *id, *until_ms, lease_ms));
        let fresh = self.world.idle.iter().filter(|(_, asked_ms)| **asked_ms + lease_ms > now_ms);
        let mut idle: Vec<(u64, &String)> = fresh.map(|(worker, asked_ms)| (*asked_ms, worker)).collect();
        idle.sort_unstable();
        let idle = idle.into_iter().take(limit).map(|(asked_ms, worker)| Seen {
            worker: worker.clone(),
            silent_ms: now_ms.saturating_sub(asked_ms),
            task: None,
        });
        busy.chain(idle).collect()
    }

    fn at_work(&self, now_ms: u64, id: TaskId, until_ms: u64, lease_ms: u64) -> Option<Seen> {
        let (task, job) = (self.world.tasks.get(&id)?, self.world.jobs.get(&id.job)?);
        let held = Held {
            id: id.to_string(),
            job: id.job,
            kind: id.kind,
            tenant: job.new.tenant.clone(),
            song: job.new.song,
            attempt: task.attempt,
            held_ms: now_ms.saturating_sub(task.since_ms),
            left_ms: until_ms.saturating_sub(now_ms),
            before: task.before.clone(),
        };
        let silent_ms = (now_ms + lease_ms).saturating_sub(until_ms);
        Some(Seen { worker: task.worker.clone()?, silent_ms, task: Some(held) })
    }
}
