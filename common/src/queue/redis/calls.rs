//! The calls, each of them one script.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{RedisQueue, answers};
use crate::ids::{Epoch, JobId, SongHash, StemName};
use crate::queue::{
    Claim, Claimant, Dead, Depth, Event, Failure, Fence, First, NewJob, Outcome, Queue, Reaped, Result, Room,
    Seen, State, Status, Submitted, TaskId, TaskKind, Token, limits,
};

/// How often someone who waits for news of a job asks for them.
const POLL: Duration = Duration::from_millis(150);
/// Log lines that are kept for whoever prints them.
const LOG_LINES: isize = 5000;

#[async_trait::async_trait]
impl Queue for RedisQueue {
    async fn submit(&self, job: &NewJob, room: Room) -> Result<Submitted> {
        let first = match job.first {
            First::Plan => TaskKind::Plan,
            First::Derive => TaskKind::Derive,
        };
        let answer: String = self
            .call(&self.scripts.submit, |call| {
                call.arg(job.id.to_string()).arg(job.id.epoch().0);
                call.arg(job.tenant.as_str()).arg(job.song.to_string()).arg(first.as_str());
                call.arg(limits::cost_ms(job)).arg(u8::from(job.notify)).arg(&job.payload);
                call.arg(room.jobs).arg(room.jobs_of_tenant);
            })
            .await?;
        answers::submitted(&answer)
    }

    async fn claim(&self, claimant: &Claimant, token: Token) -> Result<Option<Claim>> {
        let fields: Option<Vec<String>> = self
            .call(&self.scripts.claim, |call| {
                call.arg(token.to_string()).arg(&claimant.worker).arg(&claimant.fingerprint);
                for kind in TaskKind::ALL.into_iter().filter(|kind| claimant.kinds.contains(kind)) {
                    call.arg(kind.as_str());
                }
            })
            .await?;
        fields.map(|fields| answers::claim(fields, self.rules.max_attempts)).transpose()
    }

    async fn progress(&self, task: TaskId, token: Token, done: u32, total: u32) -> Result<Fence> {
        let answer: String = self
            .call(&self.scripts.progress, |call| {
                call.arg(task.to_string()).arg(token.to_string()).arg(done).arg(total);
            })
            .await?;
        answers::fence(&answer)
    }

    async fn stem_ready(&self, task: TaskId, token: Token, stem: &StemName) -> Result<Fence> {
        let answer: String = self
            .call(&self.scripts.stem, |call| {
                call.arg(task.to_string()).arg(token.to_string()).arg(stem.as_str());
            })
            .await?;
        answers::fence(&answer)
    }

    async fn complete(&self, task: TaskId, token: Token, outcome: &Outcome) -> Result<Fence> {
        limits::outcome(task, outcome)?;
        let answer: String = self
            .call(&self.scripts.complete, |call| {
                call.arg(task.to_string()).arg(token.to_string());
                match outcome {
                    Outcome::Done => {
                        call.arg("done");
                    }
                    Outcome::Planned(plan) => {
                        call.arg("planned").arg(&plan.fingerprint).arg(&plan.merge);
                        for span in &plan.spans {
                            call.arg(span.units).arg(&span.part);
                        }
                    }
                }
            })
            .await?;
        answers::fence(&answer)
    }

    async fn fail(&self, task: TaskId, token: Token, failure: Failure, reason: &str) -> Result<Fence> {
        let failure = match failure {
            Failure::Permanent => "permanent",
            Failure::Transient => "transient",
        };
        let answer: String = self
            .call(&self.scripts.fail, |call| {
                call.arg(task.to_string()).arg(token.to_string()).arg(failure).arg(limits::reason(reason));
            })
            .await?;
        answers::fence(&answer)
    }

    async fn release(&self, task: TaskId, token: Token) -> Result<Fence> {
        let answer: String = self
            .call(&self.scripts.release, |call| {
                call.arg(task.to_string()).arg(token.to_string());
            })
            .await?;
        answers::fence(&answer)
    }

    async fn reap(&self) -> Result<Reaped> {
        let (expired, woken, replanned, dead, old): (u64, u64, u64, u64, String) =
            self.call(&self.scripts.reap, |_| ()).await?;
        if !old.is_empty() {
            self.sweep_behind();
        }
        Ok(Reaped { expired, woken, replanned, dead })
    }

    async fn cancel(&self, job: JobId) -> Result<Option<State>> {
        let state: Option<String> = self
            .call(&self.scripts.cancel, |call| {
                call.arg(job.to_string()).arg(job.epoch().0);
            })
            .await?;
        state.as_deref().map(answers::state).transpose()
    }

    async fn forget(&self, job: JobId) -> Result<()> {
        let call = self.call::<String>(&self.scripts.forget, |call| {
            call.arg(job.to_string()).arg(job.epoch().0);
        });
        call.await.map(drop)
    }

    async fn reset(&self, epoch: Epoch) -> Result<Epoch> {
        let holds = self.call(&self.scripts.reset, |call| {
            call.arg(epoch.0);
        });
        let holds = holds.await?;
        self.sweep_behind();
        Ok(Epoch(holds))
    }

    async fn epoch(&self) -> Result<Epoch> {
        // 0 raises nothing.
        let holds = self.call(&self.scripts.reset, |call| {
            call.arg(0);
        });
        Ok(Epoch(holds.await?))
    }

    async fn status(&self, job: JobId) -> Result<Option<Status>> {
        let fields: Option<Vec<String>> = self
            .call(&self.scripts.status, |call| {
                call.arg(job.to_string()).arg(job.epoch().0);
            })
            .await?;
        fields.map(|fields| answers::status(job, fields)).transpose()
    }

    async fn unfinished(&self, after: Option<JobId>, limit: usize) -> Result<Vec<(JobId, SongHash)>> {
        let found: Vec<String> = self
            .call(&self.scripts.unfinished, |call| {
                call.arg(after.map(|job| job.to_string()).unwrap_or_default()).arg(limit);
            })
            .await?;
        let (pairs, _) = found.as_chunks::<2>();
        pairs.iter().map(|[job, song]| Ok((answers::parse(job)?, answers::parse(song)?))).collect()
    }

    async fn events(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<Event>> {
        let lines: Vec<String> = self
            .call(&self.scripts.events, |call| {
                call.arg(job.to_string()).arg(job.epoch().0).arg(after).arg(limit.min(limits::EVENTS));
            })
            .await?;
        answers::events(&lines)
    }

    async fn changed(&self, job: JobId, after: u64, timeout: Duration) -> Result<bool> {
        let end = Instant::now() + timeout;
        loop {
            if self.status(job).await?.is_some_and(|status| status.last_event > after) {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            sleep(left.min(POLL)).await;
        }
    }

    async fn ready(&self, timeout: Duration) -> Result<()> {
        let end = Instant::now() + timeout;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let rung = self.sleepers.sleep(&self.client, &self.bell(), left).await?;
            // What no bell told of may still be for others only: hence after the sleep.
            if rung || Instant::now() >= end || self.depth().await?.ready > 0 {
                return Ok(());
            }
        }
    }

    async fn depth(&self) -> Result<Depth> {
        let (jobs, ready, delayed, active, cost_ms, dead, ready_notices, active_notices, oldest_ready_ms) =
            self.call(&self.scripts.depth, |_| ()).await?;
        Ok(Depth {
            jobs,
            ready,
            delayed,
            active,
            cost_ms,
            dead,
            ready_notices,
            active_notices,
            oldest_ready_ms,
        })
    }

    async fn workers(&self, limit: usize) -> Result<Vec<Seen>> {
        let rows: Vec<Vec<String>> = self
            .call(&self.scripts.workers, |call| {
                call.arg(limit.min(limits::WORKERS));
            })
            .await?;
        rows.into_iter().map(answers::seen).collect()
    }

    async fn dead(&self, limit: usize) -> Result<Vec<Dead>> {
        let entries: Vec<String> = self
            .call(&self.scripts.dead, |call| {
                call.arg(limit.min(limits::DEAD));
            })
            .await?;
        entries.iter().map(|entry| answers::dead(entry)).collect()
    }

    async fn bury(&self, job: JobId) -> Result<()> {
        let call = self.call::<String>(&self.scripts.bury, |call| {
            call.arg(job.to_string());
        });
        call.await.map(drop)
    }

    async fn next_foreign(&self) -> Result<Option<String>> {
        loop {
            let entry: Option<Vec<u8>> = self.call(&self.scripts.next_foreign, |_| ()).await?;
            match entry.map(String::from_utf8).transpose() {
                Ok(entry) => return Ok(entry),
                Err(entry) => {
                    tracing::warn!("an entry of the entrance list is no text, and names no song");
                    self.settle(entry.as_bytes()).await?;
                }
            }
        }
    }

    async fn settle_foreign(&self, entry: &str) -> Result<()> {
        self.settle(entry.as_bytes()).await
    }

    async fn log(&self, line: &str) -> Result<()> {
        let mut lines = ::redis::pipe();
        lines.atomic().rpush(&self.settings.logging, line).ltrim(&self.settings.logging, -LOG_LINES, -1);
        Ok(lines.query_async::<()>(&mut self.commands.clone()).await?)
    }
}
