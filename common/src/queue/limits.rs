//! Bounds that hold for every kind of queue, applied before anything is said to it.

use super::{NewJob, Outcome, QueueError, Result, TaskId, TaskKind};

/// Events kept of one job.
pub(super) const EVENTS: usize = 2000;
/// Tasks that were given up and are remembered.
pub(super) const DEAD: usize = 1000;
/// Workers that one list shows.
pub(super) const WORKERS: usize = 1000;
/// Entries that are taken off the entrance at once.
pub(super) const DRAIN: usize = 256;
/// Expired, delayed or ended things that one reaping deals with, of each sort.
pub(super) const REAP: usize = 200;
/// Orphaned jobs that one reaping plans again.
pub(super) const REPLAN: usize = 50;
/// Foreign entries that are looked at for one that is not in flight.
pub(super) const FOREIGN: usize = 64;

/// Five digits name a span in the store.
const SPANS: usize = 99_999;
/// A reason is a sentence.
const REASON_CHARS: usize = 500;
/// Thirty years of audio. Sums of thousands of these are still whole numbers in a script's floating point.
const COST_MS: u64 = 1_000_000_000_000;

/// Size of a job, as it counts.
pub(super) fn cost_ms(job: &NewJob) -> u64 {
    job.cost_ms.min(COST_MS)
}

/// A reason, cut where it is too long to be read.
pub(super) fn reason(text: &str) -> &str {
    text.char_indices().nth(REASON_CHARS).map_or(text, |(end, _)| &text[..end])
}

/// Refuses an outcome that its task cannot have.
pub(super) fn outcome(task: TaskId, outcome: &Outcome) -> Result<()> {
    let Outcome::Planned(plan) = outcome else { return Ok(()) };
    let wrong = |why: String| Err(QueueError::Strange(format!("{task} {why}")));
    if task.kind != TaskKind::Plan {
        return wrong("is no plan and cannot be divided into spans".to_owned());
    }
    if plan.spans.is_empty() || plan.spans.len() > SPANS {
        return wrong(format!("was divided into {} spans; 1 to {SPANS} are possible", plan.spans.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(reason("too short"), "too short");
        assert_eq!(reason(&"ä".repeat(600)).chars().count(), 500);
    }
}
