//! What goes wrong in a campaign, and the workers to which it happens.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::sleep;

use super::book::Book;
use super::clients;
use super::songs::Dice;
use crate::processes::{LEASE_S, Program, Site};

/// Workers of a campaign.
const WORKERS: usize = 4;
/// Songs that may be sent before a fault that is due has happened.
const AHEAD: usize = 8;
const SIGTERM: i32 = 15;

/// How much of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) seed: u64,
    pub(crate) songs: usize,
    /// Workers killed, asked to end, stopped for longer than a lease.
    kills: usize,
    terms: usize,
    stops: usize,
    /// Valkey killed and started again with its file, emptied, the service reset.
    outages: usize,
    wipes: usize,
    resets: usize,
}

impl Scale {
    /// What an ordinary run of the tests does.
    pub(crate) const SMALL: Self =
        Self { seed: 1, songs: 30, kills: 6, terms: 2, stops: 1, outages: 2, wipes: 2, resets: 1 };

    /// Every fault, and after which share of the songs it happens, in order. A reset has a wipe right after it.
    fn schedule(&self) -> Vec<(Fault, usize)> {
        let mut dice = Dice::new(self.seed);
        let sorts = [
            (Fault::Kill, self.kills),
            (Fault::Term, self.terms),
            (Fault::Stop, self.stops),
            (Fault::Outage, self.outages),
            (Fault::Wipe, self.wipes.saturating_sub(self.resets)),
        ];
        let mut schedule: Vec<_> = sorts
            .into_iter()
            .flat_map(|(fault, count)| std::iter::repeat_n(fault, count))
            .map(|fault| (fault, dice.below(self.songs)))
            .collect();
        for n in 0..self.resets {
            let after = self.songs * (n + 1) / (self.resets + 4);
            schedule.extend([(Fault::Reset, after), (Fault::Wipe, after)]);
        }
        schedule.sort_by_key(|(_, after)| *after);
        schedule
    }
}

impl FromStr for Scale {
    type Err = String;

    /// `songs=1000 kills=200 ...`; what is not named is as in a small run.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut scale = Self::SMALL;
        for word in text.split_whitespace() {
            let wrong = || format!("{word} is not name=number");
            let (name, number) = word.split_once('=').ok_or_else(wrong)?;
            let number: usize = number.parse().map_err(|_| wrong())?;
            match name {
                "seed" => scale.seed = number as u64,
                "songs" => scale.songs = number,
                "kills" => scale.kills = number,
                "terms" => scale.terms = number,
                "stops" => scale.stops = number,
                "outages" => scale.outages = number,
                "wipes" => scale.wipes = number,
                "resets" => scale.resets = number,
                _ => return Err(format!("there is no number of {name}")),
            }
        }
        Ok(scale)
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, songs, kills, terms, stops, outages, wipes, resets } = self;
        write!(f, "seed={seed} songs={songs} kills={kills} terms={terms} stops={stops} ")?;
        write!(f, "outages={outages} wipes={wipes} resets={resets}")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Term,
    Stop,
    Outage,
    Wipe,
    Reset,
}

/// The workers of a campaign; one that dies is started again, as Kubernetes does.
pub(crate) struct Fleet {
    site: Site,
    book: Arc<Book>,
    workers: Vec<Arc<Mutex<Program>>>,
    /// Of programs that were started: for the names of their logs.
    started: AtomicU32,
}

impl Fleet {
    pub(crate) fn start(site: Site, book: Arc<Book>) -> Self {
        let mut fleet = Self { site, book, workers: Vec::new(), started: AtomicU32::new(0) };
        fleet.workers = (0..WORKERS).map(|_| Arc::new(Mutex::new(fleet.worker()))).collect();
        fleet
    }

    fn worker(&self) -> Program {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        self.site.worker(&format!("worker-{number}"), "")
    }

    /// Does all that the scale asks for, each thing once so many songs were accepted; gives how many things.
    pub(crate) async fn suffer(self: &Arc<Self>, scale: Scale) -> usize {
        let mut dice = Dice::new(!scale.seed);
        let schedule = scale.schedule();
        for (number, (fault, after)) in schedule.iter().enumerate() {
            self.book.horizon.store(after + AHEAD, Ordering::Relaxed);
            while self.book.counts().0 < *after {
                sleep(Duration::from_millis(20)).await;
            }
            sleep(Duration::from_millis(dice.below(400) as u64)).await;
            self.inflict(*fault, &mut dice).await;
            let (accepted, left, ended) = self.book.counts();
            let (number, all) = (number + 1, schedule.len());
            self.book.say(&format!(
                "fault {number} of {all}: {fault:?}; {accepted} accepted, {left} left, {ended} ended"
            ));
        }
        self.book.horizon.store(usize::MAX, Ordering::Relaxed);
        schedule.len()
    }

    async fn inflict(self: &Arc<Self>, fault: Fault, dice: &mut Dice) {
        let (valkey, losses) = (&self.site.servers.valkey, &self.book.losses);
        match fault {
            Fault::Kill => {
                let mut worker = self.any(dice).await;
                worker.kill();
                *worker = self.worker();
            }
            Fault::Term => {
                let (fleet, mut worker) = (Arc::clone(self), self.any(dice).await);
                tokio::spawn(async move {
                    fleet.stop(&mut worker).await;
                    *worker = fleet.worker();
                });
            }
            Fault::Stop => {
                let worker = self.any(dice).await;
                worker.pause();
                tokio::spawn(async move {
                    sleep(Duration::from_secs(LEASE_S) + Duration::from_secs(2)).await;
                    worker.go_on();
                });
            }
            Fault::Outage => {
                losses.fetch_add(1, Ordering::SeqCst);
                valkey.kill();
                sleep(Duration::from_millis(dice.below(800) as u64)).await;
                valkey.restart();
                losses.fetch_add(1, Ordering::SeqCst);
            }
            Fault::Wipe => {
                losses.fetch_add(1, Ordering::SeqCst);
                if dice.chance(50) {
                    valkey.wipe();
                } else {
                    valkey.flush(self.site.number);
                }
                losses.fetch_add(1, Ordering::SeqCst);
            }
            Fault::Reset => clients::reset(&self.book, self.site.http).await,
        }
    }

    /// A worker to which nothing happens at the moment.
    async fn any(&self, dice: &mut Dice) -> OwnedMutexGuard<Program> {
        loop {
            let worker = Arc::clone(&self.workers[dice.below(self.workers.len())]);
            if let Ok(mut worker) = worker.try_lock_owned() {
                if worker.has_ended() {
                    self.book.violation("a worker ended by itself".to_owned());
                    *worker = self.worker();
                }
                return worker;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends all workers, which have nothing to do any more.
    pub(crate) async fn end(&self) -> &Site {
        for worker in &self.workers {
            self.stop(&mut *worker.lock().await).await;
        }
        &self.site
    }

    async fn stop(&self, worker: &mut Program) {
        let status = worker.stop().await;
        // One that has hardly begun does not hear signals yet.
        if status.is_none_or(|status| !status.success() && status.signal() != Some(SIGTERM)) {
            self.book.violation(format!("a worker was asked to end: {status:?}"));
        }
    }
}
