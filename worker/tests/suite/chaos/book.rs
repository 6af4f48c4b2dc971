//! What everyone has seen of every job, and what must not have been seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use common::job::View;
use common::queue::State;
use common::{Epoch, JobId, StemName};

use super::songs::Wish;

/// One job as clients know it.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) wish: usize,
    pub(crate) fate: Fate,
    /// The terminal state that was seen.
    pub(crate) end: Option<State>,
    /// SHA-256 of each stem that was seen.
    pub(crate) stems: BTreeMap<StemName, String>,
    /// Names of what its caller was told.
    pub(crate) told: BTreeSet<String>,
    /// Progress, and how many losses there had been by then: each one sets it back.
    percent: (u32, u32),
}

/// What was done to a job from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// Nothing.
    Left,
    /// It is being deleted or reset: it may be there or not.
    Going,
    /// It was deleted or reset: it is not there, for ever.
    Gone,
}

impl Before {
    pub(crate) fn fate(&self) -> Fate {
        self.page.fate
    }
}

/// The book of a campaign.
pub(crate) struct Book {
    pub(crate) wishes: Vec<Wish>,
    pages: Mutex<BTreeMap<JobId, Page>>,
    violations: Mutex<Vec<String>>,
    /// What the last reset does to jobs of before its epoch.
    reset: Mutex<(Epoch, Fate)>,
    /// Rises whenever the queue forgets something, before and after it does.
    pub(crate) losses: AtomicU32,
    /// Songs from this one on wait for what has to go wrong first.
    pub(crate) horizon: AtomicUsize,
    /// Whether the interface itself dies, so that answers may break off.
    pub(crate) rest_dies: bool,
    /// How much was read and found whole.
    pub(crate) reads: AtomicU64,
    /// Songs that had to be sent again: the service was not there, or did not take them.
    pub(crate) again: AtomicU64,
    began: Instant,
}

/// What was known before a request: only that binds its answer.
pub(crate) struct Before {
    page: Page,
    losses: u32,
}

impl Book {
    pub(crate) fn new(wishes: Vec<Wish>, epoch: Epoch, rest_dies: bool) -> Self {
        let (pages, violations, losses, reads, again) = Default::default();
        let reset = Mutex::new((epoch, Fate::Gone));
        let (horizon, began) = (AtomicUsize::new(usize::MAX), Instant::now());
        Self { wishes, pages, violations, reset, losses, horizon, rest_dies, reads, again, began }
    }

    pub(crate) fn violation(&self, what: String) {
        self.say(&format!("VIOLATION {what}"));
        self.violations.lock().unwrap().push(what);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    pub(crate) fn say(&self, what: &str) {
        eprintln!("[{:7.1} s] {what}", self.began.elapsed().as_secs_f64());
    }

    pub(crate) fn pages(&self) -> MutexGuard<'_, BTreeMap<JobId, Page>> {
        self.pages.lock().unwrap()
    }

    /// Writes down a job that was accepted.
    pub(crate) fn accepted(&self, job: JobId, wish: usize) {
        let page = self.page(job, wish);
        let known = self.pages().entry(job).or_insert(page).wish;
        if known != wish {
            self.violation(format!("{job} is the job of song {known} and of song {wish}"));
        }
    }

    fn page(&self, job: JobId, wish: usize) -> Page {
        let (epoch, fate) = *self.reset.lock().unwrap();
        let fate = if job.epoch() < epoch { fate } else { Fate::Left };
        let (end, stems, told, percent) = Default::default();
        Page { wish, fate, end, stems, told, percent }
    }

    pub(crate) fn before(&self, job: &JobId) -> Before {
        Before { page: self.pages()[job].clone(), losses: self.losses.load(Ordering::SeqCst) }
    }

    /// What becomes of a job from outside; never less than before.
    pub(crate) fn fate(&self, job: &JobId, fate: Fate) {
        let mut pages = self.pages();
        let page = pages.get_mut(job).unwrap();
        page.fate = page.fate.max(fate);
    }

    /// A reset begins or has ended: every job that was made before `epoch` goes, or is gone.
    pub(crate) fn reset(&self, epoch: Epoch, fate: Fate) {
        *self.reset.lock().unwrap() = (epoch, fate);
        for (_, page) in self.pages().iter_mut().filter(|(job, _)| job.epoch() < epoch) {
            page.fate = page.fate.max(fate);
        }
    }

    /// The epoch that the next reset begins.
    pub(crate) fn next_epoch(&self) -> Epoch {
        Epoch(self.reset.lock().unwrap().0.0 + 1)
    }

    /// Someone saw a job.
    pub(crate) fn saw(&self, before: &Before, view: &View) {
        let losses = self.losses.load(Ordering::SeqCst);
        let job = view.id;
        let mut wrong = Vec::new();
        let mut pages = self.pages();
        let page = pages.get_mut(&job).unwrap();
        if before.page.fate == Fate::Gone {
            wrong.push(format!("it came back as {:?}", view.state));
        }
        let late = view.state.is_terminal() || before.page.end.is_some();
        if late && page.end.is_some_and(|end| end != view.state) {
            wrong.push(format!("it is {:?} after it was {:?}", view.state, page.end));
        }
        if view.state.is_terminal() {
            page.end = Some(view.state);
        }
        let percent = view.progress.percent;
        if (percent == 100) != (view.state == State::Succeeded) {
            wrong.push(format!("it is {:?} at {percent} %", view.state));
        }
        let (known_at, known) = before.page.percent;
        if losses == before.losses && losses == known_at && percent < known {
            wrong.push(format!("its progress went back from {known} to {percent} %, {:?}", view.state));
        }
        if losses == before.losses {
            page.percent = page.percent.max((losses, percent));
        }
        for stem in &view.stems {
            let wish = &self.wishes[page.wish];
            if (stem.frames, stem.rate_hz) != (wish.frames, wish.rate_hz) {
                wrong.push(format!("{} has {} frames of {} Hz", stem.name, stem.frames, stem.rate_hz));
            }
            let known = page.stems.entry(stem.name.clone()).or_insert_with(|| stem.sha256.clone());
            if *known != stem.sha256 {
                wrong.push(format!("{} was {known} and is {}", stem.name, stem.sha256));
            }
        }
        if matches!(view.state, State::Failed | State::Canceled) && !view.stems.is_empty() {
            wrong.push(format!("it is {:?} and has stems", view.state));
        }
        drop(pages);
        for what in wrong {
            self.violation(format!("{job}: {what}"));
        }
    }

    /// Someone was told that there is no such job.
    pub(crate) fn missed(&self, job: &JobId) {
        if self.pages()[job].fate == Fate::Left {
            self.violation(format!("{job} was accepted, and there is no such job"));
        }
    }

    /// Its caller was told of an end.
    pub(crate) fn told(&self, wish: usize, id: &str, view: &View) {
        // It may be faster than the answer to the request.
        let new = self.page(view.id, wish);
        let mut pages = self.pages();
        let page = pages.entry(view.id).or_insert(new);
        page.told.insert(id.to_owned());
        let (end, told, known) = (page.end, page.told.len(), page.wish);
        page.end = Some(view.state);
        drop(pages);
        if wish != known || !view.state.is_terminal() || end.is_some_and(|end| end != view.state) || told > 1
        {
            self.violation(format!("{}: told of {:?} after {end:?}, {told} messages", view.id, view.state));
        }
    }

    /// Jobs that were accepted, that are left, and that have ended.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let pages = self.pages();
        let left = pages.values().filter(|page| page.fate == Fate::Left);
        let ended = left.clone().filter(|page| page.end.is_some()).count();
        (pages.len(), left.count(), ended)
    }
}
