//! Who is told how jobs ended.

use std::convert::Infallible;
use std::sync::Arc;

use common::job::View;
use http_body_util::{BodyExt as _, Collected, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::book::Book;

/// Takes messages for the book until the runtime ends; the path of each is the number of a wish. Every seventh is
/// answered as a server in trouble does, and has to come again.
pub(crate) fn listen(listener: TcpListener, book: Arc<Book>) {
    tokio::spawn(async move {
        let mut heard = 0_u64;
        while let Ok((stream, _)) = listener.accept().await {
            heard += 1;
            let (book, trouble) = (Arc::clone(&book), heard.is_multiple_of(7));
            let service = service_fn(move |request| take(Arc::clone(&book), trouble, request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

async fn take(
    book: Arc<Book>,
    trouble: bool,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let wish = request.uri().path().trim_start_matches('/').parse();
    let id = request.headers().get("webhook-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let body = request.into_body().collect().await.map(Collected::to_bytes);
    let mut answer = Response::new(Empty::new());
    let view = body.ok().and_then(|body| serde_json::from_slice::<View>(&body).ok());
    match (wish, id, view) {
        (Ok(wish), Some(id), Some(view)) => book.told(wish, &id, &view),
        told => book.violation(format!("a strange message: {told:?}")),
    }
    if trouble {
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(answer)
}
