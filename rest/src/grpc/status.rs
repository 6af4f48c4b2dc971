//! Errors as status codes. The stable word of the HTTP interface is in the metadata.

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code as Grpc, Status};

use crate::error::{Code, Problem};
use crate::request::RequestId;

/// What a client of gRPC sees of an error.
pub(super) fn of(problem: &Problem, id: &RequestId) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("msaas-code", MetadataValue::from_static(problem.code().as_str()));
    let seconds = problem.retry_after_s().map(|seconds| seconds.to_string());
    for (name, value) in [("retry-after", seconds.as_deref()), (RequestId::HEADER, Some(id.as_str()))] {
        if let Some(value) = value.and_then(|value| MetadataValue::try_from(value).ok()) {
            metadata.insert(name, value);
        }
    }
    Status::with_metadata(code(problem.code()), problem.detail(), metadata)
}

fn code(code: Code) -> Grpc {
    match code {
        Code::InvalidRequest
        | Code::InvalidOption
        | Code::UnknownModel
        | Code::InvalidCursor
        | Code::Empty
        | Code::TooLarge
        | Code::MediaType
        | Code::NotAudio
        | Code::OtherParameters
        | Code::InvalidCallback
        | Code::InvalidLink
        | Code::HeadersTooLarge => Grpc::InvalidArgument,
        Code::Range => Grpc::OutOfRange,
        Code::Unauthorized => Grpc::Unauthenticated,
        Code::Forbidden | Code::LinksOff => Grpc::PermissionDenied,
        Code::NotFound | Code::Gone => Grpc::NotFound,
        Code::MethodNotAllowed => Grpc::Unimplemented,
        Code::Timeout => Grpc::DeadlineExceeded,
        Code::InFlight => Grpc::Aborted,
        Code::UploadExists => Grpc::AlreadyExists,
        Code::UploadIncomplete | Code::NotFinished | Code::LinkFailed | Code::LinkSlow => {
            Grpc::FailedPrecondition
        }
        Code::RateLimited | Code::SongsFull | Code::StreamsFull | Code::TenantFull => Grpc::ResourceExhausted,
        Code::Internal => Grpc::Internal,
        Code::Full | Code::Unavailable => Grpc::Unavailable,
    }
}
