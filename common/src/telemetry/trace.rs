//! Where in a trace something happens, carried from process to process as text.

use std::collections::HashMap;
use std::time::SystemTime;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, Value, global};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::ids::JobId;

/// Name of the header.
const HEADER: &str = "traceparent";

/// A span that others are children of, as in the header `traceparent`. Source: W3C Trace Context, level 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceParent(String);

impl TraceParent {
    /// What a header says; none where it is malformed, which costs nothing but the connection.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parent = Self(text.trim().to_owned());
        parent.context().span().span_context().is_valid().then_some(parent)
    }

    /// The span that is entered here; none where nothing is traced.
    #[must_use]
    pub fn current() -> Option<Self> {
        let mut carrier = HashMap::new();
        TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
        carrier.remove(HEADER).map(Self)
    }

    /// Makes a span that was not entered yet a child.
    pub fn adopt(&self, span: &Span) {
        // Fails where nothing is traced.
        span.set_parent(self.context()).ok();
    }

    fn context(&self) -> Context {
        let carrier = HashMap::from([(HEADER.to_owned(), self.0.clone())]);
        TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
    }
}

/// Says more of a span, to those who look at traces; log lines stay as short as they are.
pub fn describe(span: &Span, name: &'static str, value: impl Into<Value>) {
    span.set_attribute(name, value);
}

/// Tells that a job has waited for a worker since then.
pub fn waited(parent: &TraceParent, job: JobId, since: SystemTime) {
    let tracer = global::tracer("msaas");
    let span = tracer.span_builder("queued").with_kind(SpanKind::Internal).with_start_time(since);
    let span = span.with_attributes([KeyValue::new("job.id", job.to_string())]);
    span.start_with_context(&tracer, &parent.context()).end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_a_span_is_a_parent() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(TraceParent::parse(good), Some(TraceParent(good.to_owned())));
        for bad in ["", "x", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", &good.replace('b', "z")]
        {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
        let nobody = format!("00-{}-{}-01", "0".repeat(32), "0".repeat(16));
        assert_eq!(TraceParent::parse(&nobody), None);
    }
}
