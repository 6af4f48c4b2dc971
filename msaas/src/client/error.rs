//! What can go wrong between a client and its server, each a sentence that names the server.

use std::io::Read as _;
use std::time::Duration;

use serde::Deserialize;
use ureq::Body;
use ureq::http::{Response, header};

use super::Server;

/// Most bytes of an answer that says what is wrong.
const MAX_PROBLEM_BYTES: u64 = 1 << 16;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody answers there.
    #[error("{server} cannot be reached: {why}")]
    Unreachable { server: String, why: String },
    /// It broke off in the middle.
    #[error("the connection to {server} broke off: {why}")]
    Cut { server: String, why: String },
    /// It does not want to.
    #[error("{server} answered {status}{code}: {detail}{request}")]
    Refused {
        server: String,
        status: u16,
        /// The stable word with a space before it, if the answer has one.
        code: String,
        detail: String,
        /// What the server's log calls the request, in brackets, if the answer says.
        request: String,
        /// When another try makes sense, if the server says.
        retry_after: Option<Duration>,
    },
    /// It is no server of ours, or one of another time.
    #[error("{server} answered something strange: {why}")]
    Strange { server: String, why: String },
    /// Something on this side.
    #[error("{0}")]
    Here(String),
}

/// Of a request.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the same request may well succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Cut { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 502 | 503 | 504),
            Self::Strange { .. } | Self::Here(_) => false,
        }
    }

    /// When the server wants to be asked again, if it said so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// RFC 9457, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: Option<String>,
    detail: Option<String>,
    request_id: Option<String>,
}

impl Server {
    /// A request that had no answer.
    pub(super) fn failed(&self, error: &ureq::Error) -> Error {
        let server = self.name().to_owned();
        match error {
            ureq::Error::HostNotFound => {
                Error::Unreachable { server, why: "the host is not known".to_owned() }
            }
            ureq::Error::Io(error) if is_cut(error) => self.cut(error),
            ureq::Error::Io(error) => Error::Unreachable { server, why: error.to_string() },
            ureq::Error::Timeout(timeout) => {
                Error::Unreachable { server, why: format!("no answer in time ({timeout})") }
            }
            ureq::Error::ConnectionFailed => Error::Unreachable { server, why: "no connection".to_owned() },
            ureq::Error::Protocol(why) => Error::Cut { server, why: why.to_string() },
            error => self.strange(error),
        }
    }

    /// An answer that ended too early.
    pub(super) fn cut(&self, why: &dyn std::fmt::Display) -> Error {
        Error::Cut { server: self.name().to_owned(), why: why.to_string() }
    }

    pub(super) fn strange(&self, why: impl std::fmt::Display) -> Error {
        Error::Strange { server: self.name().to_owned(), why: why.to_string() }
    }

    /// An answer that says no.
    pub(super) fn refused(&self, response: Response<Body>) -> Error {
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let mut text = Vec::new();
        let body = response.into_body().into_reader().take(MAX_PROBLEM_BYTES).read_to_end(&mut text);
        let problem: Problem = body.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let detail = problem.detail.as_deref().or(status.canonical_reason()).unwrap_or("no reason given");
        Error::Refused {
            server: self.name().to_owned(),
            status: status.as_u16(),
            code: problem.code.map(|code| format!(" {}", plain(&code))).unwrap_or_default(),
            detail: plain(detail).trim_end_matches('.').to_owned(),
            request: problem.request_id.map(|id| format!(" (request {})", plain(&id))).unwrap_or_default(),
            retry_after,
        }
    }
}

/// Whether the server was there.
fn is_cut(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// A text of the server's as one harmless line.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
