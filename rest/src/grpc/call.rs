//! What surrounds every call: who asks, a name for the log, a span, figures, the status of an error.

use std::time::Instant;

use common::telemetry::{TraceParent, describe};
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;

use super::status;
use crate::auth::{self, Caller};
use crate::error::{Code, Problem};
use crate::limits::Subject;
use crate::request::{RequestId, text};
use crate::state::App;

/// Lets a call in: within its rate, with a key where one is wanted.
pub(super) fn admit(app: &App, mut request: Request<()>) -> Result<Request<()>, Status> {
    let peer = request.remote_addr().map(|address| address.ip().to_canonical());
    let headers = request.metadata().as_ref();
    let id = RequestId::of(headers);
    match auth::admit(app, app.config.auth.auth, headers, peer) {
        Ok((caller, subject)) => {
            let parent = TraceParent::parse(text(headers, "traceparent"));
            request.extensions_mut().insert(Call { caller, subject, id, parent });
            Ok(request)
        }
        Err(problem) => Err(status::of(&problem, &id)),
    }
}

/// A call that was let in.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) caller: Caller,
    /// As whom it is counted.
    pub(super) subject: Subject,
    pub(super) id: RequestId,
    parent: Option<TraceParent>,
}

impl Call {
    /// Of a request that came through [`admit`].
    pub(super) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        request.extensions().get::<Self>().cloned().ok_or_else(|| Status::unauthenticated(""))
    }

    /// Answers with what `work` gives.
    pub(super) async fn answer<T>(
        self,
        name: &'static str,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<Response<T>, Status> {
        let began = Instant::now();
        let span =
            tracing::info_span!("request", otel.name = name, otel.kind = "server", request.id = %self.id);
        if let Some(parent) = &self.parent {
            parent.adopt(&span);
        }
        let done = work.instrument(span.clone()).await;
        let (status, answer) = match done {
            Ok(answer) => (tonic::Code::Ok, Ok(self.named(Response::new(answer)))),
            Err(problem) => {
                problem.log(&self.id);
                let status = status::of(&problem, &self.id);
                (status.code(), Err(status))
            }
        };
        describe(&span, "rpc.grpc.status_code", i64::from(status as i32));
        let labels = [("call", name.to_owned()), ("status", format!("{status:?}"))];
        metrics::counter!("msaas_grpc_calls_total", &labels).increment(1);
        metrics::histogram!("msaas_grpc_call_seconds", &labels[..1]).record(began.elapsed().as_secs_f64());
        tracing::debug!(request.id = %self.id, call = name, ?status, "answered");
        answer
    }

    fn named<T>(&self, mut response: Response<T>) -> Response<T> {
        if let Ok(id) = MetadataValue::try_from(self.id.as_str()) {
            response.metadata_mut().insert(RequestId::HEADER, id);
        }
        response
    }
}

/// Why the messages of a client ended before their end.
pub(super) fn broken(status: &Status) -> Problem {
    let problem = match status.code() {
        tonic::Code::OutOfRange => Problem::new(Code::TooLarge, "a message is larger than 4 MiB"),
        _ => Problem::new(Code::InvalidRequest, "the call broke off"),
    };
    problem.caused_by(status.message())
}
