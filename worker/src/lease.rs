//! A task in this worker's hands: what it has done is told to the queue, and the queue says whether to go on.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::queue::{Claim, Fence, Queue, Token};
use separation::Stop;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// The queue hears of a task at most this often.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether a task still does something.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Told of every bit of work of all tasks of a worker; clones share it.
pub(crate) type Signs = watch::Sender<()>;

/// The worker's end of a claim. Its lease is renewed by finished work alone, never by a clock: a device that
/// hangs loses its task.
#[derive(Debug)]
pub(crate) struct Lease {
    queue: Arc<dyn Queue>,
    claim: Claim,
    token: Token,
    beat: Beat,
    since: Instant,
    teller: JoinHandle<()>,
}

/// What the working thread says; cheap, from any thread.
#[derive(Debug, Clone)]
pub(crate) struct Beat(Arc<Heard>);

#[derive(Debug)]
struct Heard {
    /// Units done in the upper half, all units in the lower.
    units: AtomicU64,
    /// Rises with every bit of work.
    beats: AtomicU32,
    news: Notify,
    stop: Stop,
    /// Why `stop` was asked for: 0 not at all, 1 the task is lost, 2 the job is canceled, 3 this worker ends.
    why: AtomicU8,
    /// Cancelled together with `stop`.
    over: CancellationToken,
    last: std::sync::Mutex<Instant>,
    signs: Signs,
    /// Whether it waits for what other tasks have.
    waits: AtomicBool,
}

/// Why work on a task ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The task is another worker's, or nobody's; nothing may be written any more.
    Lost,
    /// The job was canceled or has failed.
    Canceled,
    /// This worker was asked to end: the task goes back.
    Released,
}

impl Beat {
    /// So many units of so many are done.
    pub(crate) fn units(&self, done: usize, total: usize) {
        self.0.units.store((done as u64) << 32 | (total as u64 & 0xffff_ffff), Ordering::Relaxed);
        self.tick();
    }

    /// Some work is done that is not counted in units.
    pub(crate) fn tick(&self) {
        self.live();
        self.0.signs.send_replace(());
    }

    /// Waits for what other tasks of this worker have. Meanwhile it lives by their work, never by a clock nor by the
    /// waiting of others, and it ends where it is asked to.
    pub(crate) async fn meanwhile<T>(&self, wait: impl Future<Output = T>) -> Result<T, Ended> {
        let _waits = Waits::begin(&self.0.waits);
        let (mut wait, mut signs) = (pin!(wait), self.0.signs.subscribe());
        loop {
            tokio::select! {
                biased;
                () = self.0.over.cancelled() => return Err(self.ended().unwrap_or(Ended::Lost)),
                got = &mut wait => {
                    self.live();
                    return Ok(got);
                }
                _ = signs.changed() => self.live(),
            }
        }
    }

    fn live(&self) {
        self.0.beats.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut last) = self.0.last.lock() {
            *last = Instant::now();
        }
        self.0.news.notify_one();
    }

    /// What the work has to look at between its units.
    pub(crate) fn stop(&self) -> &Stop {
        &self.0.stop
    }

    /// Waits until it has done nothing for longer than `after`; gives for how long.
    pub(crate) async fn hangs(&self, after: Duration) -> Duration {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let silence = self.0.last.lock().map_or(Duration::ZERO, |last| last.elapsed());
            // Who waits falls silent together with whom it waits for, who is to be found first.
            let after = if self.0.waits.load(Ordering::Relaxed) { 2 * after } else { after };
            if silence > after {
                return silence;
            }
        }
    }

    /// Asks the work to end.
    pub(crate) fn end(&self, why: Ended) {
        let why = match why {
            Ended::Lost => 1,
            Ended::Canceled => 2,
            Ended::Released => 3,
        };
        // The first reason counts.
        let _ = self.0.why.compare_exchange(0, why, Ordering::SeqCst, Ordering::SeqCst);
        let _ = self.0.stop.request();
        self.0.over.cancel();
        self.0.news.notify_one();
    }

    /// Why the work was asked to end, if it was.
    pub(crate) fn ended(&self) -> Option<Ended> {
        match self.0.why.load(Ordering::SeqCst) {
            1 => Some(Ended::Lost),
            2 => Some(Ended::Canceled),
            3 => Some(Ended::Released),
            _ => None,
        }
    }
}

impl Lease {
    /// Begins to speak for a claimed task of a worker with these signs.
    pub(crate) fn begin(queue: Arc<dyn Queue>, claim: Claim, token: Token, signs: Signs) -> Self {
        let beat = Beat(Arc::new(Heard {
            units: AtomicU64::new(0),
            beats: AtomicU32::new(0),
            news: Notify::new(),
            stop: Stop::default(),
            why: AtomicU8::new(0),
            over: CancellationToken::new(),
            last: std::sync::Mutex::new(Instant::now()),
            signs,
            waits: AtomicBool::new(false),
        }));
        let teller =
            tokio::spawn(tell(Arc::clone(&queue), claim.clone(), token, beat.clone()).in_current_span());
        Self { queue, claim, token, beat, since: Instant::now(), teller }
    }

    /// The claim.
    pub(crate) fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The token of the claim.
    pub(crate) fn token(&self) -> Token {
        self.token
    }

    /// How long ago the task was claimed.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// How long the task takes from here on at its pace so far; none where that is not known.
    pub(crate) fn left(&self) -> Option<Duration> {
        let (done, total) = self.beat.so_far();
        let to_do = f64::from(total.saturating_sub(done));
        (done > 0).then(|| self.age().mul_f64(to_do / f64::from(done)))
    }

    /// For the working thread.
    pub(crate) fn beat(&self) -> &Beat {
        &self.beat
    }

    /// Asks the queue right now whether the task is still this worker's.
    pub(crate) async fn check(&self) -> common::queue::Result<Option<Ended>> {
        let (done, total) = self.beat.so_far();
        let fence = self.queue.progress(self.claim.task, self.token, done, total).await?;
        if let Some(ended) = ended_by(fence) {
            self.beat.end(ended);
        }
        Ok(self.beat.ended())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.teller.abort();
    }
}

/// A task waits, until this is dropped.
struct Waits<'a>(&'a AtomicBool);

impl<'a> Waits<'a> {
    fn begin(waits: &'a AtomicBool) -> Self {
        waits.store(true, Ordering::Relaxed);
        Self(waits)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Beat {
    fn so_far(&self) -> (u32, u32) {
        let units = self.0.units.load(Ordering::Relaxed);
        ((units >> 32) as u32, units as u32)
    }
}

/// What an answer of the queue means for the work.
pub(crate) fn ended_by(fence: Fence) -> Option<Ended> {
    match fence {
        Fence::Held => None,
        Fence::Lost => Some(Ended::Lost),
        Fence::Canceled => Some(Ended::Canceled),
    }
}

async fn tell(queue: Arc<dyn Queue>, claim: Claim, token: Token, beat: Beat) {
    let mut told = 0;
    loop {
        beat.0.news.notified().await;
        let beats = beat.0.beats.load(Ordering::Relaxed);
        if beats == told {
            continue;
        }
        let (done, total) = beat.so_far();
        match queue.progress(claim.task, token, done, total).await {
            Ok(fence) => {
                told = beats;
                if let Some(ended) = ended_by(fence) {
                    return beat.end(ended);
                }
            }
            // The lease ends by itself if this lasts; the next unit tells again.
            Err(error) => {
                tracing::warn!(job.id = %claim.task.job, %error, "cannot tell the queue of progress");
            }
        }
        tokio::time::sleep(TELL_EVERY).await;
        if beat.0.beats.load(Ordering::Relaxed) != told {
            beat.0.news.notify_one();
        }
    }
}
