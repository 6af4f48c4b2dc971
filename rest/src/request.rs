//! What every handler may ask of a request: its id, its path, its query, a small JSON body.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;

use crate::error::{Code, Problem};
use crate::upload::broken;

/// Names a request in answers and log lines; the caller's own name where it sent a harmless one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The header that carries it.
    pub const HEADER: &'static str = "x-request-id";

    /// The caller's, stripped of what could confuse a log, or a new one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get(Self::HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let plain: String = sent
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
            .take(64)
            .collect();
        if plain.is_empty() {
            Self(uuid::Uuid::now_v7().simple().to_string().into())
        } else {
            Self(plain.into())
        }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self::of(&parts.headers)))
    }
}

/// Address of the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The variable segments of the path, in order. What is no text is no path of ours.
#[derive(Debug)]
pub(crate) struct Words<const N: usize>(pub(crate) [String; N]);

impl<S: Send + Sync, const N: usize> FromRequestParts<S> for Words<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        let words: Vec<String> = params.iter().map(|(_, value)| value.to_owned()).collect();
        words.try_into().map(Self).map_err(|_| Problem::not_found())
    }
}

/// The query as pairs, decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(pub(crate) Vec<(String, String)>);

impl Query {
    /// The last value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a name stands there as a switch.
    pub(crate) fn on(&self, name: &str) -> bool {
        matches!(self.get(name), Some("" | "1" | "true"))
    }

    /// A number, if the name stands there.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, Problem> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                Problem::new(Code::InvalidRequest, format!("{name} is not a number that is possible here"))
                    .param(name)
            })
        };
        self.get(name).map(parse).transpose()
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

/// A header as text, empty where it is missing.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim()
}

/// The media type of a body in lower case, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let whole = text(headers, "content-type");
    whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Longest JSON body of a request that is no upload, in bytes.
pub(crate) const MAX_JSON_BYTES: usize = 1 << 20;

/// A small JSON body.
pub(crate) async fn json<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    parse(&small(body).await?)
}

async fn small(body: Body) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, MAX_JSON_BYTES).await.map_err(|error| {
        let too_large = error.source().is_some_and(<dyn Error>::is::<LengthLimitError>);
        if too_large {
            Problem::new(Code::TooLarge, "the JSON body is larger than 1 MiB")
        } else {
            broken(&error)
        }
    })
}

/// A small JSON body, or none.
pub(crate) async fn json_or_default<T: DeserializeOwned + Default>(body: Body) -> Result<T, Problem> {
    let bytes = small(body).await?;
    if bytes.is_empty() { Ok(T::default()) } else { parse(&bytes) }
}

/// JSON as a type of ours.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let whole: String = error.to_string().chars().filter(|c| !c.is_control()).take(200).collect();
        Problem::new(Code::InvalidRequest, format!("the JSON cannot be used: {whole}"))
    })
}
