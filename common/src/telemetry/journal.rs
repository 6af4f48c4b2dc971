//! Log lines on their way to the queue.

use std::fmt::Write as _;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::host;
use crate::queue::Queue;

/// Lines that wait for the queue; more are dropped.
const WAITING: usize = 1024;

/// Longest line in characters.
const LONGEST: usize = 500;

/// Lines on their way to the queue.
#[derive(Debug)]
pub(crate) struct Journal(mpsc::Receiver<String>);

impl Journal {
    /// Carries lines to the queue until `stop`. A queue that cannot be reached costs lines, nothing else.
    pub(crate) async fn run(mut self, queue: Arc<dyn Queue>, stop: CancellationToken) {
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

/// The layer that writes lines of a role, and where they come out.
pub(super) fn journal(role: &str) -> (ToQueue, Journal) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (ToQueue { head: format!("{}.{role}", host()), sender }, Journal(receiver))
}

/// Hears every event.
pub(super) struct ToQueue {
    head: String,
    sender: mpsc::Sender<String>,
}

/// Fields of spans that every line inside them names, if it does not do so itself.
const INHERITED: [&str; 2] = ["request.id", "job.id"];

/// What a span says of the lines inside it, as ` name=value`.
#[derive(Default)]
struct Inherited([String; INHERITED.len()]);

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for ToQueue {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut inherited = Inherited::default();
        attributes.record(&mut inherited);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(inherited);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(inherited) = span.extensions_mut().get_mut::<Inherited>()
        {
            values.record(inherited);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let level = if *event.metadata().level() > Level::INFO { "debug" } else { "info" };
        let mut line = Line::default();
        event.record(&mut line);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(Inherited(fields)) = span.extensions().get() {
                line.inherit(fields);
            }
        }
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

impl Line {
    fn inherit(&mut self, fields: &[String; INHERITED.len()]) {
        for (name, field) in INHERITED.iter().zip(fields) {
            if !self.fields.contains(&format!(" {name}=")) {
                self.fields.push_str(field);
            }
        }
    }
}

impl Visit for Inherited {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if let Some(place) = INHERITED.iter().position(|name| *name == field.name()) {
            self.0[place] = format!(" {}={value:?}", field.name());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
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
