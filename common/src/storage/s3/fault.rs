//! What an answer of the server means.

use std::error::Error;
use std::fmt::Write as _;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::keys::ObjectKey;
use crate::storage::StoreError;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no such object; of a request without a body in its answer, no such bucket is the same.
    Missing,
    /// There is no such multipart upload, any more.
    NoUpload,
    /// A condition of the request does not hold.
    Precondition,
    /// Another write of the same key is under way.
    Conflict,
    /// The range begins behind the end.
    Range,
    /// No space.
    Full,
    /// Worth another try.
    Away(String),
    /// The server does not want it.
    Refused(String),
}

impl Fault {
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ConstructionFailure(_) => Self::Refused(causes(error)),
            SdkError::DispatchFailure(failure) if failure.is_user() => Self::Refused(causes(error)),
            SdkError::ServiceError(answer) => {
                let (status, meta) = (answer.raw().status().as_u16(), answer.err().meta());
                let (code, message) = (meta.code().unwrap_or_default(), meta.message().unwrap_or_default());
                let words = [&status.to_string(), code, message];
                let text = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
                Self::of_answer(status, code, text)
            }
            // Timeouts, broken connections, answers that cannot be read, and what a later SDK adds.
            _ => Self::Away(causes(error)),
        }
    }

    fn of_answer(status: u16, code: &str, text: String) -> Self {
        match (status, code) {
            (_, "NoSuchUpload") => Self::NoUpload,
            (_, "NoSuchBucket") => Self::Refused(text),
            (404, _) => Self::Missing,
            (412, _) => Self::Precondition,
            (409, _) => Self::Conflict,
            (416, _) => Self::Range,
            (507, _) | (_, "InsufficientStorage" | "QuotaExceeded" | "XMinioStorageFull") => Self::Full,
            (501, _) => Self::Refused(text),
            (408 | 425 | 429 | 500.., _) | (_, "RequestTimeout" | "SlowDown" | "Throttling") => {
                Self::Away(text)
            }
            _ => Self::Refused(text),
        }
    }

    /// What the caller learns of it, where it means nothing particular to the request.
    pub(super) fn about(self, key: &ObjectKey) -> StoreError {
        match self {
            Self::Missing => StoreError::NotFound(key.clone()),
            Self::Full => StoreError::Full,
            Self::NoUpload => StoreError::Unavailable(format!("the upload of {key} was removed meanwhile")),
            Self::Precondition => StoreError::Unavailable(format!("{key} changed meanwhile")),
            Self::Conflict => StoreError::Unavailable(format!("another write of {key} is under way")),
            Self::Range => StoreError::Unavailable(format!("{key} became shorter meanwhile")),
            Self::Away(text) => StoreError::Unavailable(text),
            Self::Refused(text) => StoreError::Refused(text),
        }
    }

    /// The same where no object is in question but a bucket.
    pub(super) fn about_bucket(self, name: &str) -> StoreError {
        match self {
            Self::Missing => StoreError::Refused(format!("there is no bucket {name}")),
            Self::Full => StoreError::Full,
            Self::Away(text) => StoreError::Unavailable(text),
            Self::Refused(text) => StoreError::Refused(text),
            Self::NoUpload | Self::Precondition | Self::Conflict | Self::Range => {
                StoreError::Unavailable(format!("the bucket {name} changed meanwhile"))
            }
        }
    }
}

/// An error with its causes in one line, each once.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.ends_with(&more) {
            let _ = write!(text, ": {more}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;
    use crate::storage::Retry;

    #[test]
    fn answers_are_worth_another_try_exactly_when_that_can_help() {
        let key = ObjectKey::epoch(Epoch(1));
        for (status, code, retry) in [
            (503, "SlowDown", Retry::Soon),
            (500, "InternalError", Retry::Soon),
            (400, "RequestTimeout", Retry::Soon),
            (429, "", Retry::Soon),
            (409, "OperationAborted", Retry::Soon),
            (507, "", Retry::WhenThereIsRoom),
            (403, "QuotaExceeded", Retry::WhenThereIsRoom),
            (403, "AccessDenied", Retry::Never),
            (404, "NoSuchKey", Retry::Never),
            (404, "NoSuchBucket", Retry::Never),
            (400, "InvalidRequest", Retry::Never),
            (501, "NotImplemented", Retry::Never),
        ] {
            let error = Fault::of_answer(status, code, String::new()).about(&key);
            assert_eq!(error.retry(), retry, "{status} {code}");
        }
    }
}
