//! Places at which a test may have this process die, between one durable step and the next.
//!
//! Without the feature `failpoints`, which only tests switch on, a place is nothing.

/// Every place. `MSAAS_FAILPOINT` chooses one: its name, or `name:3` for the third time that it is reached.
pub const NAMES: [&str; 25] = [
    "accept.song_stored",
    "accept.identity_written",
    "accept.record_written",
    "accept.marked",
    "accept.submitted",
    "task.claimed",
    "plan.decoded",
    "plan.told",
    "whole.midway",
    "span.midway",
    "span.stored",
    "merge.midway",
    "upload.part_sent",
    "upload.piece_written",
    "result.stored",
    "result.committed",
    "finish.manifest_written",
    "finish.midway_published",
    "finish.cleaned",
    "failure.written",
    "cancel.marked",
    "delete.midway",
    "reset.durable",
    "reset.midway",
    "sweep.midway",
];

/// Ends the process here, as `kill -9` would, if that is wanted.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn reach(_: &str) {}

/// Ends the process here, as `kill -9` would, if that is wanted.
#[cfg(feature = "failpoints")]
pub fn reach(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: LazyLock<Option<(String, AtomicU32)>> = LazyLock::new(|| {
        let wanted = std::env::var("MSAAS_FAILPOINT").ok()?;
        let (name, times) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        Some((name.to_owned(), AtomicU32::new(times.parse().ok()?)))
    });
    debug_assert!(NAMES.contains(&name), "{name} is not in the list");
    if let Some((wanted, times)) = &*WANTED
        && wanted == name
        && times.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}
