//! A collector of traces: takes OTLP over HTTP, as the real ones do.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Collected, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message as _;
use tokio::net::TcpListener;

/// A span as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) service: String,
    /// Number of its process.
    pub(super) process: String,
    pub(super) name: String,
    /// Hexadecimal digits, as in `traceparent`.
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) attributes: BTreeMap<String, String>,
    /// Begin and end in nanoseconds since 1970.
    pub(super) times_ns: (u64, u64),
}

/// What came.
#[derive(Debug, Clone, Default)]
pub(super) struct Collector(Arc<Mutex<Vec<Seen>>>);

impl Collector {
    /// Takes spans until the runtime ends; gives its address too.
    pub(super) async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (collector, address) = (Self::default(), listener.local_addr().unwrap());
        let taking = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let taking = taking.clone();
                let service = service_fn(move |request| take(taking.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (collector, format!("http://{address}"))
    }

    pub(super) fn spans(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }
}

async fn take(
    collector: Collector,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let expected = request.uri().path() == "/v1/traces"
        && request.headers().get("content-type").is_some_and(|kind| kind == "application/x-protobuf");
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    let mut answer = Response::new(Empty::new());
    match ExportTraceServiceRequest::decode(body) {
        Ok(message) if expected => collector.0.lock().unwrap().extend(seen(message)),
        _ => *answer.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(answer)
}

fn seen(message: ExportTraceServiceRequest) -> Vec<Seen> {
    let of_resource = message.resource_spans.into_iter().flat_map(|resource| {
        let of_process = texts(resource.resource.unwrap_or_default().attributes);
        let of =
            ["service.name", "process.pid"].map(|name| of_process.get(name).cloned().unwrap_or_default());
        resource.scope_spans.into_iter().flat_map(|scope| scope.spans).map(move |span| (of.clone(), span))
    });
    of_resource
        .map(|([service, process], span)| Seen {
            service,
            process,
            name: span.name,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            attributes: texts(span.attributes),
            times_ns: (span.start_time_unix_nano, span.end_time_unix_nano),
        })
        .collect()
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value| match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|one| (one.key, text(one.value.and_then(|value| value.value)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
