//! Songs behind links, and what must never be fetched.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Method;
use common::Bucket;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::callbacks::{FORBIDDEN, names};
use crate::place::Place;
use crate::support::{Answer, Server, hex, song};

crate::place::scenarios! {
    a_song_behind_a_link_is_separated
    what_is_behind_a_bad_link_leaves_nothing
}

/// What the other side says to a path.
enum Says {
    /// All of it.
    All(Vec<u8>),
    /// This, and then that again and again, with a pause each time.
    On(Vec<u8>, Vec<u8>, Duration),
}

/// A song that is streamed into the store.
fn long_song() -> Vec<u8> {
    song(9).repeat(20)
}

fn file(bytes: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
    [head.as_bytes(), bytes].concat()
}

fn redirect(status: &str, place: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn answer(path: &str) -> Says {
    let open = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let now = Duration::ZERO;
    Says::All(match path {
        "/short.mp3" => file(&song(1)),
        "/long.mp3?token=a%20b" => file(&long_song()),
        "/unsized.mp3" => [open, song(2)].concat(),
        "/moved" => redirect("301 Moved Permanently", "/there/next"),
        "/there/next" => redirect("302 Found", "../again"),
        "/again" => redirect("307 Temporary Redirect", "http://other.example:8080/short.mp3"),
        "/round" => redirect("302 Found", "/round"),
        "/nowhere" => b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        "/inside" => redirect("302 Found", "http://127.0.0.1:8081/metrics"),
        "/inside-by-name" => redirect("303 See Other", "http://inside.example/"),
        "/file" => redirect("302 Found", "file:///etc/passwd"),
        "/ssh" => redirect("302 Found", "http://songs.example:22/"),
        "/self" => redirect("302 Found", "http://rebind.example/short.mp3"),
        "/page" => {
            b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=utf-8\r\nContent-Length: 6\r\n\r\n<html>"
                .to_vec()
        }
        "/text" => file(&b"no song at all ".repeat(9)),
        "/empty" => file(b""),
        "/broken" => [b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n".to_vec(), song(3)].concat(),
        "/cut" => {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec();
            [head, long_song()].concat()
        }
        "/strange" => b"220 ready\r\n".to_vec(),
        "/heads" => format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(200_000)).into_bytes(),
        "/huge" => b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
        "/endless" => return Says::On(open, long_song(), now),
        "/endless-head" => return Says::On(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(99), now),
        "/silent" => return Says::On(Vec::new(), Vec::new(), Duration::from_millis(50)),
        "/stalled" => return Says::On([open, song(4)].concat(), Vec::new(), Duration::from_millis(50)),
        "/drips" => return Says::On([open, song(4)].concat(), vec![0], Duration::from_millis(50)),
        _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    })
}

/// The other side: one request on each connection.
pub(crate) async fn other_side() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn serve(mut stream: TcpStream) {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return;
        }
        text.push(byte[0]);
    }
    let text = String::from_utf8(text).unwrap();
    match answer(text.split(' ').nth(1).unwrap()) {
        Says::All(bytes) => {
            stream.write_all(&bytes).await.ok();
        }
        Says::On(begin, again, pause) => {
            let mut gone = stream.write_all(&begin).await.is_err();
            while !gone {
                tokio::time::sleep(pause).await;
                gone = stream.write_all(&again).await.is_err();
            }
        }
    }
}

/// A server that takes links, with the other side at the end of each of them.
async fn server(place: &Place, args: &[&str]) -> Server {
    let server = place.server(&[&["--links"], args].concat()).await;
    names(&server.network);
    for name in ["songs.example", "other.example"] {
        server.network.know(name, &[&["93.184.216.34"]]);
    }
    server.network.lead_to(other_side().await);
    server
}

async fn fetch(server: &Server, url: &str) -> Answer {
    server.ask(&json!({ "url": url })).await
}

#[track_caller]
fn refused(answer: Answer, status: u16, code: &str) -> Value {
    let problem = answer.is(status).json();
    assert_eq!(problem["code"], code, "{problem}");
    problem
}

async fn a_song_behind_a_link_is_separated(place: Place) {
    let server = server(&place, &[]).await;
    for (url, bytes) in [
        ("http://songs.example/short.mp3", song(1)),
        ("http://songs.example/long.mp3?token=a%20b", long_song()),
        ("http://songs.example/unsized.mp3#t=10", song(2)),
    ] {
        let job = fetch(&server, url).await.is(202).json();
        assert_eq!((&job["song"], &job["size_bytes"]), (&json!(hex(&bytes)), &json!(bytes.len())), "{url}");
        // The same bytes are the same song, however they come.
        assert_eq!(server.submit("", bytes).await.is(200).json()["id"], job["id"]);
    }
    let moved = fetch(&server, "http://songs.example/moved").await.is(200).json();
    assert_eq!((&moved["song"], &moved["deduplicated"]), (&json!(hex(&song(1))), &json!(true)));
    let connected = server.network.connected();
    assert_eq!(connected.last().unwrap().port(), 8080);
    assert_eq!(connected.len(), 3 + 4);
    assert_eq!(server.work().await, 3);
    let asked = json!({ "url": "http://songs.example/short.mp3", "options": { "stems": ["bass"] } });
    assert_eq!(server.ask(&asked).await.is(202).json()["options"]["stems"], json!(["bass"]));
    let headers = [("content-type", "application/json")];
    let body = json!({ "url": "http://songs.example/short.mp3" }).to_string();
    let answer = server.call(Method::POST, "/v2/jobs?format=flac&shifts=2", &headers, body).await.is(202);
    assert_eq!(answer.json()["options"]["shifts"], 2);
    server.settle().await;
    assert!(server.paths(Bucket::Queue, "incoming/").await.is_empty());
}

async fn what_is_behind_a_bad_link_leaves_nothing(place: Place) {
    let limits = ["--upload-bytes", "1M", "--idle-time", "1", "--slowest", "1k"];
    let server = server(&place, &limits).await;
    for (path, status, code, said) in [
        ("/none", 422, "link_failed", "404 Not Found"),
        ("/nowhere", 422, "link_failed", "leads nowhere"),
        ("/round", 422, "link_failed", "leads on and on"),
        ("/page", 422, "not_audio", "leads to a web page"),
        ("/text", 422, "not_audio", ""),
        ("/empty", 400, "empty", ""),
        ("/broken", 422, "link_failed", "broke off"),
        ("/cut", 413, "too_large", "1048576 bytes"),
        ("/huge", 413, "too_large", "1048576 bytes"),
        ("/endless", 413, "too_large", "1048576 bytes"),
        ("/strange", 422, "link_failed", "no answer"),
        ("/heads", 422, "link_failed", "no answer"),
        ("/endless-head", 422, "link_failed", "no answer"),
        ("/silent", 422, "link_slow", ""),
        ("/stalled", 422, "link_slow", ""),
        ("/drips", 422, "link_slow", ""),
    ] {
        let problem = refused(fetch(&server, &format!("http://songs.example{path}")).await, status, code);
        assert!(problem["detail"].as_str().unwrap().contains(said), "{path}: {problem}");
    }
    *server.network.sink.lock().unwrap() = None;
    refused(fetch(&server, "http://songs.example/short.mp3").await, 422, "link_failed");
    server.settle().await;
    assert!(server.paths(Bucket::Queue, "incoming/").await.is_empty());
    assert_eq!(server.get("/v2/jobs").await.json()["jobs"], json!([]));
}

#[tokio::test]
async fn a_link_that_breaks_off_midway_leaves_nothing() {
    let server = server(&Place::Memory, &[]).await;
    let problem = refused(fetch(&server, "http://songs.example/cut").await, 422, "link_failed");
    assert_eq!(problem["detail"], "the file behind the link broke off");
    server.settle().await;
    assert!(server.all_paths().await.is_empty());
}

#[tokio::test]
async fn links_are_taken_where_the_operator_says_so() {
    let closed = Server::new();
    names(&closed.network);
    refused(fetch(&closed, "http://public.example/short.mp3").await, 403, "links_off");
    assert!(closed.network.asked.lock().unwrap().is_empty());
    assert_eq!(closed.get("/v2/limits").await.json()["links"], false);
    assert_eq!(Server::with(&["--links"]).get("/v2/limits").await.json()["links"], true);
}

#[tokio::test]
async fn no_forbidden_address_is_ever_fetched() {
    let server = server(&Place::Memory, &[]).await;
    for url in FORBIDDEN.iter().chain(&["http://public.example:22/", "https://public.example:25/"]) {
        refused(fetch(&server, url).await, 422, "invalid_link");
        assert!(server.network.connected().is_empty(), "{url}");
    }
    fetch(&server, "http://public.example/short.mp3").await.is(202);
}

#[tokio::test]
async fn a_redirect_is_looked_at_as_the_link_was() {
    let server = server(&Place::Memory, &[]).await;
    for path in ["/inside", "/inside-by-name", "/file", "/ssh"] {
        refused(fetch(&server, &format!("http://songs.example{path}")).await, 422, "invalid_link");
    }
    let outside = ["93.184.216.34:80".parse().unwrap(); 4];
    assert_eq!(server.network.connected(), outside);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_gets_nowhere() {
    let server = server(&Place::Memory, &[]).await;
    let (good, bad): (&[&str], &[&str]) = (&["93.184.216.34"], &["127.0.0.1"]);
    server.network.know("rebind.example", &[good, bad]);
    let problem = refused(fetch(&server, "http://rebind.example/self").await, 422, "invalid_link");
    assert_eq!(server.network.connected(), ["93.184.216.34:80".parse().unwrap()]);
    assert_eq!(
        *server.network.asked.lock().unwrap(),
        ["rebind.example"; 2],
        "a name is resolved once for each hop"
    );
    // Who asks learns nothing of names that lead inside.
    let unknown = refused(fetch(&server, "http://unknown.example/").await, 422, "invalid_link");
    assert_eq!(problem["detail"], unknown["detail"]);
}

#[tokio::test]
async fn a_host_of_ones_own_is_for_those_who_said_so() {
    let server = Server::with(&["--links", "--link-allow", "localhost:22,127.0.0.1:5001"]);
    server.network.know("localhost", &[&["127.0.0.1"]]);
    server.network.lead_to(other_side().await);
    fetch(&server, "http://localhost:22/short.mp3").await.is(202);
    fetch(&server, "http://127.0.0.1:5001/short.mp3").await.is(200);
    refused(fetch(&server, "http://127.0.0.1:5002/short.mp3").await, 422, "invalid_link");
    refused(fetch(&server, "http://127.0.0.1:5001/inside").await, 422, "invalid_link");
}

#[tokio::test]
async fn a_repeated_request_fetches_nothing() {
    let server = server(&Place::Memory, &[]).await;
    let body = |name: &str| json!({ "url": format!("http://songs.example/{name}.mp3") }).to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", "order-17")];
    let ask = async |name: &str| server.call(Method::POST, "/v2/jobs", &headers, body(name)).await;
    let first = ask("short").await.is(202);
    let again = ask("short").await.is(202);
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));
    ask("unsized").await.is(422);
    assert_eq!(server.network.connected().len(), 1);
    let two = json!({ "url": "http://songs.example/short.mp3", "song": "ab".repeat(32) });
    refused(server.ask(&two).await, 400, "invalid_request");
}
