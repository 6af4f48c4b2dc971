//! Connections: how many, how slow, and how they end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::{BodyExt as _, Limited};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::config::LimitArgs;
use crate::pace::Patience;
use crate::request::Peer;
use crate::routes;
use crate::state::App;

/// Bytes of a connection that are read ahead: the headers of a request fit.
const READ_AHEAD: usize = 64 << 10;

/// Answers on `listener` until `stop`; then waits for what is under way, at most as long as the settings say.
///
/// # Errors
/// None for now; faults of single connections are logged.
pub async fn serve(listener: TcpListener, app: App, stop: CancellationToken) -> io::Result<()> {
    let router = routes::router(&app);
    let places = Arc::new(Semaphore::new(app.config.limits.connections));
    let connections = TaskTracker::new();
    loop {
        // A place first: what does not fit waits in the system's queue.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = stop.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                stream.set_nodelay(true).ok();
                let connection =
                    connection(stream, Peer(peer.ip().to_canonical()), &app, router.clone(), stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: others have to end first.
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    connections.close();
    app.tasks.close();
    let all = async {
        connections.wait().await;
        app.tasks.wait().await;
    };
    if tokio::time::timeout(app.config.shutdown, all).await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut off");
    }
    Ok(())
}

fn connection(
    stream: TcpStream,
    peer: Peer,
    app: &App,
    router: Router,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let limits = &app.config.limits;
    let idle = limits.idle;
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        let (mut router, idle) = (router.clone(), idle);
        async move { router.call(unread(request, idle).await).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(READ_AHEAD)
        .serve_connection(TokioIo::new(Reader::new(stream, limits)), service);
    async move {
        tokio::pin!(served);
        tokio::select! {
            ended = served.as_mut() => return said(ended),
            () = stop.cancelled() => served.as_mut().graceful_shutdown(),
        }
        said(served.await);
    }
}

/// Bytes of a body that nobody asked for, read so that the connection can end in peace.
const UNASKED_BYTES: usize = 64 << 10;

/// Reads the small body of a request that should have none: older clients send `null` with every GET. Left unread,
/// it would make the system reset the connection before the client has its answer.
async fn unread(request: Request<hyper::body::Incoming>, idle: Duration) -> Request<Body> {
    let takes_none =
        matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS);
    if !takes_none && request.uri().path() != "/" {
        return request.map(Body::new);
    }
    let (parts, body) = request.into_parts();
    // Too long or too slow: the connection ends as it may.
    tokio::time::timeout(idle, Limited::new(body, UNASKED_BYTES).collect()).await.ok();
    Request::from_parts(parts, Body::empty())
}

fn said(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// A connection whose other end has to take what is sent to it.
pub(crate) struct Reader {
    stream: TcpStream,
    patience: Patience,
}

impl Reader {
    pub(crate) fn new(stream: TcpStream, limits: &LimitArgs) -> Self {
        Self { stream, patience: Patience::new(limits) }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Counts the time in which nothing could be written.
    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.patience.moved(*written.as_ref().unwrap_or(&0));
            return Poll::Ready(written);
        }
        self.patience.poll_end(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Reader {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
