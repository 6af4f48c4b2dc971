//! The parts of a form.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest as _, Multipart, Request};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::source::{Source, broken, declared, too_large};
use crate::error::{Code, Problem};

/// Bytes of a form that may be read without a part, or a piece of one, coming out.
const AHEAD_BYTES: usize = 1 << 18;

/// Bytes of all parts that are not the song, their names included.
const OTHERS_BYTES: usize = 1 << 20;

/// The most that a form has beside its song: other parts, and as much of what is between parts.
const BESIDE_BYTES: u64 = 2 * OTHERS_BYTES as u64;

/// A form as it comes.
pub(crate) struct Form {
    parts: Multipart,
    ahead: Arc<Ahead>,
    others_left: usize,
}

impl Form {
    /// With a song of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Code::TooLarge`] for a form that says that it is larger than that with all else.
    pub(crate) async fn new(request: Request, limit: u64) -> Result<Self, Problem> {
        if declared(request.body()) > limit + BESIDE_BYTES {
            return Err(too_large(limit));
        }
        let ahead = Arc::<Ahead>::default();
        let request = request.map(|body| {
            let body = body.into_data_stream();
            Body::from_stream(Piecewise { body, ahead: ahead.clone() })
        });
        let no_boundary =
            |error| Problem::new(Code::InvalidRequest, "the form has no boundary").caused_by(error);
        let parts = Multipart::from_request(request, &()).await.map_err(no_boundary)?;
        Ok(Self { parts, ahead, others_left: OTHERS_BYTES })
    }

    /// The next part; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Part<'_>>, Problem> {
        let field = self.parts.next_field().await.map_err(|error| unreadable(&error))?;
        self.ahead.gave();
        let (ahead, others_left) = (&self.ahead, &mut self.others_left);
        Ok(field.map(|field| Part { field, ahead, others_left }))
    }
}

/// A part of a form; as a [`Source`] it is the song.
pub(crate) struct Part<'a> {
    field: Field<'a>,
    ahead: &'a Ahead,
    others_left: &'a mut usize,
}

impl Part<'_> {
    /// Its name, empty where it has none.
    pub(crate) fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    /// Whether it is a file.
    pub(crate) fn is_file(&self) -> bool {
        self.field.file_name().is_some()
    }

    /// All of it, as text.
    pub(crate) async fn text(mut self) -> Result<String, Problem> {
        let mut value = Vec::new();
        let take = |left: &mut usize, bytes: usize| {
            *left = left.checked_sub(bytes).ok_or_else(|| {
                Problem::new(Code::TooLarge, "the options of the form are larger than 1 MiB")
            })?;
            Ok::<_, Problem>(())
        };
        let name_bytes = self.name().len();
        take(self.others_left, name_bytes + 1)?;
        while let Some(bytes) = self.next().await? {
            take(self.others_left, bytes.len())?;
            value.extend_from_slice(&bytes);
        }
        String::from_utf8(value)
            .map_err(|_| Problem::new(Code::InvalidRequest, "an option of the form is no text"))
    }
}

impl Source for Part<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let piece = self.field.chunk().await.map_err(|error| unreadable(&error))?;
        self.ahead.gave();
        Ok(piece)
    }
}

fn unreadable(error: &MultipartError) -> Problem {
    let problem = broken(error);
    if problem.code() == Code::InvalidRequest {
        return Problem::new(Code::InvalidRequest, "the form cannot be read").caused_by(error.body_text());
    }
    problem
}

/// How far the parser of a form is ahead of what it gave.
#[derive(Debug, Default)]
struct Ahead {
    bytes: AtomicUsize,
    /// Whether it has asked for more since it got or gave something.
    asked: AtomicBool,
}

impl Ahead {
    /// The parser gave a part, or a piece of one.
    fn gave(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.asked.store(false, Ordering::Relaxed);
    }
}

/// The body of a form for a parser that keeps all that it gets until it finds a part's end or the end of its
/// headers: a piece when it cannot go on without, and not for ever.
struct Piecewise {
    body: BodyDataStream,
    ahead: Arc<Ahead>,
}

impl Stream for Piecewise {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.ahead.asked.swap(true, Ordering::Relaxed) {
            // It looks at what it has first.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.ahead.bytes.load(Ordering::Relaxed) > AHEAD_BYTES {
            return Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other(
                "no part comes to its end",
            )))));
        }
        let piece = self.body.poll_next_unpin(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &piece {
            self.ahead.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
            self.ahead.asked.store(false, Ordering::Relaxed);
        }
        piece
    }
}
