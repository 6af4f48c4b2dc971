//! Everything is replaced while songs are sent, one program after the other, as a rolling update does; and back again.
//!
//! `scripts/rolling.sh` runs it large, and from an earlier release; an ordinary run of the tests small, and with one build.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::Epoch;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::balancer::Balancer;
use super::book::Book;
use super::songs::Wish;
use super::{CLIENTS, READERS, checks, clients, hooks, readers};
use crate::processes::{Http, Ports, Program, Servers, Site, free_port, this_build};

const RESTS: usize = 2;
const WORKERS: usize = 3;
/// From the word that a `rest` goes until its signal: so long everyone may take to hear of it.
const HEARD: Duration = Duration::from_millis(500);
/// Songs that may be sent before a replacement that is due has happened.
const AHEAD: usize = 6;

/// How much, and from what to what.
struct Scale {
    seed: u64,
    songs: usize,
    /// Times that everything is replaced: with an earlier build there and back.
    rounds: usize,
    /// Folder of the programs of an earlier build.
    before: Option<PathBuf>,
}

impl FromStr for Scale {
    type Err = String;

    /// `songs=200 rounds=2 seed=1 before=/folder`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut scale = Self { seed: 1, songs: 24, rounds: 1, before: None };
        for word in text.split_whitespace() {
            let wrong = || format!("{word} is not name=value");
            let (name, value) = word.split_once('=').ok_or_else(wrong)?;
            match name {
                "seed" => scale.seed = value.parse().map_err(|_| wrong())?,
                "songs" => scale.songs = value.parse().map_err(|_| wrong())?,
                "rounds" => scale.rounds = value.parse().map_err(|_| wrong())?,
                "before" => scale.before = Some(value.into()),
                _ => return Err(wrong()),
            }
        }
        Ok(scale)
    }
}

/// A program in its place.
struct Replica {
    name: String,
    ports: Ports,
    program: Program,
}

/// What is replaced.
struct Fleet {
    site: Site,
    book: Arc<Book>,
    balancer: Balancer,
    hooks_port: u16,
    rests: Vec<Replica>,
    workers: Vec<Replica>,
    /// Names of all programs that were ever started.
    names: Vec<String>,
    longest: Duration,
}

impl Fleet {
    async fn start(&mut self, build: &Path, role: &str) -> Replica {
        let name = format!("{role}-{}", self.names.len());
        self.names.push(name.clone());
        let clients = (role == "rest").then(free_port);
        let ports = Ports { admin: free_port(), clients, hooks: self.hooks_port };
        let program = self.site.program_of(build, role, &name, ports);
        let health = Http::new(ports.admin);
        let began = Instant::now();
        while health.get("/readyz").await.map_or(0, |answer| answer.status) != 200 {
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "{name} is not ready: {}",
                self.site.logged(&name)
            );
            sleep(Duration::from_millis(20)).await;
        }
        Replica { name, ports, program }
    }

    /// One more is there before the old one goes.
    async fn replace_rest(&mut self, place: usize, build: &Path) {
        let new = self.start(build, "rest").await;
        self.balancer.add(new.ports.clients.unwrap());
        let old = std::mem::replace(&mut self.rests[place], new);
        self.balancer.remove(old.ports.clients.unwrap());
        sleep(HEARD).await;
        self.end(old).await;
    }

    /// The old one goes first: a new one would wait for its device.
    async fn replace_worker(&mut self, place: usize, build: &Path) {
        let old = self.workers.remove(place);
        self.end(old).await;
        let new = self.start(build, "worker").await;
        self.workers.insert(place, new);
    }

    async fn end(&mut self, mut old: Replica) {
        let began = Instant::now();
        let status = old.program.stop().await;
        self.longest = self.longest.max(began.elapsed());
        if status.is_none_or(|status| !status.success()) {
            self.book.violation(format!("{} was asked to end: {status:?}", old.name));
        }
    }
}

/// What was done of tasks, by what their workers logged.
#[derive(Debug, Default)]
struct Done {
    tasks: usize,
    given_back: usize,
    second_attempts: usize,
    twice: usize,
}

fn done(site: &Site, names: &[String]) -> Done {
    let mut done = Done::default();
    let mut finished: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        for line in site.logged(name).lines() {
            let word = |name: &str| line.split(name).nth(1).and_then(|rest| rest.split_whitespace().next());
            if line.contains("took a task") && word("attempt=") != Some("1") {
                done.second_attempts += 1;
            } else if line.contains("gave a task back") {
                done.given_back += 1;
            } else if line.contains("finished a task") {
                *finished.entry(word(" task=").unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
    }
    done.tasks = finished.len();
    done.twice = finished.values().filter(|count| **count > 1).count();
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_everything_is_replaced_under_load() {
    let scale: Scale = std::env::var("MSAAS_ROLLING").unwrap_or_default().parse().unwrap();
    let wishes = (0..scale.songs).map(|number| Wish::of(scale.seed, number)).collect();
    let book = Arc::new(Book::new(wishes, Epoch(0), false));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hooks_port = listener.local_addr().unwrap().port();
    hooks::listen(listener, Arc::clone(&book));
    let site = Arc::new(Servers::start().await).site().await;
    let (ledger, http) = (site.ledger(), site.http);
    let balancer = Balancer::listen(http.port()).await;
    let builds: Vec<PathBuf> = scale.before.iter().cloned().chain([this_build()]).collect();
    let (rests, workers, names) = Default::default();
    let longest = Duration::ZERO;
    let mut fleet =
        Fleet { site, book: Arc::clone(&book), balancer, hooks_port, rests, workers, names, longest };
    for _ in 0..RESTS {
        let rest = fleet.start(&builds[0], "rest").await;
        fleet.balancer.add(rest.ports.clients.unwrap());
        fleet.rests.push(rest);
    }
    for _ in 0..WORKERS {
        let worker = fleet.start(&builds[0], "worker").await;
        fleet.workers.push(worker);
    }

    let (next, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    book.horizon.store(AHEAD, Ordering::Relaxed);
    let mut senders = JoinSet::new();
    for _ in 0..CLIENTS {
        senders.spawn(clients::send(Arc::clone(&book), http, hooks_port, Arc::clone(&next), 16));
    }
    let mut looking = JoinSet::new();
    for seed in 0..READERS {
        looking.spawn(readers::read(Arc::clone(&book), http, seed, stop.clone()));
    }

    let replacements = scale.rounds * (RESTS + WORKERS);
    for number in 0..replacements {
        let after = scale.songs * number / replacements;
        book.horizon.store(after + AHEAD, Ordering::Relaxed);
        while book.counts().0 < after {
            sleep(Duration::from_millis(20)).await;
        }
        let (round, place) = (number / (RESTS + WORKERS), number % (RESTS + WORKERS));
        let build = builds[(round + 1) % builds.len()].clone();
        // Workers first: what a new `rest` writes, an old worker need not know.
        if place < WORKERS {
            fleet.replace_worker(place, &build).await;
        } else {
            fleet.replace_rest(place - WORKERS, &build).await;
        }
        let (accepted, left, ended) = book.counts();
        book.say(&format!(
            "replacement {} of {replacements}: {accepted} accepted, {left} left, {ended} ended",
            number + 1
        ));
    }
    book.horizon.store(usize::MAX, Ordering::Relaxed);
    senders.join_all().await;
    checks::all_end(&book, http).await;
    checks::queue_rests(&book, &ledger).await;
    stop.cancel();
    looking.join_all().await;
    checks::nothing_changes(&book, http).await;
    let all: Vec<Replica> = fleet.workers.drain(..).chain(fleet.rests.drain(..)).collect();
    for replica in all {
        fleet.end(replica).await;
    }
    checks::nothing_is_left_over(&book, &fleet.site, &ledger).await;
    let ends = checks::ends_are_right(&book, &fleet.site).await;
    let untold = checks::untold(&book);
    if untold > 0 {
        book.violation(format!("{untold} callers were not told"));
    }
    let again = book.again.load(Ordering::Relaxed);
    if again > 0 {
        book.violation(format!("{again} songs had to be sent again"));
    }
    let done = done(&fleet.site, &fleet.names);
    if done.tasks == 0 || done.second_attempts + done.twice > 0 {
        book.violation(format!("work was repeated: {done:?}"));
    }
    let violations = book.violations();
    book.say(&format!(
        "{} songs, {replacements} replacements, jobs {ends:?}, {} files read, {again} sent again, {done:?}, the longest end {:.1} s, {} violations",
        scale.songs,
        book.reads.load(Ordering::Relaxed),
        fleet.longest.as_secs_f64(),
        violations.len()
    ));
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}
