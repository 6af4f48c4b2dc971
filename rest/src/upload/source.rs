//! Where the bytes of an upload come from.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::multipart::Field;
use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::Envelope;
use crate::error::{Code, Problem};

/// Brings the bytes of a song, in pieces of any size.
pub(crate) trait Source: Send {
    /// The next piece; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Problem>> + Send;
}

/// A body that is the song.
pub(crate) struct RawSource {
    body: BodyDataStream,
    idle: Duration,
}

impl RawSource {
    pub(crate) fn new(body: Body, idle: Duration) -> Self {
        Self { body: body.into_data_stream(), idle }
    }
}

impl Source for RawSource {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        in_time(self.idle, self.body.try_next()).await?.map_err(broken)
    }
}

/// A part of a form that is the song.
pub(crate) struct PartSource<'a> {
    pub(crate) part: Field<'a>,
    pub(crate) idle: Duration,
}

impl Source for PartSource<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        in_time(self.idle, self.part.chunk()).await?.map_err(broken)
    }
}

/// A JSON object that has the song as base64 text in one of its members.
pub(crate) struct JsonSource<'a> {
    body: BodyDataStream,
    idle: Duration,
    envelope: &'a mut Envelope,
    left: u64,
    limit: u64,
}

impl<'a> JsonSource<'a> {
    /// At most `limit` bytes of text.
    pub(crate) fn new(body: Body, idle: Duration, limit: u64, envelope: &'a mut Envelope) -> Self {
        Self { body: body.into_data_stream(), idle, envelope, left: limit, limit }
    }
}

impl Source for JsonSource<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let Some(piece) = in_time(self.idle, self.body.try_next()).await?.map_err(broken)? else {
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

/// The upload has more bytes than are taken.
pub(crate) fn too_large(limit: u64) -> Problem {
    Problem::new(Code::TooLarge, format!("the upload is larger than {limit} bytes"))
}

async fn in_time<T>(idle: Duration, next: impl Future<Output = T>) -> Result<T, Problem> {
    let waited = tokio::time::timeout(idle, next).await;
    waited.map_err(|_| Problem::new(Code::Timeout, "the upload stood still for too long"))
}

fn broken(error: impl std::fmt::Display) -> Problem {
    Problem::new(Code::InvalidRequest, "the upload broke off").caused_by(error)
}
