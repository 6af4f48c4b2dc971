//! What every store must do, as named checks that run against a real one.
//!
//! ```
//! use std::sync::Arc;
//! use common::storage::conformance::{Subject, run};
//! use common::storage::{Store, fs::Folder};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let root = std::env::temp_dir().join(format!("conformance-{}", uuid::Uuid::new_v4()));
//! let store = Folder::new(&root);
//! store.prepare().await?;
//! let subject = Subject::new(Arc::new(store), || async { 0 });
//! let report = run(&Arc::new(subject), |name| name == "empty_object").await;
//! assert!(report.passed(), "{report}");
//! # std::fs::remove_dir_all(root)?;
//! # Ok(())
//! # }
//! ```

mod copies;
mod links;
mod listing;
mod objects;
mod races;
mod sample;
mod streams;
mod web;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt};

use super::{Result, Store};
use crate::keys::{Bucket, ObjectKey};

/// A store that is being checked. Checks write below `conformance/` in both buckets.
pub struct Subject {
    store: Arc<dyn Store>,
    leftovers: Box<dyn Fn() -> BoxFuture<'static, usize> + Send + Sync>,
}

impl Subject {
    /// A store that was prepared; `leftovers` counts what writes that came to nothing left behind the scenes,
    /// such as open uploads and temporary files.
    pub fn new<F>(store: Arc<dyn Store>, leftovers: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = usize> + Send + 'static,
    {
        Self { store, leftovers: Box::new(move || leftovers().boxed()) }
    }

    /// A key of a check's own.
    fn key(check: &str, name: &str) -> ObjectKey {
        ObjectKey::listed(Bucket::Queue, format!("conformance/{check}/{name}"))
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("store", &self.store).finish_non_exhaustive()
    }
}

type Check = fn(Arc<Subject>) -> BoxFuture<'static, Result<()>>;

/// Names checks after their functions.
macro_rules! checks {
    ($($room:ident: $($name:ident),+;)+) => {
        /// Every check, by name.
        const CHECKS: &[(&str, Check)] =
            &[$($((stringify!($name), (|subject| $room::$name(subject).boxed()) as Check)),+),+];
    };
}

checks! {
    objects: round_trip, empty_object, ranges, once_keeps_the_first, replace_changes_the_etag, delete_twice,
        awkward_keys, long_keys, bad_keys_are_refused;
    streams: short_stream, long_stream_in_bounded_memory, failing_stream_leaves_nothing,
        dropped_write_leaves_nothing;
    races: one_of_sixteen_writers_wins, one_of_eight_streams_wins, one_of_eight_copies_wins,
        racing_streams_never_mix, readers_see_old_or_new;
    listing: pages_of_1205_keys, a_listing_may_begin_anywhere, listed_etags_are_those_of_the_objects,
        order_is_that_of_bytes, prefix_is_any_text, delete_prefix_takes_all_below;
    copies: copy_replaces, copy_once_keeps_the_first, copy_of_nothing, copy_of_many_parts;
    links: signed_get, signed_put, signed_links_expire;
}

/// Names of all checks.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|(name, _)| *name)
}

/// Runs the checks whose names `wanted` accepts, one after the other.
pub async fn run(subject: &Arc<Subject>, wanted: impl Fn(&str) -> bool) -> Report {
    let mut report = Report::default();
    for &(name, check) in CHECKS.iter().filter(|(name, _)| wanted(name)) {
        let began = Instant::now();
        let fault = match tokio::spawn(check(Arc::clone(subject))).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => Some(panic.to_string()),
        };
        report.lines.push(Line { name, took: began.elapsed(), fault });
    }
    report
}

/// What came of the checks.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    name: &'static str,
    took: Duration,
    fault: Option<String>,
}

impl Report {
    /// Whether there was a check and every one passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|line| line.fault.is_none())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { name, took, fault } in &self.lines {
            let verdict = fault.as_deref().unwrap_or("ok");
            writeln!(f, "{:>6} ms  {name}: {verdict}", took.as_millis())?;
        }
        Ok(())
    }
}
