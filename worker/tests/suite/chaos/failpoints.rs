//! A program dies between one durable step and the next, at every place that has a name; another one takes its
//! place, and clients and readers go on all the while.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audio::{Bitrate, FlacDepth, Format, WavDepth};
use common::failpoint::NAMES;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::book::Book;
use super::songs::Wish;
use super::{checks, clients, hooks, readers};
use crate::processes::{Program, RATE, Servers, Site};

/// A place, and what it takes to get there.
struct Case {
    /// As `MSAAS_FAILPOINT` has it.
    point: &'static str,
    victim: Victim,
    wish: Wish,
    deed: Deed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Rest,
    Worker,
    /// A worker that only begins when the deed is done.
    LateWorker,
    /// A worker whose store is a folder.
    WorkerOfFolder,
}

/// What a client does, again and again until it is answered, once its song is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Nothing,
    Cancel,
    /// After the song was separated.
    Delete,
    /// After the song was separated; then it is sent again.
    Reset,
}

const SIGABRT: i32 = 6;

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    use Deed::{Cancel, Delete, Nothing, Reset};
    use Victim::{LateWorker, Rest, Worker, WorkerOfFolder};
    // Every case has a song of its own.
    let mut seeds = 0..;
    let mut case = |point, victim, wish: fn(u64) -> Wish, deed| {
        Case { point, victim, wish: wish(seeds.next().unwrap_or_default()), deed }
    };
    vec![
        case("accept.song_stored",         Rest,           short,   Nothing),
        case("accept.identity_written",    Rest,           short,   Nothing),
        case("accept.record_written",      Rest,           short,   Nothing),
        case("accept.marked",              Rest,           short,   Nothing),
        case("accept.submitted",           Rest,           short,   Nothing),
        case("task.claimed",               Worker,         short,   Nothing),
        case("task.claimed:5",             Worker,         long,    Nothing),
        case("plan.decoded",               Worker,         long,    Nothing),
        case("plan.told",                  Worker,         long,    Nothing),
        case("whole.midway:10",            Worker,         short,   Nothing),
        case("span.midway:10",             Worker,         long,    Nothing),
        case("span.stored:2",              Worker,         long,    Nothing),
        case("merge.midway:2",             Worker,         long,    Nothing),
        case("upload.part_sent",           Worker,         large,   Nothing),
        case("upload.piece_written:9",     WorkerOfFolder, short,   Nothing),
        case("result.stored:2",            Worker,         short,   Nothing),
        case("result.stored:2",            Worker,         long,    Nothing),
        case("result.committed:2",         Worker,         short,   Nothing),
        case("finish.manifest_written",    Worker,         long,    Nothing),
        case("finish.midway_published:2",  Worker,         mp3,     Nothing),
        case("finish.cleaned",             Worker,         mp3,     Nothing),
        case("failure.written",            Worker,         no_song, Nothing),
        case("cancel.marked",              Rest,           long,    Cancel),
        case("finish.manifest_written",    Rest,           long,    Cancel),
        case("sweep.midway",               LateWorker,     short,   Cancel),
        case("delete.midway",              Rest,           mp3,     Delete),
        case("reset.durable",              Rest,           mp3,     Reset),
        case("reset.midway:5",             Rest,           long,    Reset),
    ]
}

fn short(seed: u64) -> Wish {
    wish(seed, 3000, RATE, Format::Flac(FlacDepth::Bits16))
}

fn long(seed: u64) -> Wish {
    wish(seed, 16_000, RATE, Format::Flac(FlacDepth::Bits16))
}

fn mp3(seed: u64) -> Wish {
    wish(seed, 20_000, 44_100, Format::mp3(Bitrate::Cbr(192)))
}

fn no_song(seed: u64) -> Wish {
    wish(seed, 0, RATE, Format::Flac(FlacDepth::Bits16))
}

/// Its results are sent in parts.
fn large(seed: u64) -> Wish {
    wish(seed, 17 * 44_100, 44_100, Format::Wav(WavDepth::Float32))
}

fn wish(seed: u64, frames: usize, rate_hz: u32, format: Format) -> Wish {
    let stems = vec!["bass".parse().unwrap(), "vocals".parse().unwrap()];
    Wish { stems, ..Wish::with(seed, frames, rate_hz, format) }
}

#[test]
fn every_place_has_a_case() {
    let cases: BTreeSet<_> = cases().iter().map(|case| case.point.split(':').next().unwrap()).collect();
    assert_eq!(cases, NAMES.into_iter().collect());
}

/// Cases that go on side by side, each with a store of its own.
const LANES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_any_named_place_costs_time_and_nothing_else() {
    let servers = Arc::new(Servers::start().await);
    let only = std::env::var("MSAAS_CHAOS_POINT").unwrap_or_default();
    let (folder, s3): (Vec<_>, Vec<_>) = cases()
        .into_iter()
        .filter(|case| case.point.contains(&only))
        .partition(|case| case.victim == Victim::WorkerOfFolder);
    let (folder, s3) = (Arc::new(Mutex::new(folder)), Arc::new(Mutex::new(s3)));
    let mut lanes = JoinSet::new();
    lanes.spawn(lane(servers.site_in_folder().await, folder));
    for _ in 0..LANES {
        lanes.spawn(lane(servers.site().await, Arc::clone(&s3)));
    }
    let violations = lanes.join_all().await.concat();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// Does one case after the other in the same place.
async fn lane(site: Site, cases: Arc<Mutex<Vec<Case>>>) -> Vec<String> {
    let mut violations = Vec::new();
    loop {
        let Some(case) = cases.lock().unwrap().pop() else { return violations };
        let name = format!("{} {:?} {:?}", case.point, case.victim, case.deed);
        violations.extend(survive(&site, case).await.into_iter().map(|what| format!("{name}: {what}")));
    }
}

async fn survive(site: &Site, case: Case) -> Vec<String> {
    let Case { point, victim, wish, deed } = case;
    let (ledger, http) = (site.ledger(), site.http);
    let epoch = ledger.restore_epoch().await.unwrap();
    let rest_dies = victim == Victim::Rest;
    let book = Arc::new(Book::new(vec![wish.clone(), wish], epoch, rest_dies));
    book.say(&format!("{point} {victim:?} {deed:?}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hooks_port = listener.local_addr().unwrap().port();
    hooks::listen(listener, Arc::clone(&book));
    let point_of = |who| if who { point } else { "" };
    let mut rest = site.rest(hooks_port, point_of(victim == Victim::Rest)).await;
    let mut worker = (victim != Victim::LateWorker && deed != Deed::Cancel)
        .then(|| site.worker("worker", point_of(victim != Victim::Rest)));

    let stop = CancellationToken::new();
    let mut readers = JoinSet::new();
    for seed in 0..2 {
        readers.spawn(readers::read(Arc::clone(&book), http, seed, stop.clone()));
    }
    let client = tokio::spawn(act(Arc::clone(&book), site.http, hooks_port, deed));
    if victim == Victim::Rest {
        died(&book, &mut rest).await;
        rest = site.rest(hooks_port, "").await;
    } else if let Some(worker) = &mut worker {
        died(&book, worker).await;
    } else {
        while book.counts().2 == 0 {
            sleep(Duration::from_millis(20)).await;
        }
        died(&book, &mut site.worker("worker", point)).await;
    }
    if victim != Victim::Rest || worker.is_none() {
        worker = Some(site.worker("worker", ""));
    }
    client.await.unwrap();
    checks::all_end(&book, http).await;
    checks::queue_rests(&book, &ledger).await;
    // What is over stays over when the queue forgets everything.
    site.servers.valkey.flush(site.number);
    checks::nothing_changes(&book, http).await;
    stop.cancel();
    readers.join_all().await;
    for program in worker.iter_mut().chain([&mut rest]) {
        program.stop().await;
    }
    checks::nothing_is_left_over(&book, site, &ledger).await;
    checks::ends_are_right(&book, site).await;
    // An empty place for the next case.
    ledger.reset().await.unwrap();
    book.violations()
}

async fn died(book: &Book, program: &mut Program) {
    let status = program.ended().await;
    if status.is_none_or(|status| status.signal() != Some(SIGABRT)) {
        book.violation(format!("the place was not reached: {status:?}"));
    }
}

async fn act(book: Arc<Book>, http: crate::processes::Http, hooks_port: u16, deed: Deed) {
    let Some(job) = clients::accepted(&book, http, hooks_port, 0).await else { return };
    if matches!(deed, Deed::Delete | Deed::Reset) {
        checks::all_end(&book, http).await;
    }
    match deed {
        Deed::Nothing => {}
        Deed::Cancel => clients::cancel(&book, http, job).await,
        Deed::Delete => clients::delete(&book, http, job).await,
        Deed::Reset => {
            clients::reset(&book, http).await;
            clients::accepted(&book, http, hooks_port, 1).await;
        }
    }
}
