//! `GET /v2/jobs/{id}/stems/{stem}/peaks`: the lowest and highest sample of equal parts, to draw a waveform.
//!
//! Read from a WAV result of 16 bits, which needs no decoder; a job of another format leads to one that has it,
//! as told in [`super::derived`].

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use common::job::{Format, Options, Record, ResultFile};
use futures_util::TryStreamExt as _;
use serde_json::json;

use super::derived::{Derived, Wanted};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::request::{Query, RequestId, Words};
use crate::service::find;
use crate::state::App;

/// Parts where the request does not say.
const USUAL: u64 = 1000;

/// Parts at most.
const MOST: u64 = 10_000;

/// `GET /v2/jobs/{id}/stems/{stem}/peaks`.
pub(super) async fn peaks(
    State(app): State<App>,
    caller: Caller,
    request_id: RequestId,
    Words([id, stem]): Words<2>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = find(&app, &caller, &id).await?;
    let name = stem.parse().map_err(|_| Problem::not_found())?;
    let points = query.number::<u64>("points")?.unwrap_or(USUAL).clamp(1, MOST);
    if !record.options.results(&crate::models::sources(&record.options.model)?).contains(&name) {
        return Err(Problem::new(Code::NotFound, "the job has no such stem"));
    }
    let options = Options { format: Format::Wav { bits: 16 }, ..record.options.clone() };
    let wanted = Wanted { app: &app, caller: &caller, request_id, headers: &headers };
    match wanted.of(&record, options, &name).await? {
        Derived::Ready(record, result) => {
            let peaks = read(&app, &record, &result, points).await?;
            Ok(Json(json!({ "frames": result.frames, "rate_hz": result.rate_hz, "peaks": peaks }))
                .into_response())
        }
        Derived::Later(response) => Ok(response),
    }
}

async fn read(
    app: &App,
    record: &Record,
    result: &ResultFile,
    points: u64,
) -> Result<Vec<[f32; 2]>, Problem> {
    let mut object = app.ledger.open(record, result, None).await?;
    let mut scanner = Scanner::new(result.frames, points);
    while let Some(bytes) =
        object.body.try_next().await.map_err(|error| Problem::plain(Code::Unavailable).caused_by(error))?
    {
        scanner.push(&bytes);
    }
    scanner.end().ok_or_else(|| Problem::plain(Code::Internal).caused_by("a WAV result cannot be read"))
}

/// Reads a WAV file of 16-bit integers as it comes.
struct Scanner {
    /// Bytes that could not be used yet: of the header, or half a frame.
    rest: Vec<u8>,
    /// Bytes of a frame, once the samples have begun.
    frame_bytes: Option<usize>,
    frame: u64,
    frames: u64,
    peaks: Vec<[f32; 2]>,
}

impl Scanner {
    fn new(frames: u64, points: u64) -> Self {
        let points = points.min(frames.max(1));
        Self { rest: Vec::new(), frame_bytes: None, frame: 0, frames, peaks: vec![[0.0; 2]; points as usize] }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let Some(size) = self.frame_bytes.or_else(|| self.header()) else { return };
        self.frame_bytes = Some(size);
        let whole = self.rest.len() / size * size;
        for frame in self.rest[..whole].chunks_exact(size) {
            let at = u128::from(self.frame) * self.peaks.len() as u128 / u128::from(self.frames.max(1));
            self.frame += 1;
            let Some([low, high]) = self.peaks.get_mut(at as usize) else { break };
            for sample in frame.as_chunks::<2>().0 {
                let value = f32::from(i16::from_le_bytes(*sample)) / 32_768.0;
                *low = low.min(value);
                *high = high.max(value);
            }
        }
        self.rest.drain(..whole);
    }

    /// Passes over the header once it is whole; gives the bytes of a frame.
    fn header(&mut self) -> Option<usize> {
        let mut at = 12;
        let mut channels = None;
        loop {
            let head = self.rest.get(at..at + 8)?;
            let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            match &head[..4] {
                b"data" => {
                    self.rest.drain(..at + 8);
                    return channels;
                }
                b"fmt " => {
                    let body = self.rest.get(at + 8..at + 24)?;
                    channels = Some(usize::from(u16::from_le_bytes([body[2], body[3]]).max(1)) * 2);
                }
                _ => {}
            }
            at = at.checked_add(8 + size + size % 2)?;
        }
    }

    fn end(self) -> Option<Vec<[f32; 2]>> {
        self.frame_bytes.map(|_| self.peaks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_those_of_the_samples_however_the_file_is_cut() {
        let mut wav =
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0".to_vec();
        wav.extend_from_slice(b"LIST\x03\0\0\0abc\0data\0\0\0\0");
        for frame in [[0, 16_384], [-32_768, 0], [8192, 8192], [0, -8192i16]] {
            wav.extend(frame.iter().flat_map(|sample: &i16| sample.to_le_bytes()));
        }
        for cut in [1, 3, 50, 200] {
            let mut scanner = Scanner::new(4, 2);
            wav.chunks(cut).for_each(|piece| scanner.push(piece));
            assert_eq!(scanner.end().unwrap(), [[-1.0, 0.5], [-0.25, 0.25]], "{cut}");
        }
    }
}
