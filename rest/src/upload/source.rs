//! Where the bytes of an upload come from.

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use hyper::body::Body as _;

use super::Envelope;
use crate::error::{Code, Problem};
use crate::pace::TooSlow;

/// Brings the bytes of a song, in pieces of any size.
pub(crate) trait Source: Send {
    /// Bytes that are known to come, before any has; 0 where that is not said.
    fn declared(&self) -> u64 {
        0
    }

    /// The next piece; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Problem>> + Send;
}

/// A body that is the song.
pub(crate) struct RawSource {
    body: BodyDataStream,
    declared: u64,
}

impl RawSource {
    pub(crate) fn new(body: Body) -> Self {
        let declared = declared(&body);
        Self { body: body.into_data_stream(), declared }
    }
}

impl Source for RawSource {
    fn declared(&self) -> u64 {
        self.declared
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        self.body.try_next().await.map_err(|error| broken(&error))
    }
}

/// A JSON object that has the song as base64 text in one of its members.
pub(crate) struct JsonSource<'a> {
    body: BodyDataStream,
    envelope: &'a mut Envelope,
    left: u64,
    limit: u64,
}

impl<'a> JsonSource<'a> {
    /// At most `limit` bytes of text.
    ///
    /// # Errors
    /// [`Code::TooLarge`] for a body that says that it has more.
    pub(crate) fn new(body: Body, limit: u64, envelope: &'a mut Envelope) -> Result<Self, Problem> {
        if declared(&body) > limit {
            return Err(too_large(limit));
        }
        Ok(Self { body: body.into_data_stream(), envelope, left: limit, limit })
    }
}

impl Source for JsonSource<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let Some(piece) = self.body.try_next().await.map_err(|error| broken(&error))? else {
                self.envelope.end()?;
                return Ok(None);
            };
            self.left = self.left.checked_sub(piece.len() as u64).ok_or_else(|| too_large(self.limit))?;
            let mut song = Vec::with_capacity(piece.len() / 4 * 3 + 3);
            self.envelope.push(&piece, &mut song)?;
            if !song.is_empty() {
                return Ok(Some(song.into()));
            }
        }
    }
}

/// Bytes that a body has at least, as it says.
pub(super) fn declared(body: &Body) -> u64 {
    body.size_hint().lower()
}

/// The upload has more bytes than are taken.
pub(crate) fn too_large(limit: u64) -> Problem {
    Problem::new(Code::TooLarge, format!("the upload is larger than {limit} bytes"))
}

/// Why a body ended before its end.
pub(crate) fn broken(error: &(dyn std::error::Error + 'static)) -> Problem {
    if TooSlow::is_behind(error) {
        Problem::new(Code::Timeout, "the upload stood still for too long, or was too slow")
    } else {
        Problem::new(Code::InvalidRequest, "the upload broke off").caused_by(error)
    }
}
