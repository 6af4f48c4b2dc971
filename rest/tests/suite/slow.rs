//! Clients that take their time, on purpose or not, and what they cost the others.

use std::net::SocketAddr;
use std::time::Duration;

use common::Bucket;
use common::job::Record;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Server, song};

/// Until anything here has to have happened: the limits of these tests are a second.
const SOON: Duration = Duration::from_secs(20);

/// Between pieces of those who dribble.
const DRIP: Duration = Duration::from_millis(50);

const ASK: &str = "GET /v2/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Sends a request and reads until the connection ends.
async fn ask(address: SocketAddr, request: &[u8]) -> String {
    let asked = async {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A reset behind the answer is an end as well.
        client.read_to_end(&mut answer).await.ok();
        String::from_utf8_lossy(&answer).into_owned()
    };
    timeout(SOON, asked).await.expect("no answer")
}

/// Sends what comes at once, then drop by drop until the server ends it; gives what it answered.
async fn dribble(address: SocketAddr, at_once: String, drop: &'static [u8]) -> String {
    let dribbled = async {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(at_once.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = client.split();
        let mut answer = Vec::new();
        let writing = async {
            while writer.write_all(drop).await.is_ok() {
                sleep(DRIP).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            read = reader.read_to_end(&mut answer) => { read.ok(); }
            () = writing => {}
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    timeout(SOON, dribbled).await.expect("it may go on for ever")
}

fn post(path: &str, kind: &str, begin: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 9999999\r\n\r\n{begin}"
    )
}

#[tokio::test]
async fn dribbles_are_cut_off_and_others_are_served_meanwhile() {
    let limits = ["--idle-time", "1", "--header-time", "1", "--slowest", "1k", "--uploads", "8"];
    let server = Server::with(&limits);
    let address = server.listen().await;
    let form = "multipart/form-data; boundary=x";
    let (option, file) = ("name=\"model\"\r\n\r\n", "name=\"file\"; filename=\"a\"\r\n\r\n");
    let part = |rest: &str| format!("--x\r\nContent-Disposition: form-data; {rest}");
    let kinds = [
        ("GET /v2/models HTTP/1.1\r\nX: ".to_owned(), "x"),
        (post("/v2/jobs", "audio/mpeg", ""), "\0"),
        (post("/v2/jobs", form, "--x\r\nX: "), "x"),
        (post("/v2/jobs", form, &part(option)), "h"),
        (post("/v2/jobs", form, &part(file)), "\0"),
        (post("/v2/jobs", "application/json", "{"), " "),
        (post("/apiv1/separate", "application/json", "{\"mp3\":\""), "A"),
        (post("/", "application/json", "{"), " "),
    ];
    let mut slow = JoinSet::new();
    for _ in 0..10 {
        for (at_once, drop) in kinds.clone() {
            slow.spawn(dribble(address, at_once, drop.as_bytes()));
        }
    }
    let mut timed_out = 0;
    while !slow.is_empty() {
        let began = Instant::now();
        assert!(ask(address, ASK.as_bytes()).await.starts_with("HTTP/1.1 200"));
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        while let Some(answer) = slow.try_join_next() {
            timed_out += usize::from(answer.unwrap().starts_with("HTTP/1.1 408"));
        }
        sleep(DRIP).await;
    }
    assert!(timed_out >= 8, "only {timed_out} had a place and were told why they lost it");
    server.submit("", song(1)).await.is(202);
    server.settle().await;
    assert!(server.paths(Bucket::Queue, "incoming/").await.is_empty());
}

/// A server with room for one connection, and the path of a result of 64 MiB.
async fn with_a_large_result(limits: &[&str]) -> (Server, SocketAddr, String) {
    let server = Server::with(&[&["--connections", "1", "--idle-time", "1"], limits].concat());
    let path = server.submit("?stems=vocals", song(1)).await.is(202).header("location").to_owned();
    let id = path.rsplit('/').next().unwrap().parse().unwrap();
    let record: Record = server.app.ledger.record(&id).await.unwrap().unwrap();
    server.commit(&record, &"vocals".parse().unwrap(), vec![7; 64 << 20]).await;
    let address = server.listen().await;
    (server, address, format!("{path}/stems/vocals"))
}

/// Asks for a file; gives the connection once the first bytes of the answer are there.
async fn begin_download(address: SocketAddr, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut first = [0; 12];
    timeout(SOON, client.read_exact(&mut first)).await.expect("no answer").unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    client
}

#[tokio::test]
async fn who_stops_reading_makes_room_for_others() {
    let (_server, address, path) = with_a_large_result(&[]).await;
    let stuck = begin_download(address, &path).await;
    assert!(ask(address, ASK.as_bytes()).await.starts_with("HTTP/1.1 200"), "the only place is taken");
    drop(stuck);
}

#[tokio::test]
async fn who_reads_drop_by_drop_makes_room_for_others() {
    let (_server, address, path) = with_a_large_result(&["--slowest", "1M"]).await;
    let mut sips = begin_download(address, &path).await;
    let sipping = tokio::spawn(async move {
        let mut drop = [0; 4096];
        while sips.read_exact(&mut drop).await.is_ok() {
            sleep(DRIP).await;
        }
    });
    assert!(ask(address, ASK.as_bytes()).await.starts_with("HTTP/1.1 200"), "the only place is taken");
    sipping.abort();
}

#[tokio::test]
async fn who_sends_no_more_or_nothing_makes_room_for_others() {
    let server = Server::with(&["--connections", "1", "--header-time", "1", "--idle-time", "1"]);
    let address = server.listen().await;
    let half = post("/v2/jobs", "audio/mpeg", "abc");
    for (begin, closes) in [("", false), ("GET / HT", false), (&half, true), (ASK, true)] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(begin.as_bytes()).await.unwrap();
        if closes {
            client.shutdown().await.unwrap();
        }
        assert!(ask(address, ASK.as_bytes()).await.starts_with("HTTP/1.1 200"), "{begin:?}");
        drop(client);
    }
    server.settle().await;
    assert!(server.all_paths().await.is_empty());
}

#[tokio::test]
async fn one_client_has_its_share_of_streams_and_leaves_room_for_others() {
    let server = Server::with(&["--streams", "2", "--proxies", "1"]);
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    let address = server.listen().await;
    let watch = async |who: &str| {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path}/events HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {who}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut head = vec![0; 1024];
        let read = timeout(SOON, client.read(&mut head)).await.expect("no answer").unwrap();
        (client, String::from_utf8_lossy(&head[..read]).to_lowercase())
    };
    let first = watch("9.9.9.9").await;
    let second = watch("9.9.9.9").await;
    assert!(first.1.starts_with("http/1.1 200") && second.1.starts_with("http/1.1 200"));
    let (_, third) = watch("9.9.9.9").await;
    assert!(third.starts_with("http/1.1 429") && third.contains("retry-after:"), "{third}");
    assert!(watch("8.8.8.8").await.1.starts_with("http/1.1 200"), "another client");
    drop(first);
    let until = Instant::now() + SOON;
    while !watch("9.9.9.9").await.1.starts_with("http/1.1 200") {
        assert!(Instant::now() < until, "a place is not given back");
        sleep(DRIP).await;
    }
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = Server::new();
    let address = server.listen().await;
    let many = "X: 1\r\n".repeat(200);
    for request in [
        format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(200_000)),
        format!("GET / HTTP/1.1\r\n{many}\r\n"),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000)),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)),
    ] {
        let answer = ask(address, request.as_bytes()).await;
        let status = answer.get(..12).unwrap_or_default();
        assert!(["HTTP/1.1 414", "HTTP/1.1 431"].contains(&status), "{answer:?}");
    }
    let long = format!("GET /v2/{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "x".repeat(30_000));
    assert!(ask(address, long.as_bytes()).await.starts_with("HTTP/1.1 404"));
}
