//! The figures of `/metrics`: every one by its name, and what it says.
//!
//! The table is what the documents, the dashboard and the alerts are held against. Counters whose labels are known are there
//! from the start, so that a first event is a rise and not an appearance.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::queue::Reaped;

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until its process begins anew.
    Counter,
    /// It is what it is now.
    Gauge,
    /// How many values there were up to each of some bounds.
    Histogram,
}

/// What tells the series of a figure apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// There is one series.
    None,
    /// One label with these values.
    Known(&'static str, &'static [&'static str]),
    /// Labels whose values come as they come.
    Open,
}

/// A figure.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Programs that have it: `rest`, `worker` or both.
    pub of: &'static [&'static str],
    /// What tells its series apart.
    pub labels: Labels,
    /// What it says.
    pub about: &'static str,
}

const REST: &[&str] = &["rest"];
const WORKER: &[&str] = &["worker"];
const BOTH: &[&str] = &["rest", "worker"];

/// Stages of a job that are measured where their span closes.
pub(super) const STAGES: [&str; 9] =
    ["receive", "accept", "decode", "separate", "join", "mix", "store", "keep", "callback"];

/// All figures.
pub const FIGURES: &[Figure] = &[
    counter("msaas_requests_total", REST, "answers, by method, route, status"),
    histogram("msaas_request_seconds", REST, "time to the head of the answer, by method, route"),
    counter("msaas_grpc_calls_total", REST, "calls of gRPC, by call, status"),
    histogram("msaas_grpc_call_seconds", REST, "time to their answer, by call"),
    counter("msaas_jobs_accepted_total", REST, "jobs, by whether the work was there already")
        .with("deduplicated", &["false", "true"]),
    counter("msaas_admission_rejected_total", REST, "what was not taken, by reason: `full`, `wait` (longer than `--max-wait`), `tenant`, `uploads` (too many at once), `rate`")
        .with("reason", &["full", "wait", "tenant", "uploads", "rate"]),
    counter("msaas_callbacks_total", REST, "callbacks, by outcome: `told`, `failed` (tried again), `refused`")
        .with("outcome", &["told", "failed", "refused"]),
    gauge("msaas_store_up", REST, "1 where the store answers, otherwise 0: no `rest` is ready then"),
    gauge("msaas_queue_up", REST, "1 where the queue answers, otherwise 0, and the next six stay as they were"),
    gauge("msaas_queue_jobs", REST, "jobs that wait or run"),
    gauge("msaas_queue_depth", REST, "tasks for workers, by state: `ready`, `running`, `delayed` (until another attempt)"),
    gauge("msaas_queue_notices", REST, "ends of jobs that callers are to be told of"),
    gauge("msaas_queue_audio_seconds", REST, "audio of the jobs that wait or run"),
    gauge("msaas_queue_dead", REST, "entries on the list of what was given up"),
    gauge("msaas_oldest_ready_seconds", REST, "how long the task has waited that has waited longest"),
    gauge("msaas_workers", REST, "workers that were heard of within a lease, by state: `busy`, `idle`")
        .with("state", &["busy", "idle"]),
    counter("msaas_jobs_ended_total", BOTH, "jobs, by how they ended; by who wrote it down, so each once")
        .with("state", &["succeeded", "failed", "canceled"]),
    histogram("msaas_job_seconds", BOTH, "time in each stage of a job: `receive` and `accept` (`rest`), `queued`, `decode`, `separate`, `join`, `mix`, `store` (each result), `keep`, `callback`, and `whole`, from its acceptance to its success"),
    counter("msaas_lease_expired_total", BOTH, "leases of silent workers that this process found ended").alone(),
    counter("msaas_replanned_total", BOTH, "songs planned again, since no worker of the kind that planned them came").alone(),
    counter("msaas_dead_total", BOTH, "tasks given up, by cause: `permanent` (the song is to blame), `attempts` (the last one failed), `silence` (of the last worker)")
        .with("cause", &["permanent", "attempts", "silence"]),
    counter("msaas_stale_commit_total", BOTH, "ends of tasks that came too late to count: the task was another one's by then").alone(),
    counter("msaas_store_bytes_total", BOTH, "bytes of objects that went to an S3 store and came from it, by direction"),
    gauge("msaas_build_info", BOTH, "1, by version and revision (`MSAAS_REVISION`, which images have)"),
    histogram("msaas_task_seconds", WORKER, "time of a worker for a task, by kind and outcome: `done`, `failed`, `again` (to be tried again), `released` (by a worker that ends), `left` (canceled, or another one's by then)"),
    counter("msaas_separated_audio_seconds_total", WORKER, "audio that was separated, of a song in spans by parts").alone(),
    gauge("msaas_realtime_factor", WORKER, "audio of the last song or span, divided by its time, which it shares with others that are in work, by model"),
    counter("msaas_device_seconds_total", WORKER, "time in which a device computed batches, by device"),
    counter("msaas_device_segments_total", WORKER, "segments that it computed, by device"),
    counter("msaas_device_batches_total", WORKER, "batches in which it computed them, by device: segments, divided by batches and `msaas_device_batch`, are how full they were"),
    gauge("msaas_device_batch", WORKER, "segments that a batch may have, by device"),
    gauge("msaas_worker_busy", WORKER, "1 while a task is in hand"),
];

impl Figure {
    const fn alone(self) -> Self {
        Self { labels: Labels::None, ..self }
    }

    const fn with(self, label: &'static str, values: &'static [&'static str]) -> Self {
        Self { labels: Labels::Known(label, values), ..self }
    }

    /// Whether a program in this role has it.
    #[must_use]
    pub fn is_of(&self, role: &str) -> bool {
        role == "serve" || self.of.contains(&role)
    }

    fn describe(&self) {
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, self.about),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.about),
            Kind::Histogram => metrics::describe_histogram!(self.name, self.about),
        }
    }
}

const fn figure(name: &'static str, kind: Kind, of: &'static [&'static str], about: &'static str) -> Figure {
    Figure { name, kind, of, labels: Labels::Open, about }
}

const fn counter(name: &'static str, of: &'static [&'static str], about: &'static str) -> Figure {
    figure(name, Kind::Counter, of, about)
}

const fn gauge(name: &'static str, of: &'static [&'static str], about: &'static str) -> Figure {
    figure(name, Kind::Gauge, of, about)
}

const fn histogram(name: &'static str, of: &'static [&'static str], about: &'static str) -> Figure {
    figure(name, Kind::Histogram, of, about)
}

/// Bounds of requests in seconds, and of work, which takes minutes.
const SHORT_S: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
const LONG_S: [f64; 14] =
    [0.01, 0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 1200.0, 3600.0];

/// Starts counting for a program in this role; the handle gives the text for `/metrics`.
///
/// # Errors
/// A sentence where counting was started before.
pub fn start(role: &str) -> Result<PrometheusHandle, String> {
    let handle = recorder().map_err(|error| error.to_string())?;
    let figures = FIGURES.iter().filter(|figure| figure.is_of(role));
    for figure in figures {
        figure.describe();
        match figure.labels {
            Labels::None => metrics::counter!(figure.name).increment(0),
            Labels::Known(label, values) => {
                for value in values {
                    metrics::counter!(figure.name, label => *value).increment(0);
                }
            }
            Labels::Open => {}
        }
    }
    let revision = std::env::var("MSAAS_REVISION").unwrap_or_default();
    metrics::gauge!("msaas_build_info", "version" => env!("CARGO_PKG_VERSION"), "revision" => revision)
        .set(1.0);
    Ok(handle)
}

fn recorder() -> Result<PrometheusHandle, BuildError> {
    let of = |name: &str| Matcher::Full(name.to_owned());
    PrometheusBuilder::new()
        .set_buckets_for_metric(of("msaas_request_seconds"), &SHORT_S)?
        .set_buckets_for_metric(of("msaas_grpc_call_seconds"), &SHORT_S)?
        .set_buckets_for_metric(of("msaas_job_seconds"), &LONG_S)?
        .set_buckets_for_metric(of("msaas_task_seconds"), &LONG_S)?
        .install_recorder()
}

/// Counts what a reaping has found.
pub fn reaped(found: Reaped) {
    metrics::counter!("msaas_lease_expired_total").increment(found.expired);
    metrics::counter!("msaas_replanned_total").increment(found.replanned);
    metrics::counter!("msaas_dead_total", "cause" => "silence").increment(found.dead);
}

/// Counts a task that was given up by who failed it: for good, or for the last time.
pub fn given_up(for_good: bool) {
    let cause = if for_good { "permanent" } else { "attempts" };
    metrics::counter!("msaas_dead_total", "cause" => cause).increment(1);
}

/// Counts an end that came too late.
pub fn stale_commit() {
    metrics::counter!("msaas_stale_commit_total").increment(1);
}

/// Measures a stage of a job that is no span.
pub fn stage(name: &'static str, seconds: f64) {
    metrics::histogram!("msaas_job_seconds", "stage" => name).record(seconds);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn figures_have_names_of_one_form_and_each_of_them_once() {
        let names: BTreeSet<_> = FIGURES.iter().map(|figure| figure.name).collect();
        assert_eq!(names.len(), FIGURES.len());
        for figure in FIGURES {
            assert!(figure.name.starts_with("msaas_"), "{}", figure.name);
            assert_eq!(figure.name.ends_with("_total"), figure.kind == Kind::Counter, "{}", figure.name);
        }
    }
}
