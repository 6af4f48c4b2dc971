//! I13: random commands, some repeated, some with stale tokens, to both queues; after each one they answer the
//! same and show the same.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::queue::conformance::Bench;
use common::queue::{Claim, Claimant, Clock, First, NewJob, Queue, Room, Rules, TaskId, TaskKind, Token};
use common::testing::valkey::Server;
use common::{Epoch, JobId, SongHash};
use futures_util::future::join_all;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::bench::{memory, redis, unaltered};
use crate::commands::{Age, Command, JOBS, Step, Word, say, steps};

/// Alters the scripts of the queue in Redis: their name and text go in.
pub(crate) type Alter = fn(&str, String) -> String;

fn rules() -> Rules {
    Rules {
        lease: Duration::from_secs(10),
        max_attempts: 3,
        retry_base: Duration::from_secs(1),
        retry_cap: Duration::from_secs(3),
        orphaned_after: Duration::from_secs(25),
        remember: Duration::from_mins(1),
    }
}

/// What a queue said.
#[derive(Debug, PartialEq)]
enum Answer {
    Claim(Option<Claim>),
    Other(String),
}

/// What a sequence has come to.
struct Course {
    sides: [Bench; 2],
    clock: Clock,
    epoch: u32,
    claims: Vec<(TaskId, Token)>,
    tokens: u128,
    /// Number of the last event that was seen, of each job.
    seen: Vec<u64>,
}

fn id(epoch: u32, job: u8) -> JobId {
    JobId::from_parts(Epoch(epoch), u128::from(job) + 1)
}

fn foreign(n: u8) -> String {
    format!("{{\"songhash\": \"{n}\"}}")
}

fn claimant(n: u8) -> Claimant {
    let kinds = match n {
        3 => vec![TaskKind::Span],
        4 => vec![TaskKind::Plan, TaskKind::Notify],
        5 => vec![TaskKind::Notify],
        _ => TaskKind::ALL.to_vec(),
    };
    Claimant { worker: n.to_string(), fingerprint: (n % 2).to_string(), kinds }
}

impl Course {
    /// Gives a command to one side.
    async fn answer(&self, bench: &Bench, command: &Command) -> Answer {
        let queue: &dyn Queue = bench.queue.as_ref();
        let id = |job: &u8| id(self.epoch, *job);
        Answer::Other(match command {
            Command::Submit { job, tenant, derive, cost_ms, notify, tight, age } => {
                let epoch = match age {
                    Age::Earlier => self.epoch.saturating_sub(1),
                    Age::Present => self.epoch,
                    Age::Later => self.epoch + 1,
                };
                let new = NewJob {
                    id: JobId::from_parts(Epoch(epoch), u128::from(*job) + 1),
                    tenant: format!("tenant{tenant}").parse().unwrap(),
                    song: SongHash::new([*job; 32]),
                    first: if *derive { First::Derive } else { First::Plan },
                    cost_ms: *cost_ms,
                    notify: *notify,
                    payload: format!("payload of {job}"),
                };
                let many = if *tight { 2 } else { 100 };
                format!("{:?}", queue.submit(&new, Room { jobs: many + 1, jobs_of_tenant: many }).await)
            }
            Command::Claim { claimant: n } => match queue.claim(&claimant(*n), Token(self.tokens)).await {
                Ok(claim) => return Answer::Claim(claim),
                Err(error) => format!("{error:?}"),
            },
            Command::Say { holder, word } => match self.claims.iter().rev().nth(*holder) {
                None => String::new(),
                Some((task, token)) => format!("{:?}", say(queue, *task, *token, word).await),
            },
            Command::Reap => format!("{:?}", queue.reap().await),
            Command::Cancel(job) => format!("{:?}", queue.cancel(id(job)).await),
            Command::Forget(job) => format!("{:?}", queue.forget(id(job)).await),
            Command::Reset(by) => format!("{:?}", queue.reset(Epoch(self.epoch + u32::from(*by))).await),
            Command::Bury(job) => format!("{:?}", queue.bury(id(job)).await),
            Command::Pass(_) => String::new(),
            Command::ByHand(n) => {
                (bench.by_hand)(foreign(*n)).await;
                String::new()
            }
            Command::NextForeign => format!("{:?}", queue.next_foreign().await),
            Command::SettleForeign(n) => format!("{:?}", queue.settle_foreign(&foreign(*n)).await),
        })
    }

    /// Everything that one side shows: of each job its state and its new events, then the sums.
    async fn shown(&self, bench: &Bench) -> (Vec<String>, String) {
        let queue: &dyn Queue = bench.queue.as_ref();
        let jobs = join_all((0..JOBS).map(|job| async move {
            let id = id(self.epoch, job);
            let (status, events) =
                tokio::join!(queue.status(id), queue.events(id, self.seen[usize::from(job)], 100));
            format!("{status:?} {events:?}")
        }));
        let (jobs, depth, workers, dead, unfinished, epoch) = tokio::join!(
            jobs,
            queue.depth(),
            queue.workers(4),
            queue.dead(5),
            queue.unfinished(None, 10),
            queue.epoch()
        );
        (jobs, format!("{depth:?} {workers:?} {dead:?} {unfinished:?} {epoch:?}"))
    }

    /// Gives a command to both sides, which say the same.
    async fn both(&mut self, command: &Command) -> Result<Answer, String> {
        let [memory, redis] = &self.sides;
        let (left, right) = (self.answer(memory, command).await, self.answer(redis, command).await);
        if left != right {
            return Err(format!("to {command:?} memory says {left:?}\nRedis says {right:?}"));
        }
        if matches!(&left, Answer::Other(text) if text.starts_with("Err")) {
            return Err(format!("to {command:?} both say {left:?}"));
        }
        if let Answer::Claim(Some(claim)) = &left {
            let held = (claim.task, Token(self.tokens));
            if self.claims.last() != Some(&held) {
                self.claims.push(held);
            }
        }
        Ok(left)
    }

    /// Both sides show the same.
    async fn compare(&mut self) -> Result<(), String> {
        let epoch = self.sides[0].queue.epoch().await.unwrap().0;
        if epoch != self.epoch {
            self.epoch = epoch;
            self.seen.fill(0);
        }
        let [memory, redis] = &self.sides;
        let (left, right) = (self.shown(memory).await, self.shown(redis).await);
        if left != right {
            return Err(format!("memory shows {left:#?}\nRedis shows {right:#?}"));
        }
        let statuses = join_all((0..JOBS).map(|job| memory.queue.status(id(self.epoch, job)))).await;
        for (seen, status) in self.seen.iter_mut().zip(statuses) {
            *seen = status.unwrap().map_or(0, |status| status.last_event);
        }
        Ok(())
    }

    /// I1, I7: whatever has happened, patient workers bring every job to an end, and nothing is left.
    async fn rest(&mut self) -> Result<(), String> {
        for _ in 0..300 {
            let mut idle = true;
            for claimant in 0..2 {
                self.tokens += 1;
                if let Answer::Claim(Some(_)) = self.both(&Command::Claim { claimant }).await? {
                    idle = false;
                    self.both(&Command::Say { holder: 0, word: Word::Done }).await?;
                }
            }
            let depth = self.sides[0].queue.depth().await.unwrap();
            if idle && depth.jobs + depth.active + depth.delayed == 0 {
                return self.compare().await;
            }
            if idle {
                self.clock.advance(rules().orphaned_after);
                self.both(&Command::Reap).await?;
            }
        }
        Err(format!("nothing moves any more: {:?}", self.sides[0].queue.depth().await))
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        if let Command::Pass(by_ms) = step.command {
            self.clock.advance(Duration::from_millis(by_ms));
        }
        self.tokens += 1;
        for _ in 0..=u8::from(step.repeated) {
            self.both(&step.command).await?;
            self.compare().await?;
        }
        Ok(())
    }
}

async fn follow(server: &Server, alter: Alter, steps: &[Step]) -> Result<(), String> {
    let memory = memory(rules());
    let clock = memory.clock.clone();
    let settings = server.settings();
    let redis = redis(settings.clone(), rules(), clock.clone(), &alter);
    let seen = vec![0; usize::from(JOBS)];
    let mut course = Course { sides: [memory, redis], clock, epoch: 0, claims: Vec::new(), tokens: 0, seen };
    for (n, step) in steps.iter().enumerate() {
        course.step(step).await.map_err(|error| format!("step {n}, {step:?}: {error}"))?;
    }
    course.rest().await.map_err(|error| format!("at rest: {error}"))?;
    drop(course);
    server.forget(&settings.prefix);
    Ok(())
}

/// Random sequences, on as many threads as there are processors, until two queues disagree; then, if `shrunk`, the
/// shortest like it.
pub(crate) fn disagreement(server: &Server, alter: Alter, sequences: u32, shrunk: bool) -> Option<String> {
    let found = AtomicBool::new(false);
    let threads = thread::available_parallelism().map_or(2, |n| n.get().min(4)) as u32;
    thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    let config = Config {
                        cases: sequences.div_ceil(threads),
                        failure_persistence: None,
                        max_shrink_iters: if shrunk { 1000 } else { 0 },
                        ..Config::default()
                    };
                    let mine = Cell::new(false);
                    let run = TestRunner::new(config).run(&steps(), |steps| {
                        if found.load(Ordering::Relaxed) && !mine.get() {
                            return Ok(());
                        }
                        runtime.block_on(follow(server, alter, &steps)).map_err(|difference| {
                            found.store(true, Ordering::Relaxed);
                            mine.set(true);
                            TestCaseError::fail(difference)
                        })
                    });
                    run.err().map(|error| error.to_string())
                })
            })
            .collect();
        runs.into_iter().find_map(|run| run.join().unwrap())
    })
}

#[test]
fn i13_memory_and_redis_agree_step_by_step() {
    let sequences = std::env::var("MSAAS_QUEUE_SEQUENCES").map_or(2000, |text| text.parse().unwrap());
    let server = Server::shared();
    if let Some(difference) = disagreement(&server, unaltered, sequences, true) {
        panic!("{difference}");
    }
}
