//! Spans on their way to a collector. One that is slow or away costs spans, nothing else: they wait in a queue of bounded
//! length, and are sent by a thread of their own.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, global};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// Longest time for one message to the collector.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest wait for what is left at the end of a process.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Largest answer of a collector in bytes.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// The way of spans to a collector. Dropped, it sends what is left, if that can be sent soon.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    pub(super) fn to(endpoint: &str, role: &'static str) -> Result<Self, String> {
        let refused = |error: &dyn std::fmt::Display| format!("traces cannot be sent to {endpoint}: {error}");
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(refused(&"the address begins neither with http:// nor with https://"));
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new())
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| refused(&error))?;
        // What the variables OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes first.
        let named = std::env::var_os("OTEL_SERVICE_NAME").is_some();
        let mut resource = Resource::builder();
        if !named {
            resource = resource.with_service_name(format!("msaas-{role}"));
        }
        let resource = resource
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("host.name", super::host()))
            .with_attribute(KeyValue::new("process.pid", i64::from(std::process::id())))
            .build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        global::set_tracer_provider(provider.clone());
        Ok(Self(provider))
    }

    pub(super) fn layer<S>(&self) -> OpenTelemetryLayer<S, opentelemetry_sdk::trace::Tracer>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("msaas"))
            .with_threads(false)
            .with_location(false)
            .with_tracked_inactivity(false)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        self.0.shutdown_with_timeout(LAST_WORDS).ok();
    }
}

/// Sends messages, on the thread that makes them; says once when that fails, and once when it goes on.
#[derive(Debug)]
struct Sender {
    agent: ureq::Agent,
    fails: Mutex<bool>,
}

impl Sender {
    fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Self { agent: config.into(), fails: Mutex::new(false) }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (parts, body) = request.into_parts();
        let mut answer = self.agent.run(Request::from_parts(parts, body.to_vec()))?;
        let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        Ok(answer.map(|_| body.into()))
    }

    fn say(&self, fails: bool, why: impl FnOnce() -> String) {
        let Ok(mut before) = self.fails.lock() else { return };
        match (std::mem::replace(&mut *before, fails), fails) {
            (false, true) => tracing::warn!(why = why(), "traces are lost: the collector does not take them"),
            (true, false) => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request);
        match &sent {
            Ok(answer) => {
                self.say(!answer.status().is_success(), || format!("it answers {}", answer.status()));
            }
            Err(error) => self.say(true, || error.to_string()),
        }
        Ok(sent?)
    }
}
