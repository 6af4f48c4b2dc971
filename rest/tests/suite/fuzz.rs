//! Thousands of calls that the document suggests, most of them with something wrong: no fault of the service, no
//! answer that the document does not name, no error without its body.

mod bodies;
mod calls;
mod dice;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode};
use common::queue::Failure;
use serde_json::Value;

use self::calls::{Call, Operation};
use self::dice::Dice;
use crate::support::{Answer, Server, hex, tagged};

const CALLS: usize = 2000;

/// The same calls each time; another number makes others.
const SEED: u64 = 2_026;

/// Names of what is there to be asked for.
pub(super) struct Known {
    pub(super) done: String,
    pub(super) waiting: String,
    pub(super) dead: String,
    pub(super) upload: String,
    pub(super) song: String,
    pub(super) music: String,
    pub(super) unit: String,
    pub(super) etag: String,
}

/// A finished job, one that waits, a dead one, and an upload that nothing was sent to; other ones for each number.
async fn prepare(server: &Server, number: usize) -> Known {
    server.work().await;
    let song = |what: &str| tagged(what, &number.to_string());
    let submit = async |what: &str| {
        let answer = server.submit("?format=wav", song(what)).await.is(202);
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let dead = submit("dead").await;
    let (claim, token) = server.claim_plan().await;
    server.queue.fail(claim.task, token, Failure::Permanent, "no disk").await.unwrap();
    let done = submit("done").await;
    // The older contract shows MP3 results only.
    server.submit("", song("done")).await.is(202);
    let music =
        server.call(Method::POST, "/music", &[], song("done")).await.is(200).json()["music_id"].to_string();
    server.call(Method::POST, &format!("/music/{music}"), &[], "[1, 2]").await.is(200);
    server.work().await;
    let unit = server.get("/job").await.is(200).json()[0].to_string();
    let waiting = submit("waiting").await;
    let upload = server.post("/v2/uploads").await.is(201).json()["id"].as_str().unwrap().to_owned();
    let etag = server.get(&format!("/v2/jobs/{done}/stems/bass")).await.is(200).header("etag").to_owned();
    Known { done, waiting, dead, upload, song: hex(&song("done")), music, unit, etag }
}

/// What came of a call, read as far as it ends.
async fn answer(server: &Server, call: &Call<'_>) -> Answer {
    let (parts, body) = server.open(call.request()).await.into_parts();
    let endless = parts.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
    let body = if endless { axum::body::Bytes::new() } else { whole(body).await };
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn whole(body: axum::body::Body) -> axum::body::Bytes {
    axum::body::to_bytes(body, usize::MAX).await.unwrap()
}

/// What is wrong with an answer.
fn fault(call: &Call<'_>, answer: &Answer, codes: &BTreeSet<&str>) -> Option<String> {
    let status = answer.status.as_u16();
    if status == 500 {
        return Some("a fault of the service".to_owned());
    }
    let known = match &call.expected {
        Some(operation) => operation.answers.get(&status),
        // The call is no operation any more: its path or its method is another one.
        None => return (!matches!(status, 400..500) && status >= 300).then(|| "an odd status".to_owned()),
    };
    let Some(kinds) = known else { return Some("a status that the document does not name".to_owned()) };
    let kind = answer.header("content-type").split(';').next().unwrap_or_default();
    let fits = |range: &String| {
        range == kind || range.strip_suffix('*').is_some_and(|family| kind.starts_with(family))
    };
    if call.method != Method::HEAD && !(kinds.is_empty() && answer.body.is_empty()) && !kinds.iter().any(fits)
    {
        return Some(format!("{kind} is not what the document names"));
    }
    (status >= 400).then(|| error_fault(call, answer, codes)).flatten()
}

/// What is wrong with the body of an error.
fn error_fault(call: &Call<'_>, answer: &Answer, codes: &BTreeSet<&str>) -> Option<String> {
    if call.method == Method::HEAD {
        return None;
    }
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else { return Some("no JSON".to_owned()) };
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    if call.is_editors() {
        return body.as_str().is_none_or(str::is_empty).then(|| "no sentence".to_owned());
    }
    if call.is_older() {
        let alone = body.as_object().is_some_and(|members| members.len() == 1);
        return (!alone || text("error").is_empty()).then(|| "no {\"error\": ...}".to_owned());
    }
    let id = answer.header("x-request-id");
    let good = codes.contains(text("code"))
        && body["status"] == answer.status.as_u16()
        && ["type", "title", "detail"].iter().all(|name| !text(name).is_empty())
        && !id.is_empty()
        && text("request_id") == id;
    (!good).then(|| "no problem document".to_owned())
}

#[tokio::test]
async fn two_thousand_calls_from_the_document_meet_no_fault() {
    let server = Server::new();
    let document = server.get("/openapi.json").await.json();
    let operations = Operation::all(&document);
    let codes = document.pointer("/components/schemas/Problem/properties/code/enum").unwrap();
    let codes: BTreeSet<&str> = codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    let mut known = prepare(&server, CALLS).await;
    let mut dice = Dice::new(SEED);
    let mut seen: BTreeMap<(&str, StatusCode), usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for number in 0..CALLS {
        let operation = &operations[number % operations.len()];
        let call = Call::of(operation, &operations, &known, &mut dice);
        let answer = answer(&server, &call).await;
        if let Some(fault) = fault(&call, &answer, &codes) {
            faults.push(format!(
                "call {number} of seed {SEED}: {fault}\n{call:?}\n{} {:?}",
                answer.status, answer.body
            ));
        }
        if let Some(operation) = call.expected {
            *seen.entry((&operation.id, answer.status)).or_default() += 1;
        }
        if call.method != Method::GET && answer.status.is_success() {
            known = prepare(&server, number).await;
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults[..faults.len().min(10)].join("\n\n"));
    for operation in &operations {
        let good = seen.keys().any(|(id, status)| *id == operation.id && status.as_u16() < 300);
        assert!(good, "no call of {} went well: {seen:?}", operation.id);
    }
    let refused: usize =
        seen.iter().filter(|((_, status), _)| status.is_client_error()).map(|(_, n)| n).sum();
    assert!(refused > CALLS / 4, "hardly anything was wrong with the calls: {refused}");
}
