//! What every kind of queue does: named checks, each on an empty queue with a clock of its own.
//!
//! A check gives an error with a sentence where the queue does otherwise, so that a suite can also show that
//! broken queues are found out. I1 to I13 are the invariants in the room's `README.md`.

mod ending;
mod entrance;
mod failing;
mod fairness;
mod fencing;
mod flow;
mod progress;
mod waiting;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{
    Claim, Claimant, Clock, First, NewJob, Outcome, Queue, QueueError, Room, Rules, Span, Spans, State,
    Status, Submitted, TaskKind, Token,
};
use crate::ids::{Epoch, JobId, SongHash};

/// What a queue does otherwise than it should, as a sentence.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

impl From<QueueError> for Broken {
    fn from(error: QueueError) -> Self {
        Self(error.to_string())
    }
}

/// Whether a check holds.
pub type Verdict<T = ()> = Result<T, Broken>;

/// One check.
pub type Check = for<'a> fn(&'a Bench) -> BoxFuture<'a, Verdict>;

/// Puts an entry onto a queue's entrance list, as someone does by hand.
pub type ByHand = Box<dyn Fn(String) -> BoxFuture<'static, ()> + Send + Sync>;

/// Fails the check unless both sides are equal.
macro_rules! same {
    ($left:expr, $right:expr) => {
        match (&$left, &$right) {
            (left, right) => {
                if left != right {
                    let place = concat!(file!(), ":", line!(), ": ", stringify!($left));
                    let sentence = format!("{place} is {left:?}, expected {right:?}");
                    return Err($crate::queue::conformance::Broken(sentence));
                }
            }
        }
    };
}

/// Fails the check unless the condition holds.
macro_rules! holds {
    ($condition:expr, $($sentence:tt)+) => {
        if !$condition {
            let place = concat!(file!(), ":", line!(), ": ");
            return Err($crate::queue::conformance::Broken(format!("{place}{}", format_args!($($sentence)+))));
        }
    };
}
use {holds, same};

/// Declares the list of checks from the functions' paths.
macro_rules! checks {
    ($($module:ident::$name:ident)*) => {
        /// All checks by name.
        pub const CHECKS: &[(&str, Check)] = &[$((stringify!($name), |bench| Box::pin($module::$name(bench)))),*];
    };
}
checks! {
    flow::i1_a_song_goes_through_plan_spans_and_merge_to_its_end
    flow::i1_a_song_can_be_separated_by_its_plan_alone
    flow::i1_a_derivation_is_one_task
    flow::i2_a_job_ends_once_and_is_told_of_once
    flow::i3_the_merge_is_made_once_after_all_spans
    flow::i9_the_same_submission_is_one_job
    flow::tasks_are_handed_out_by_kind
    flow::spans_and_merges_are_for_workers_of_the_plans_fingerprint
    flow::inside_a_tenant_the_first_comes_first
    flow::a_full_queue_says_so
    flow::unfinished_jobs_are_listed_page_by_page
    flow::claims_at_the_same_time_never_share_a_task
    fencing::i5_a_stale_token_changes_nothing
    fencing::a_claim_repeated_is_the_same_claim
    fencing::a_word_repeated_is_not_said_again
    fencing::a_word_of_an_unknown_job_is_lost
    fencing::a_plan_without_spans_is_refused
    failing::i6_attempts_are_bounded_when_workers_die
    failing::i6_attempts_are_bounded_when_tasks_fail
    failing::i6_a_poison_song_does_not_stop_the_others
    failing::a_permanent_failure_ends_the_job_at_once
    failing::a_released_task_is_first_again_and_not_counted
    failing::a_failed_task_waits_longer_each_time
    failing::a_notification_fails_without_changing_its_job
    failing::i12_a_silent_workers_task_is_handed_out_again
    failing::progress_keeps_the_lease
    failing::orphaned_spans_are_planned_again
    failing::an_orphaned_merge_is_planned_again
    failing::a_song_is_not_planned_again_for_ever
    progress::i8_progress_never_goes_back
    progress::i8_progress_never_goes_back_over_plans
    progress::events_are_numbered_and_told_once
    progress::waiting_for_news_ends_with_news
    ending::i7_at_rest_nothing_is_left
    ending::i10_a_canceled_job_leaves_nothing_and_its_workers_hear_of_it
    ending::i10_after_a_reset_nothing_comes_back
    ending::a_later_epoch_enters_with_its_first_job
    ending::a_job_that_has_ended_can_be_forgotten
    ending::an_ended_job_is_remembered_for_a_while
    ending::what_was_given_up_is_listed_until_it_is_buried
    entrance::foreign_entries_are_never_dropped
    entrance::equal_foreign_entries_come_one_after_the_other
    fairness::i11_a_light_tenant_does_not_wait_for_a_flood
    fairness::i11_tenants_share_by_size_of_work
    fairness::idleness_is_not_saved_up
    waiting::the_longest_wait_is_known
    waiting::notifications_are_told_apart
    waiting::a_reaping_says_what_it_found
    workers::workers_are_seen_at_work_and_waiting
    workers::a_silent_worker_is_seen_until_its_task_is_taken_back
    workers::who_only_tells_callers_is_no_worker
}

/// A queue to be checked, empty.
pub struct Bench {
    /// The queue; its rules are [`rules`].
    pub queue: Arc<dyn Queue>,
    /// Its clock, a manual one.
    pub clock: Clock,
    /// Its entrance.
    pub by_hand: ByHand,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// The rules under which the checks run.
#[must_use]
pub fn rules() -> Rules {
    Rules {
        lease: Duration::from_mins(1),
        max_attempts: 3,
        retry_base: Duration::from_secs(2),
        retry_cap: Duration::from_secs(3),
        orphaned_after: Duration::from_mins(3),
        remember: Duration::from_mins(10),
    }
}

const LEASE: Duration = Duration::from_mins(1);
const WIDE: Room = Room { jobs: 100_000, jobs_of_tenant: 100_000 };

/// Job number `n` of a tenant, in epoch 0.
fn job(tenant: &str, n: u32) -> NewJob {
    NewJob {
        id: JobId::from_parts(Epoch(0), u128::from(n) + 1),
        tenant: tenant.parse().unwrap_or_else(|_| crate::ids::Tenant::default_tenant()),
        song: SongHash::new([n as u8; 32]),
        first: First::Plan,
        cost_ms: 1000,
        notify: false,
        payload: format!("{{\"n\":{n}}}"),
    }
}

/// A worker of all kinds.
fn worker(fingerprint: &str) -> Claimant {
    Claimant { worker: "w".to_owned(), fingerprint: fingerprint.to_owned(), kinds: TaskKind::ALL.to_vec() }
}

/// A worker of one kind.
fn worker_of(kind: TaskKind, fingerprint: &str) -> Claimant {
    Claimant { kinds: vec![kind], ..worker(fingerprint) }
}

/// `count` spans of ten units.
fn spans(fingerprint: &str, count: usize) -> Outcome {
    let span = |n| Span { units: 10, part: format!("part {n}") };
    Outcome::Planned(Spans {
        fingerprint: fingerprint.to_owned(),
        merge: "the whole".to_owned(),
        spans: (0..count).map(span).collect(),
    })
}

impl Bench {
    async fn enter(&self, job: &NewJob) -> Verdict {
        same!(self.queue.submit(job, WIDE).await?, Submitted::Accepted);
        Ok(())
    }

    /// Claims what must be there.
    async fn take(&self, claimant: &Claimant) -> Verdict<(Claim, Token)> {
        let token = Token::draw();
        match self.queue.claim(claimant, token).await? {
            Some(claim) => Ok((claim, token)),
            None => Err(Broken("there was nothing to claim".to_owned())),
        }
    }

    async fn take_kind(&self, claimant: &Claimant, kind: TaskKind) -> Verdict<(Claim, Token)> {
        let (claim, token) = self.take(claimant).await?;
        same!(claim.task.kind, kind);
        Ok((claim, token))
    }

    async fn take_nothing(&self, claimant: &Claimant) -> Verdict {
        same!(self.queue.claim(claimant, Token::draw()).await?, None);
        Ok(())
    }

    /// Brings a job through its plan.
    async fn plan(&self, job: &NewJob, fingerprint: &str, count: usize) -> Verdict {
        self.enter(job).await?;
        let (plan, token) = self.take_kind(&worker_of(TaskKind::Plan, fingerprint), TaskKind::Plan).await?;
        same!(self.queue.complete(plan.task, token, &spans(fingerprint, count)).await?, super::Fence::Held);
        Ok(())
    }

    async fn status(&self, job: JobId) -> Verdict<Status> {
        self.queue.status(job).await?.ok_or_else(|| Broken(format!("job {job} is not known")))
    }

    async fn state_is(&self, job: JobId, state: State) -> Verdict {
        same!(self.status(job).await?.state, state);
        Ok(())
    }

    /// Lets time pass and has it noticed.
    async fn pass(&self, time: Duration) -> Verdict<u64> {
        self.clock.advance(time);
        Ok(self.queue.reap().await?.moved())
    }
}
