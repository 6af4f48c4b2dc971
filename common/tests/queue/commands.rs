//! Random commands to a queue.

use common::queue::{Failure, Fence, Outcome, Queue, Result, Span, Spans, TaskId, TaskKind, Token};
use proptest::collection::vec;
use proptest::prelude::*;

/// Jobs that the commands speak of.
pub(crate) const JOBS: u8 = 6;
const LENGTH: usize = 60;

#[derive(Debug, Clone)]
pub(crate) enum Word {
    Progress { done: u32, total: u32 },
    Stem(u8),
    Planned { fingerprint: u8, spans: Vec<u32> },
    Done,
    Fail(bool),
    Release,
}

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Submit {
        job: u8,
        tenant: u8,
        derive: bool,
        cost_ms: u64,
        notify: bool,
        tight: bool,
        age: Age,
    },
    Claim {
        claimant: u8,
    },
    /// Of the `holder`-th last claim; most of the earlier ones are stale.
    Say {
        holder: usize,
        word: Word,
    },
    Reap,
    Cancel(u8),
    Forget(u8),
    Reset(u8),
    Bury(u8),
    Pass(u64),
    ByHand(u8),
    NextForeign,
    SettleForeign(u8),
}

/// The epoch in which a job was made, beside the one that holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Age {
    Earlier,
    Present,
    Later,
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) command: Command,
    /// Its answer is lost, so it is given again.
    pub(crate) repeated: bool,
}

fn words() -> impl Strategy<Value = Word> {
    let units = 0..12_u32;
    prop_oneof![
        4 => (units.clone(), units).prop_map(|(done, total)| Word::Progress { done, total }),
        1 => (0..3_u8).prop_map(Word::Stem),
        4 => (0..2_u8, vec(0..10_u32, 1..4)).prop_map(|(fingerprint, spans)| Word::Planned { fingerprint, spans }),
        8 => Just(Word::Done),
        3 => any::<bool>().prop_map(Word::Fail),
        2 => Just(Word::Release),
    ]
}

fn commands() -> impl Strategy<Value = Command> {
    let pause = prop_oneof![Just(0_u64), Just(999), Just(2000), Just(10_000), Just(25_000), Just(61_000)];
    let rarely = || prop::bool::weighted(0.1);
    let age = prop_oneof![1 => Just(Age::Earlier), 40 => Just(Age::Present), 1 => Just(Age::Later)];
    let new = (0..JOBS, 0..2_u8, any::<bool>(), 0..5000_u64, any::<bool>(), rarely(), age);
    prop_oneof![
        6 => new.prop_map(|(job, tenant, derive, cost_ms, notify, tight, age)| {
            Command::Submit { job, tenant, derive: derive && job > 3, cost_ms, notify, tight, age }
        }),
        14 => (0..6_u8).prop_map(|claimant| Command::Claim { claimant }),
        16 => (prop_oneof![4 => 0..3_usize, 1 => 0..12_usize], words())
            .prop_map(|(holder, word)| Command::Say { holder, word }),
        4 => Just(Command::Reap),
        5 => pause.prop_map(Command::Pass),
        1 => (0..JOBS).prop_map(Command::Cancel),
        1 => (0..JOBS).prop_map(Command::Forget),
        1 => prop_oneof![Just(0_u8), Just(0), Just(1)].prop_map(Command::Reset),
        1 => (0..JOBS).prop_map(Command::Bury),
        1 => (0..2_u8).prop_map(Command::ByHand),
        1 => Just(Command::NextForeign),
        1 => (0..2_u8).prop_map(Command::SettleForeign),
    ]
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        (commands(), prop::bool::weighted(0.2)).prop_map(|(command, repeated)| Step { command, repeated });
    vec(step, 1..LENGTH)
}

/// Says a word of a task.
pub(crate) async fn say(queue: &dyn Queue, task: TaskId, token: Token, word: &Word) -> Result<Fence> {
    match word {
        Word::Progress { done, total } => queue.progress(task, token, *done, *total).await,
        Word::Stem(n) => queue.stem_ready(task, token, &format!("stem{n}").parse().unwrap()).await,
        Word::Planned { fingerprint, spans } if task.kind == TaskKind::Plan => {
            let span = |(n, units): (usize, &u32)| Span { units: *units, part: format!("part {n}") };
            let plan = Spans {
                fingerprint: fingerprint.to_string(),
                merge: "the whole".to_owned(),
                spans: spans.iter().enumerate().map(span).collect(),
            };
            queue.complete(task, token, &Outcome::Planned(plan)).await
        }
        Word::Planned { .. } | Word::Done => queue.complete(task, token, &Outcome::Done).await,
        Word::Fail(permanent) => {
            let failure = if *permanent { Failure::Permanent } else { Failure::Transient };
            queue.fail(task, token, failure, "it failed").await
        }
        Word::Release => queue.release(task, token).await,
    }
}
