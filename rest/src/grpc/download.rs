//! A result in pieces.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use proto::download_response::Part;
use proto::{DownloadRequest, DownloadResponse, File};
use tonic::Status;

use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::routes::stems;
use crate::service::find;
use crate::state::App;

/// Bytes of a message, without what surrounds them: messages of more than 4 MiB are not what clients expect.
const PIECE_BYTES: usize = 1 << 18;

pub(super) async fn download(
    app: &App,
    caller: &Caller,
    asked: &DownloadRequest,
) -> Result<impl Stream<Item = Result<DownloadResponse, Status>> + Send + Unpin + use<>, Problem> {
    let record = find(app, caller, &asked.id).await?;
    let missing = || Problem::new(Code::NotFound, "there is no such stem, or not yet");
    let name = asked.stem.parse().map_err(|_| missing())?;
    let result = app.ledger.result(&record, &name).await?.ok_or_else(missing)?;
    if asked.offset > result.size_bytes {
        return Err(Problem::plain(Code::Range));
    }
    let shown = stems::file(&record, &result);
    let file = File {
        name: shown.name,
        media_type: shown.media_type.to_owned(),
        size_bytes: result.size_bytes,
        sha256: result.sha256.clone(),
    };
    let range = asked.offset..result.size_bytes;
    let body = if range.is_empty() {
        stream::empty().boxed()
    } else {
        app.ledger.open(&record, &result, Some(range)).await?.body
    };
    let pieces = body.flat_map(|bytes| stream::iter(pieces(bytes)));
    let head = stream::iter([Ok(Part::File(file))]);
    let part = |part| DownloadResponse { part: Some(part) };
    Ok(Box::pin(head.chain(pieces).map(move |sent| sent.map(part))))
}

fn pieces(bytes: std::io::Result<Bytes>) -> Vec<Result<Part, Status>> {
    match bytes {
        Ok(mut bytes) => {
            let mut pieces = Vec::new();
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                pieces.push(Ok(Part::Chunk(piece)));
            }
            pieces
        }
        Err(error) => {
            tracing::warn!(%error, "a download broke off");
            vec![Err(Status::unavailable("the store cannot be read; go on at the offset that was reached"))]
        }
    }
}
