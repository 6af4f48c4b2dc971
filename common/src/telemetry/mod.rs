//! Logs, figures and traces: set up once for each process.
//!
//! Every log line also goes to the list `logging` of the queue, as `<host>.<role>.<info|debug>:<message>`, for
//! whoever watches a fleet with nothing but that list.

mod collector;
pub mod figures;
mod journal;
mod stages;
mod trace;

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use metrics_exporter_prometheus::PrometheusHandle;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

pub(crate) use collector::Traces;
pub(crate) use journal::Journal;
pub use trace::{TraceParent, describe, waited};

/// What a process says of itself, and to whom.
#[derive(Debug, Clone, Args)]
pub struct TelemetryArgs {
    /// Which log lines are written: a level, or levels for modules as in `info,rest=debug`.
    #[arg(long, env = "MSAAS_LOG", default_value = "info")]
    pub log: String,
    /// How log lines look.
    #[arg(long, env = "MSAAS_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Collector of traces, as `http://host:4318` (OTLP, http/protobuf); without one none are made.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Rooms whose spans are traced; those of libraries are not.
const TRACED: [&str; 4] = ["common", "msaas", "rest", "worker"];

/// Sets up logs, figures and traces for this process; `role` is `rest`, `worker` or `serve`. The journal has to be run once
/// there is a queue, the handle gives the text for `/metrics`, and traces are sent until the last is dropped.
///
/// # Errors
/// A sentence where a setting cannot be used, or where this was called before.
pub(crate) fn init(
    role: &'static str,
    args: &TelemetryArgs,
) -> Result<(Journal, PrometheusHandle, Option<Traces>), String> {
    let filter =
        || EnvFilter::try_new(&args.log).map_err(|error| format!("the log filter cannot be read: {error}"));
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let lines = match args.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let (to_queue, journal) = journal::journal(role);
    let traces = args.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
    let traces = traces.map(|endpoint| Traces::to(endpoint, role)).transpose()?;
    // Spans of all levels that are traced, whatever is logged.
    let spans = Targets::new().with_targets(TRACED.map(|room| (room, tracing::Level::INFO)));
    let layer = traces.as_ref().map(|traces| traces.layer().with_filter(spans.clone()));
    tracing_subscriber::registry()
        .with(lines.with_filter(filter()?))
        .with(to_queue.with_filter(filter()?))
        .with(layer)
        .with(stages::Stages.with_filter(spans))
        .try_init()
        .map_err(|error| error.to_string())?;
    Ok((journal, figures::start(role)?, traces))
}

/// Name of this machine.
#[must_use]
pub fn host() -> String {
    let named = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let name = named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "localhost".to_owned())
}
