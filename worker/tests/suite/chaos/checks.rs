//! What has to hold when all is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::JobId;
use common::job::Ending;
use common::keys::Bucket;
use common::ledger::Ledger;
use common::queue::State;
use common::storage::Store;
use demucs::{Compute, Settings};
use tokio::time::{Instant, sleep};
use worker::{Engines, Loaded};

use super::book::{Book, Fate, Page};
use super::readers::{Look, sha256};
use crate::bench::held;
use crate::processes::{Http, MODEL, STEMS, Site};
use crate::reference::in_one_pass;

/// Longest time in which no job ends.
const STANDSTILL: Duration = Duration::from_secs(90);

/// Waits until every job that was not deleted or reset has ended; what has not after a standstill is lost.
pub(crate) async fn all_end(book: &Book, http: Http) {
    let mut moved = (Instant::now(), 0);
    loop {
        let open: Vec<JobId> = {
            let pages = book.pages();
            let open = pages.iter().filter(|(_, page)| page.fate == Fate::Left && page.end.is_none());
            open.map(|(job, _)| *job).collect()
        };
        if open.is_empty() {
            return;
        }
        if moved.1 != open.len() {
            moved = (Instant::now(), open.len());
        } else if moved.0.elapsed() > STANDSTILL {
            for job in open {
                let view = Look { book, http, job }.at_job().await;
                book.violation(format!("{job} is lost: it does not end, {:?}", view.map(|view| view.state)));
            }
            return;
        }
        for job in open {
            Look { book, http, job }.at_job().await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Looks at every job and all of its files once more.
pub(crate) async fn nothing_changes(book: &Book, http: Http) {
    let jobs: Vec<JobId> = book.pages().keys().copied().collect();
    for job in jobs {
        Look { book, http, job }.at_all().await;
    }
}

/// Waits until the queue has nothing to do.
pub(crate) async fn queue_rests(book: &Book, ledger: &Ledger) {
    let until = Instant::now() + STANDSTILL;
    loop {
        match ledger.queue().depth().await {
            Ok(depth) if depth.jobs + depth.ready + depth.delayed + depth.active == 0 => return,
            depth if Instant::now() > until => return book.violation(format!("no rest: {depth:?}")),
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Every job that succeeded has the stems of one pass, those that are no songs have failed, and no others.
pub(crate) async fn ends_are_right(book: &Arc<Book>, site: &Site) -> BTreeMap<&'static str, usize> {
    let engines =
        Engines::new(site.models(), vec![Compute::cpu()], Settings { threads: 1, ..Settings::default() });
    let mut counts = BTreeMap::new();
    let pages = book.pages().clone();
    let engine = Arc::new(held(&engines, &MODEL.parse().unwrap()).await);
    for (job, page) in pages {
        let (book, engine) = (Arc::clone(book), Arc::clone(&engine));
        let end = tokio::task::spawn_blocking(move || judge(&book, &engine, &job, &page)).await.unwrap();
        *counts.entry(end).or_default() += 1;
    }
    counts
}

fn judge(book: &Book, engine: &Loaded, job: &JobId, page: &Page) -> &'static str {
    let wish = &book.wishes[page.wish];
    match (page.fate, page.end) {
        (Fate::Gone | Fate::Going, _) => "gone",
        (_, Some(State::Succeeded)) => {
            let files = in_one_pass(engine, &wish.bytes, wish.format, &wish.stems);
            let names = STEMS
                .into_iter()
                .filter(|name| wish.stems.is_empty() || wish.stems.iter().any(|stem| stem.as_str() == *name));
            let expected: BTreeMap<_, _> =
                names.zip(files).map(|(name, file)| (name.parse().unwrap(), sha256(&file))).collect();
            if page.stems != expected {
                book.violation(format!("{job}: {:?} instead of {expected:?}", page.stems));
            }
            "succeeded"
        }
        (_, Some(State::Failed)) if wish.is_poison() => "failed",
        (_, Some(State::Canceled)) => "canceled",
        (_, end) => {
            book.violation(format!("{job} of song {} has ended as {end:?}", page.wish));
            "wrong"
        }
    }
}

/// At rest there is nothing but what belongs to jobs that are left.
pub(crate) async fn nothing_is_left_over(book: &Book, site: &Site, ledger: &Ledger) {
    // What stays for a while, until nobody can be writing any more: for this ledger that is over.
    sleep(Duration::from_secs(1)).await;
    ledger.sweep_pending().await.unwrap();
    ledger.sweep_expired().await.unwrap();
    let busy = ["line:", "ready:", "leases", "held", "delayed", "open", "task:", "tasks:", "left:"];
    let keys = site.servers.valkey.keys(site.number);
    for key in keys.iter().filter(|key| {
        let name = key.splitn(3, ':').nth(2).unwrap_or(key);
        *key == "toWorker" || key.contains("foreign") || busy.iter().any(|busy| name.starts_with(busy))
    }) {
        book.violation(format!("left in the queue: {key}"));
    }
    for file in std::fs::read_dir(site.temp_dir()).unwrap() {
        book.violation(format!("a temporary file is left: {}", file.unwrap().path().display()));
    }
    let store = &*site.store();
    for prefix in ["pending/", "work/", "incoming/", "probe/"] {
        for path in paths(store, Bucket::Queue, prefix).await {
            book.violation(format!("left in the store: {path}"));
        }
    }
    let (mut owned, mut alive) = (BTreeSet::new(), BTreeSet::new());
    let pages = book.pages().clone();
    for (job, page) in pages {
        if page.fate == Fate::Left
            && let Some(record) = ledger.record(&job).await.unwrap()
        {
            owned.extend(results_of(ledger, &record).await);
            alive.insert(job);
            owned.extend(ledger.kept(&record).await.unwrap().map(|_| {
                let separation = record.options.separation(&record.song);
                common::ObjectKey::kept(&record.tenant, &separation).path().to_owned()
            }));
        }
    }
    for path in paths(store, Bucket::Output, "").await {
        // Sources that a job left, all of them or those that were stored before its worker died.
        let job = common::ObjectKey::listed(Bucket::Output, path.clone()).job_id();
        let kept = path.starts_with("kept/") && job.is_some_and(|job| alive.contains(&job));
        if !kept && !owned.contains(&path) {
            book.violation(format!("nobody's result: {path}"));
        }
    }
    book.reads.fetch_add(owned.len() as u64, Ordering::Relaxed);
    let left: BTreeSet<String> = book
        .pages()
        .iter()
        .filter(|(_, page)| page.fate == Fate::Left)
        .map(|(job, _)| job.to_string())
        .collect();
    for prefix in ["jobs/", "uses/", "expiry/", "canceled/"] {
        for path in paths(store, Bucket::Queue, prefix).await {
            let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
            if !left.contains(name) {
                book.violation(format!("left of a job that is gone: {path}"));
            }
        }
    }
    for path in paths(store, Bucket::Queue, "units/").await {
        let job = common::ObjectKey::listed(Bucket::Queue, path.clone()).job_id();
        if job.is_none_or(|job| !left.contains(&job.to_string())) {
            book.violation(format!("left of a job that is gone: {path}"));
        }
    }
}

/// Paths of all that a job may have in the output bucket.
async fn results_of(ledger: &Ledger, record: &common::job::Record) -> BTreeSet<String> {
    let mut paths = BTreeSet::from([common::ObjectKey::manifest(&record.work()).path().to_owned()]);
    let ending = ledger.manifest(record).await.unwrap().map(|manifest| manifest.ending);
    let Some(Ending::Succeeded { results }) = ending else { return paths };
    for result in results {
        let extension = record.options.format.extension();
        paths.insert(Ledger::result_key(record, &result).path().to_owned());
        let commit = common::ObjectKey::commit(&record.work(), &result.make, &result.stem, extension);
        paths.insert(commit.path().to_owned());
        if extension == "mp3" {
            paths.insert(common::ObjectKey::published(&record.song, &result.stem).path().to_owned());
        }
    }
    paths
}

/// How many callers were never told: those of whom a wipe lost the word.
pub(crate) fn untold(book: &Book) -> usize {
    let pages = book.pages();
    pages.values().filter(|page| page.fate == Fate::Left && page.told.is_empty()).count()
}

async fn paths(store: &dyn Store, bucket: Bucket, prefix: &str) -> Vec<String> {
    let (mut paths, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let page = store.list(bucket, prefix, after.as_deref(), 1000).await.unwrap();
        paths.extend(page.objects.iter().map(|(key, _)| key.path().to_owned()));
        after = paths.last().cloned();
        if !page.more {
            return paths;
        }
    }
}
