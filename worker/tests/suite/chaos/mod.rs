//! A service of real processes in which everything fails all the while, and those who use it meanwhile.
//!
//! `scripts/chaos.sh` runs it as large as wanted; an ordinary run of the tests a small one.

mod balancer;
mod book;
mod checks;
mod clients;
mod failpoints;
mod faults;
mod hooks;
mod readers;
mod rolling;
pub(crate) mod songs;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::Epoch;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use book::Book;
use faults::{Fleet, Scale};
use songs::Wish;

use crate::processes::Servers;

const CLIENTS: usize = 4;
const READERS: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_song_is_lost_or_partial_or_ends_twice_whatever_dies() {
    let wanted = std::env::var("MSAAS_CHAOS").unwrap_or_default();
    campaign(wanted.parse().unwrap()).await;
}

async fn campaign(scale: Scale) {
    let wishes = (0..scale.songs).map(|number| Wish::of(scale.seed, number)).collect();
    let book = Arc::new(Book::new(wishes, Epoch(0), false));
    book.say(&scale.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hooks_port = listener.local_addr().unwrap().port();
    hooks::listen(listener, Arc::clone(&book));
    let site = Arc::new(Servers::start().await).site().await;
    let (ledger, http) = (site.ledger(), site.http);
    let mut rest = site.rest(hooks_port, "").await;
    let fleet = Arc::new(Fleet::start(site, Arc::clone(&book)));

    let (next, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    // Few unfinished songs at a time, so that what goes wrong meets songs in all states.
    let backlog = (scale.songs / 4).clamp(4, 24);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(clients::send(Arc::clone(&book), http, hooks_port, Arc::clone(&next), backlog));
    }
    let mut readers = JoinSet::new();
    for seed in 0..READERS {
        readers.spawn(readers::read(Arc::clone(&book), http, seed, stop.clone()));
    }
    let faults = fleet.suffer(scale).await;
    clients.join_all().await;
    checks::all_end(&book, http).await;
    checks::queue_rests(&book, &ledger).await;
    stop.cancel();
    readers.join_all().await;
    checks::nothing_changes(&book, http).await;
    let site = fleet.end().await;
    let status = rest.stop().await;
    if status.is_none_or(|status| !status.success()) {
        book.violation(format!("rest was asked to end: {status:?}"));
    }
    checks::nothing_is_left_over(&book, site, &ledger).await;
    let ends = checks::ends_are_right(&book, site).await;
    let (reads, untold) = (book.reads.load(Ordering::Relaxed), checks::untold(&book));
    let violations = book.violations();
    let count = violations.len();
    book.say(&format!(
        "{scale}: {faults} faults, jobs {ends:?}, {reads} files read, {untold} not told, {count} violations"
    ));
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}
