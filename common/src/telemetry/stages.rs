//! How long the stages of a job take: each one is a span, and where it closes it becomes a figure, traced or not.

use std::time::Instant;

use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::figures::{self, STAGES};

/// Hears of every span.
pub(super) struct Stages;

/// When a span began.
struct Begun(Instant);

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Stages {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if STAGES.contains(&attributes.metadata().name())
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(Begun(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(span) = context.span(&id)
            && let Some(Begun(at)) = span.extensions().get()
        {
            figures::stage(span.name(), at.elapsed().as_secs_f64());
        }
    }
}
