//! Logs and figures: set up once for each process.
//!
//! Every log line also goes to the list `logging` of the queue, as `<host>.<role>.<info|debug>:<message>`, for
//! whoever watches a fleet with nothing but that list.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::Arc;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::queue::Queue;

/// Lines that wait for the queue; more are dropped.
const WAITING: usize = 1024;

/// Longest line in characters.
const LONGEST: usize = 500;

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Lines on their way to the queue.
#[derive(Debug)]
pub struct Journal(mpsc::Receiver<String>);

impl Journal {
    /// Carries lines to the queue until `stop`. A queue that cannot be reached costs lines, nothing else.
    pub async fn run(mut self, queue: Arc<dyn Queue>, stop: CancellationToken) {
        loop {
            let line = tokio::select! {
                line = self.0.recv() => line,
                () = stop.cancelled() => None,
            };
            let Some(line) = line else { return };
            // Said nowhere: a line about a lost line would be lost as well.
            queue.log(&line).await.ok();
        }
    }
}

/// Sets up logging for this process; `role` is `rest` or `worker`, `filter` as in `info,common=debug`.
///
/// # Errors
/// A sentence where the filter is malformed or logging was set up before.
pub fn init(role: &'static str, format: Format, filter: &str) -> Result<Journal, String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("the log filter cannot be read: {error}"))?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(ToQueue { head: format!("{}.{role}", host()), sender })
        .try_init()
        .map_err(|error| error.to_string())?;
    Ok(Journal(receiver))
}

/// Starts counting; the handle gives the text for `/metrics`.
///
/// # Errors
/// A sentence where counting was set up before.
pub fn figures() -> Result<PrometheusHandle, String> {
    PrometheusBuilder::new().install_recorder().map_err(|error| error.to_string())
}

/// Name of this machine.
#[must_use]
pub fn host() -> String {
    let named = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let name = named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "localhost".to_owned())
}

struct ToQueue {
    head: String,
    sender: mpsc::Sender<String>,
}

impl<S: Subscriber> Layer<S> for ToQueue {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = if *event.metadata().level() > Level::INFO { "debug" } else { "info" };
        let mut line = Line::default();
        event.record(&mut line);
        let text = format!("{}{}", line.message, line.fields);
        let plain: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        self.sender.try_send(format!("{}.{level}:{plain}", self.head)).ok();
    }
}

/// An event as one line.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let done = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
        done.ok();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
