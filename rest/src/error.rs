//! Every error answer of every interface: status, stable code and body are decided here and nowhere else.
//!
//! A handler returns a [`Problem`]; `render` turns it into the body of the interface that was asked: problem
//! documents (RFC 9457), for the older contract `{"error": "..."}`, for the editor's a sentence alone. Causes are
//! logged, never sent.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use common::ledger::LedgerError;
use common::queue::QueueError;
use common::storage::StoreError;
use serde_json::json;

use crate::request::RequestId;

/// What went wrong, as a stable word with its status.
macro_rules! codes {
    ($($name:ident $status:literal $code:literal $title:literal)*) => {
        /// Stable words for what can go wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// Status of the answer.
            #[must_use]
            pub fn status(self) -> StatusCode {
                let status: u16 = match self { $(Self::$name => $status),* };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            /// The same sentence each time.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }
        }
    };
}

codes! {
    InvalidRequest 400 "invalid_request" "The request cannot be understood."
    InvalidOption 400 "invalid_option" "An option cannot be met."
    UnknownModel 400 "unknown_model" "There is no such model."
    InvalidCursor 400 "invalid_cursor" "The cursor is not one of this list."
    Empty 400 "empty" "The upload has no bytes."
    Unauthorized 401 "unauthorized" "A valid key is needed."
    Forbidden 403 "forbidden" "The key does not allow this."
    LinksOff 403 "links_off" "This server takes no songs by link."
    NotFound 404 "not_found" "There is no such thing."
    MethodNotAllowed 405 "method_not_allowed" "The address does not have this method."
    Timeout 408 "timeout" "The request took too long."
    InFlight 409 "idempotency_in_flight" "A request with this idempotency key is still worked on."
    UploadIncomplete 409 "upload_incomplete" "Parts of the upload have not been sent."
    UploadExists 409 "upload_exists" "The upload is there already."
    NotFinished 409 "not_finished" "The job has not succeeded."
    Gone 410 "gone" "The results' time is over."
    TooLarge 413 "too_large" "The upload is too large."
    MediaType 415 "unsupported_media_type" "The body is of a kind that is not taken here."
    Range 416 "range_not_satisfiable" "The range lies outside the file."
    NotAudio 422 "not_audio" "The upload is not audio."
    OtherParameters 422 "idempotency_mismatch" "The idempotency key was used with other parameters."
    InvalidCallback 422 "invalid_callback" "The callback address cannot be used."
    InvalidLink 422 "invalid_link" "The link cannot be used."
    LinkFailed 422 "link_failed" "The file behind the link cannot be fetched."
    LinkSlow 422 "link_slow" "The file behind the link comes too slowly."
    RateLimited 429 "rate_limited" "Too many requests."
    SongsFull 429 "songs_full" "Too many songs of this client are kept for later."
    StreamsFull 429 "streams_full" "Too many streams of this client are open."
    TenantFull 429 "tenant_full" "Too many jobs of this client wait."
    HeadersTooLarge 431 "headers_too_large" "The headers are too large."
    Internal 500 "internal" "Something went wrong here."
    Full 503 "full" "Too many jobs wait."
    Unavailable 503 "unavailable" "The service cannot do this now."
}

/// An error answer.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: String,
    param: Option<&'static str>,
    retry_after_s: Option<u64>,
    content_range: Option<u64>,
    allow: Option<&'static str>,
    cause: Option<String>,
}

impl Problem {
    /// An error with a sentence for people.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            param: None,
            retry_after_s: None,
            content_range: None,
            allow: None,
            cause: None,
        }
    }

    /// An error that says no more than its code does.
    #[must_use]
    pub fn plain(code: Code) -> Self {
        Self::new(code, code.title())
    }

    /// There is no such thing, or it is someone else's.
    #[must_use]
    pub fn not_found() -> Self {
        Self::plain(Code::NotFound)
    }

    /// Names the parameter that is to blame.
    #[must_use]
    pub fn param(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    /// The parameter that is to blame.
    #[must_use]
    pub fn named(&self) -> Option<&'static str> {
        self.param
    }

    /// Says when another try makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// Length in bytes of the file whose range was asked for.
    #[must_use]
    pub fn length(mut self, size_bytes: u64) -> Self {
        self.content_range = Some(size_bytes);
        self
    }

    /// Methods that the address has, for an interface whose faults are those of the method.
    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// For the log only.
    #[must_use]
    pub fn caused_by(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// The stable word.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The sentence for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// When another try makes sense, in seconds.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_s
    }

    /// Says in the log what is behind it.
    pub(crate) fn log(&self, id: &RequestId) {
        if let Some(cause) = &self.cause {
            tracing::warn!(request.id = %id, code = self.code.as_str(), %cause, "a request failed");
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => error.into(),
            LedgerError::Queue(error) => error.into(),
            LedgerError::Record { .. } => Self::plain(Code::Internal).caused_by(error),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound(_) => Self::not_found(),
            StoreError::Full => Self::plain(Code::Unavailable).retry_after(60),
            StoreError::Unavailable(_) => Self::plain(Code::Unavailable).retry_after(5),
            StoreError::Source(_) => Self::new(Code::InvalidRequest, "the upload broke off"),
            StoreError::Refused(_) => Self::plain(Code::Internal),
        }
        .caused_by(error)
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        match &error {
            QueueError::Unavailable(_) => Self::plain(Code::Unavailable).retry_after(5),
            QueueError::Strange(_) => Self::plain(Code::Internal),
        }
        .caused_by(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Which body errors have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RFC 9457.
    Problem,
    /// `{"error": "..."}`, every fault of the client's upload a 400.
    Old,
    /// A sentence as JSON, every fault of what was sent a 405.
    Editor,
}

impl Dialect {
    /// Of the interface at this path.
    pub(crate) fn of(path: &str) -> Self {
        match path.split('/').nth(1).unwrap_or_default() {
            "" if path.len() < 2 => Self::Old,
            "apiv1" => Self::Old,
            "music" | "job" | "jobs" | "reset" => Self::Editor,
            _ => Self::Problem,
        }
    }

    /// Status of the answer.
    pub(crate) fn status(self, code: Code) -> StatusCode {
        match (self, code) {
            (Self::Old, Code::NotAudio | Code::MediaType | Code::InvalidCallback) => StatusCode::BAD_REQUEST,
            (Self::Editor, Code::InvalidRequest | Code::Empty | Code::NotAudio) => {
                StatusCode::METHOD_NOT_ALLOWED
            }
            _ => code.status(),
        }
    }
}

/// Gives an error answer its body. Errors that the framework made become problems here; its headers stay.
pub(crate) fn render(response: axum::response::Response, id: &RequestId, dialect: Dialect) -> Response<Body> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = response.extensions().get::<Arc<Problem>>().cloned();
    let problem = problem.unwrap_or_else(|| Arc::new(Problem::plain(of_status(status))));
    problem.log(id);
    let status = dialect.status(problem.code);
    let mut answer = match dialect {
        Dialect::Old => Json(json!({ "error": problem.detail })).into_response(),
        Dialect::Editor => Json(json!(problem.detail)).into_response(),
        Dialect::Problem => {
            let mut body = json!({
                "type": "about:blank",
                "title": problem.code.title(),
                "status": status.as_u16(),
                "code": problem.code.as_str(),
                "detail": problem.detail,
                "request_id": id.as_str(),
            });
            if let Some(param) = problem.param {
                body["param"] = json!(param);
            }
            ([(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
        }
    };
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    // What stood there already: methods that the address has, what pages of other origins may read.
    for (name, value) in response.headers() {
        if ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name) {
            headers.append(name, value.clone());
        }
    }
    if let Some(allow) = problem.allow {
        headers.entry(header::ALLOW).or_insert(HeaderValue::from_static(allow));
    }
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(length) = problem.content_range
        && let Ok(value) = HeaderValue::from_str(&format!("bytes */{length}"))
    {
        headers.insert(header::CONTENT_RANGE, value);
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

fn of_status(status: StatusCode) -> Code {
    match status.as_u16() {
        404 => Code::NotFound,
        405 => Code::MethodNotAllowed,
        408 => Code::Timeout,
        413 => Code::TooLarge,
        415 => Code::MediaType,
        431 => Code::HeadersTooLarge,
        400..500 => Code::InvalidRequest,
        503 => Code::Unavailable,
        _ => Code::Internal,
    }
}
