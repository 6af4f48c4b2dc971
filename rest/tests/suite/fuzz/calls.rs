//! Calls as the document suggests them.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use serde_json::Value;

use super::Known;
use super::bodies::body;
use super::dice::{Dice, hostile};

/// An operation of the document.
pub(super) struct Operation {
    pub(super) id: String,
    method: Method,
    path: String,
    query: Vec<String>,
    headers: Vec<String>,
    bodies: Vec<String>,
    /// Media types of the answers by their status, faults of the service left out.
    pub(super) answers: BTreeMap<u16, Vec<String>>,
}

impl Operation {
    /// All of a document.
    pub(super) fn all(document: &Value) -> Vec<Self> {
        let mut all = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, value) in methods.as_object().unwrap() {
                all.push(Self::of(path, method, value));
            }
        }
        all
    }

    fn of(path: &str, method: &str, value: &Value) -> Self {
        let keys = |value: &Value| -> Vec<String> {
            value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
        };
        let params = |place: &str| -> Vec<String> {
            let all = value["parameters"].as_array().unwrap().iter();
            let named = all.filter(|param| param["in"] == place);
            named.map(|param| param["name"].as_str().unwrap().to_owned()).collect()
        };
        let answers = value["responses"].as_object().unwrap().iter();
        let answers =
            answers.filter_map(|(status, answer)| Some((status.parse().ok()?, keys(&answer["content"]))));
        Self {
            id: value["operationId"].as_str().unwrap().to_owned(),
            method: method.to_uppercase().parse().unwrap(),
            path: path.to_owned(),
            query: params("query"),
            headers: params("header"),
            bodies: keys(&value["requestBody"]["content"]),
            answers: answers.collect(),
        }
    }

    /// Whether a path leads here; none of its parts is empty then.
    fn matches(&self, path: &str) -> bool {
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            (self.path.split('/').collect(), path.split('/').collect());
        ours.len() == theirs.len()
            && ours
                .iter()
                .zip(&theirs)
                .all(|(ours, theirs)| ours == theirs || ours.starts_with('{') && !theirs.is_empty())
    }
}

/// A request, and the operation that it is.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
    pub(super) expected: Option<&'a Operation>,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.id)
    }
}

impl<'a> Call<'a> {
    /// A call of an operation, with nothing wrong or some things.
    pub(super) fn of(operation: &Operation, all: &'a [Operation], known: &Known, dice: &mut Dice) -> Self {
        let method = match dice.below(40) {
            0 => dice.pick(&["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"]).parse().unwrap(),
            1 if operation.method == Method::GET => Method::HEAD,
            _ => operation.method.clone(),
        };
        let uri = loop {
            let text = format!("{}{}", path(operation, known, dice), query(operation, known, dice));
            if let Ok(uri) = text.parse::<Uri>() {
                break uri;
            }
        };
        let (kind, body) = body(&operation.id, &operation.bodies, known, dice);
        let mut headers = headers(operation, known, dice);
        if let Ok(kind) = HeaderValue::from_bytes(kind.as_bytes()) {
            headers.push((HeaderName::from_static("content-type"), kind));
        }
        let asked = if method == Method::HEAD { &Method::GET } else { &method };
        let expected = all.iter().filter(|operation| operation.method == asked);
        // A path without variable parts goes before one that has them.
        let expected = expected
            .filter(|operation| operation.matches(uri.path()))
            .min_by_key(|operation| operation.path.matches('{').count());
        Self { method, uri, headers, body, expected }
    }

    pub(super) fn request(&self) -> Request<Body> {
        let mut request = Request::builder().method(&self.method).uri(&self.uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(self.body.clone().into()).unwrap()
    }

    /// Whether errors are those of the editor's contract.
    pub(super) fn is_editors(&self) -> bool {
        let first = self.uri.path().split('/').nth(1).unwrap_or_default();
        ["music", "job", "jobs", "reset"].contains(&first)
    }

    /// Whether errors are those of the older contract.
    pub(super) fn is_older(&self) -> bool {
        let path = self.uri.path();
        path == "/" || path == "/apiv1" || path.starts_with("/apiv1/")
    }
}

fn path(operation: &Operation, known: &Known, dice: &mut Dice) -> String {
    let part = |part: &str, dice: &mut Dice| match part.strip_prefix('{') {
        None => part.to_owned(),
        Some(_) if dice.percent(4) => hostile(dice),
        Some(name) => encoded(&value(name.trim_end_matches('}'), known, dice)),
    };
    operation.path.split('/').map(|text| part(text, dice)).collect::<Vec<_>>().join("/")
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn query(operation: &Operation, known: &Known, dice: &mut Dice) -> String {
    if dice.percent(3) {
        return format!("?{}", hostile(dice));
    }
    let few = if operation.query.len() > 5 { 5 } else { 50 };
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    for name in &operation.query {
        if dice.percent(few) || name == "gains" {
            pairs.append_pair(name, &value(name, known, dice));
        }
    }
    if dice.percent(2) {
        pairs.append_pair(&hostile(dice), "1");
    }
    format!("?{}", pairs.finish())
}

fn headers(operation: &Operation, known: &Known, dice: &mut Dice) -> Vec<(HeaderName, HeaderValue)> {
    let strange =
        ["authorization", "x-api-key", "x-request-id", "origin", "sec-fetch-site", "accept", "range"];
    let mut names: Vec<&str> = operation.headers.iter().map(String::as_str).collect();
    names.retain(|_| dice.percent(40));
    names.extend(strange.iter().filter(|_| dice.percent(3)));
    let mut all = Vec::new();
    for name in names {
        if let Ok(text) = HeaderValue::from_bytes(value(name, known, dice).as_bytes()) {
            all.push((name.to_lowercase().parse().unwrap(), text));
        }
    }
    all
}

/// A value for a parameter, good or bad.
pub(super) fn value(name: &str, known: &Known, dice: &mut Dice) -> String {
    if dice.percent(20) {
        return hostile(dice);
    }
    let text = match name {
        "id" => dice.pick(&[
            &*known.done,
            &known.done,
            &known.waiting,
            &known.dead,
            "0-00000000000070008000000000000000",
        ]),
        "upload" => &known.upload,
        "music" => &known.music,
        "unit" => &known.unit,
        "job" => &known.done,
        "song" => &known.song,
        "stem" | "track" => {
            dice.pick(&["bass", "vocals", "drums.wav", "base", "other.mp3", "no_vocals", "guitar"])
        }
        "file" => dice.pick(&["app.js", "style.css", "index.html", "none.js"]),
        "model" => dice.pick(&["htdemucs", "htdemucs", "htdemucs_6s", "mdx"]),
        "stems" => dice.pick(&["vocals", "vocals,bass", "guitar", "vocals,vocals", ""]),
        "two_stems" => dice.pick(&["vocals", "drums", "flute"]),
        "mix" => dice.pick(&["karaoke=drums:1,bass:0.5", "a=vocals", "a", "a=vocals:1e99", "=:"]),
        "gains" => {
            dice.pick(&["vocals:1,bass:0.5", "drums", "flute:1", "vocals:-3.5", "bass:nan", "bass:inf"])
        }
        "format" => dice.pick(&["mp3", "wav", "flac", "ogg"]),
        "bitrate_kbps" => dice.pick(&["320", "128", "7", "65536"]),
        "bits" => dice.pick(&["16", "24", "32", "8"]),
        "rate_hz" => dice.pick(&["44100", "8000", "1", "4294967296"]),
        "shifts" => dice.pick(&["0", "2", "1000000", "-1"]),
        "overlap" => dice.pick(&["0.25", "0.5", "0.99999", "1", "-0.1", "nan"]),
        "clip" => dice.pick(&["common", "rescale", "clamp", "none", "soft"]),
        "options" => {
            dice.pick(&["{}", "{\"shifts\":1}", "{\"shifts\":-1}", "{\"x\":1}", "[", "{\"mixes\":[{}]}"])
        }
        "callback" => dice.pick(&["https://example.com/a", "http://127.0.0.1/", "ftp://x/", "https://"]),
        "state" => dice.pick(&["queued", "running", "succeeded", "failed", "canceled", "done"]),
        "limit" | "points" => dice.pick(&["1", "7", "0", "100000", "-1"]),
        "cursor" => dice.pick(&["", "cTA", "czAtMDAw", "////"]),
        "redirect" => dice.pick(&["1", "0", "true"]),
        "after" | "Last-Event-ID" => dice.pick(&["0", "1", "57", "18446744073709551615"]),
        "Prefer" => dice.pick(&["wait=0", "respond-async", "wait=-1", "wait=\"0\"", "wait"]),
        "Idempotency-Key" => dice.pick(&["a", "b", "c", "key with spaces"]),
        "If-None-Match" | "If-Range" => dice.pick(&[&*known.etag, "*", "W/\"x\"", "\"", "x"]),
        "Range" | "range" => {
            dice.pick(&["bytes=0-9", "bytes=-1", "bytes=99999999-", "bytes=5-4", "lines=1-2"])
        }
        "origin" => "https://evil.example",
        "sec-fetch-site" => dice.pick(&["same-origin", "cross-site"]),
        _ => "Bearer x",
    };
    text.to_owned()
}
