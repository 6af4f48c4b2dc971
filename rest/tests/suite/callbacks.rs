//! Telling callers, and whom not to call.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::Bucket;
use rest::callback::{Message, Secret};
use rest::outside::{Guard, Refusal};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::place::Place;
use crate::support::{FakeNetwork, Server, song};

crate::place::scenarios! {
    the_older_contract_gets_one_post_with_exactly_its_data
    the_job_is_told_with_a_signature_and_a_fault_is_tried_again_under_the_same_id
    a_further_caller_of_the_same_work_is_told_too
    who_asks_again_is_told_again_and_once_while_the_first_message_is_owed
}

/// A caller's server: what it was sent, and what it answers.
#[derive(Clone)]
struct Sink {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    /// Answers with each text in turn, then with the last one.
    async fn start(answers: Vec<String>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self { address: listener.local_addr().unwrap(), requests: Arc::default() };
        let requests = sink.requests.clone();
        tokio::spawn(async move {
            for n in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = Vec::new();
                let mut piece = [0; 4096];
                loop {
                    let read = stream.read(&mut piece).await.unwrap_or(0);
                    text.extend_from_slice(&piece[..read]);
                    let whole = String::from_utf8_lossy(&text).into_owned();
                    let length = whole
                        .to_lowercase()
                        .split("content-length: ")
                        .nth(1)
                        .map(|rest| rest.lines().next().unwrap().parse::<usize>().unwrap());
                    let body = whole.split_once("\r\n\r\n").map(|(_, body)| body.len());
                    if read == 0 || body.is_some() && body >= length {
                        requests.lock().unwrap().push(whole);
                        break;
                    }
                }
                let answer = answers.get(n).or(answers.last()).unwrap();
                stream.write_all(answer.as_bytes()).await.ok();
            }
        });
        sink
    }

    async fn wait(&self, count: usize) -> Vec<String> {
        for _ in 0..1000 {
            let requests = self.requests.lock().unwrap().clone();
            if requests.len() >= count {
                return requests;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only {:?}", self.requests.lock().unwrap());
    }

    fn seen(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let line = request.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
    line.map_or("", |line| line.split_once(": ").unwrap().1)
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

async fn the_older_contract_gets_one_post_with_exactly_its_data(place: Place) {
    let server = place.server(&["--callback-allow", "localhost:5000"]).await;
    let sink = Sink::start(vec![OK.to_owned()]).await;
    server.network.know("localhost", &[&["127.0.0.1"]]);
    server.network.lead_to(sink.address);
    rest::background::start(&server.app);
    for (seed, data) in
        [(1, json!({ "mp3": "a.mp3", "data": "to be returned" })), (2, Value::Null), (3, json!([1, "é"]))]
    {
        let callback = json!({ "url": "http://localhost:5000", "data": data });
        server.separate(&json!({ "mp3": STANDARD.encode(song(seed)), "callback": callback })).await.is(200);
        server.work().await;
        let requests = sink.wait(usize::from(seed)).await;
        let last = requests.last().unwrap();
        assert!(last.starts_with("POST / HTTP/1.1\r\n"));
        assert_eq!(serde_json::from_str::<Value>(body(last)).unwrap(), data);
        assert_eq!(
            (header(last, "content-type"), header(last, "host")),
            ("application/json", "localhost:5000")
        );
    }
    // As it was written: its order, its numbers, its spaces.
    let data = r#"{"b":1, "a":123456789012345678901234567890,"f":1.10,"e":1e2, "\u0061":[ ]}"#;
    let callback = format!(r#"{{"data": {data} , "url": "http://localhost:5000"}}"#);
    let text = format!(r#"{{"callback": {callback}, "mp3": "{}"}}"#, STANDARD.encode(song(4)));
    server.call(Method::POST, "/apiv1/separate", &[("content-type", "application/json")], text).await.is(200);
    server.work().await;
    assert_eq!(body(sink.wait(4).await.last().unwrap()), data);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sink.seen(), 4);
}

async fn the_job_is_told_with_a_signature_and_a_fault_is_tried_again_under_the_same_id(place: Place) {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let server = place.server(&["--callback-secret", secret, "--callback-http"]).await;
    let broken = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned();
    let sink = Sink::start(vec![broken, OK.to_owned()]).await;
    server.network.know("hooks.example", &[&["93.184.216.34"]]);
    server.network.lead_to(sink.address);
    let query = "?callback=http%3A%2F%2Fhooks.example%3A8080%2Fa%3Fb%3D1";
    let path = server.submit(query, song(1)).await.is(202).header("location").to_owned();
    rest::background::start(&server.app);
    server.work().await;
    let requests = sink.wait(2).await;
    assert_eq!(server.network.connected(), ["93.184.216.34:8080".parse().unwrap(); 2]);
    let [first, second] = [&requests[0], &requests[1]];
    assert!(second.starts_with("POST /a?b=1 HTTP/1.1\r\n"));
    assert_eq!(header(first, "webhook-id"), header(second, "webhook-id"));
    let told: Value = serde_json::from_str(body(second)).unwrap();
    assert_eq!(told["state"], "succeeded");
    assert_eq!(told["id"], server.get(&path).await.json()["id"]);
    let timestamp = header(second, "webhook-timestamp").parse().unwrap();
    let signature =
        Secret::parse(secret).unwrap().sign(header(second, "webhook-id"), timestamp, body(second));
    assert_eq!(header(second, "webhook-signature"), signature);
}

#[tokio::test]
async fn redirects_are_not_followed_and_endless_answers_are_not_read() {
    let server = Server::with(&["--callback-http"]);
    let away =
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n".to_owned();
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n{}", "x".repeat(200_000));
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let sink = Sink::start(vec![away, long, huge]).await;
    server.network.know("a.example", &[&["93.184.216.34"]]);
    server.network.lead_to(sink.address);
    let message = Message { id: "msg_1".to_owned(), body: "{}".to_owned(), signed: false };
    let tell = || server.app.callbacks.deliver("http://a.example/", &message);
    assert!(tell().await.unwrap_err().to_string().contains("302"));
    tell().await.unwrap();
    assert!(tell().await.is_err());
    assert_eq!(server.network.connected().len(), 3);
}

async fn a_further_caller_of_the_same_work_is_told_too(place: Place) {
    let server = place.server(&["--callback-http"]).await;
    let sink = Sink::start(vec![OK.to_owned()]).await;
    for name in ["a.example", "b.example", "c.example"] {
        server.network.know(name, &[&["93.184.216.34"]]);
    }
    server.network.lead_to(sink.address);
    server.submit("?callback=http://a.example/", song(1)).await.is(202);
    server.submit("?callback=http://b.example/", song(1)).await.is(200);
    rest::background::start(&server.app);
    server.work().await;
    sink.wait(2).await;
    server.submit("?callback=http://c.example/", song(1)).await.is(200);
    let requests = sink.wait(3).await;
    let mut hosts: Vec<&str> = requests.iter().map(|request| header(request, "host")).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["a.example", "b.example", "c.example"]);
}

async fn who_asks_again_is_told_again_and_once_while_the_first_message_is_owed(place: Place) {
    let server = place.server(&["--callback-allow", "localhost:5000"]).await;
    let sink = Sink::start(vec![OK.to_owned()]).await;
    server.network.know("localhost", &[&["127.0.0.1"]]);
    server.network.lead_to(sink.address);
    let callback = json!({ "url": "http://localhost:5000", "data": "mine" });
    let body = json!({ "mp3": STANDARD.encode(song(1)), "callback": callback });
    let owed = async || server.paths(Bucket::Queue, "untold/").await.len();
    for _ in 0..2 {
        server.separate(&body).await.is(200);
    }
    rest::background::start(&server.app);
    server.work().await;
    sink.wait(1).await;
    for _ in 0..1000 {
        if owed().await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((owed().await, sink.seen()), (0, 1), "both asked before the end, for the same message");
    for times in 2..4 {
        server.separate(&body).await.is(200);
        let requests = sink.wait(times).await;
        assert_eq!(self::body(requests.last().unwrap()), "\"mine\"");
    }
}

#[tokio::test]
async fn a_refused_callback_never_fails_the_older_contract() {
    let server = Server::new();
    rest::background::start(&server.app);
    let urls = ["http://localhost:5000", "http://169.254.169.254/x", "nonsense", "", "https://10.0.0.1/"];
    let refused = urls.map(|url| json!({ "url": url, "data": 1 }));
    let without = [json!({}), json!({ "data": 1 }), json!({ "url": null }), json!({ "url": 7, "data": 1 })];
    let callbacks = [&refused[..], &without].concat();
    for (seed, callback) in callbacks.iter().enumerate() {
        server
            .separate(&json!({ "mp3": STANDARD.encode(song(seed as u8)), "callback": callback }))
            .await
            .is(200);
    }
    assert_eq!(server.work().await, callbacks.len());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(server.network.connected().is_empty());
    assert!(server.paths(Bucket::Queue, "pending/").await.is_empty());
}

/// Addresses that no callback may reach and no link may lead to, in every spelling that parsers know.
pub(crate) const FORBIDDEN: &[&str] = &[
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://0x7f.1/",
    "http://127.0.0.1:6379/",
    "http://[::1]/",
    "http://[::]/",
    "http://0.0.0.0/",
    "http://0/",
    "http://localhost/",
    "http://LOCALHOST:6379/",
    "http://localhost./",
    "http://sub.localhost/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://169.254.43518/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
    "http://[::127.0.0.1]/",
    "http://[5f00::1]/",
    "http://[3fff::1]/",
    "http://192.0.0.1/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://192.88.99.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://metadata.google.internal/",
    "http://both.example/",
    "http://inside.example/",
    "http://mapped.example/",
    "http://user:pass@public.example/",
    "http://user@public.example/",
    "http://public.example@127.0.0.1/",
    "http://127.0.0.1#@public.example/",
    "http://127.0.0.1\\@public.example/",
    "http:\\\\127.0.0.1\\",
    "http:127.0.0.1/",
    "http:///127.0.0.1/",
    "//127.0.0.1/",
    "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
    "http://127\u{3002}0\u{3002}0\u{3002}1/",
    "http://\u{24db}ocalhost/",
    "http://%31%32%37.0.0.1/",
    "ftp://public.example/",
    "file:///etc/passwd",
    "gopher://public.example:6379/_x",
    "javascript:alert(1)",
    "data:text/plain,x",
    "unix:/run/docker.sock",
    "http://",
    "https://",
    "http://public.example:0/",
    "",
    " ",
    "http://public.example/\r\nX: y",
    "http://public.exa mple/",
    "http://public.example:99999/",
    "x",
    "dict://127.0.0.1:11211/",
    "http://unknown.example/",
    "http://nothing.example/",
];

/// The names in them.
pub(crate) fn names(network: &FakeNetwork) {
    network.know("public.example", &[&["93.184.216.34"]]);
    for name in ["localhost", "localhost.", "sub.localhost"] {
        network.know(name, &[&["127.0.0.1", "::1"]]);
    }
    network.know("metadata.google.internal", &[&["169.254.169.254"]]);
    network.know("both.example", &[&["93.184.216.34", "10.0.0.1"]]);
    network.know("inside.example", &[&["192.168.1.5"]]);
    network.know("mapped.example", &[&["::ffff:10.0.0.1"]]);
    network.know("nothing.example", &[&[]]);
}

#[tokio::test]
async fn no_forbidden_address_is_ever_connected_to() {
    assert!(FORBIDDEN.len() > 80);
    let server = Server::with(&["--callback-http"]);
    names(&server.network);
    let sink = Sink::start(vec![OK.to_owned()]).await;
    server.network.lead_to(sink.address);
    let message = Message { id: "msg_1".to_owned(), body: "{}".to_owned(), signed: false };
    for url in FORBIDDEN {
        assert!(server.app.callbacks.deliver(url, &message).await.is_err(), "{url}");
        assert!(server.app.callbacks.check(url).await.is_err(), "{url}");
        assert!(server.network.connected().is_empty(), "{url}");
    }
    server.app.callbacks.deliver("http://public.example/", &message).await.unwrap();
    assert_eq!(sink.seen(), 1);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_gets_nowhere() {
    let server = Server::with(&["--callback-http"]);
    let sink = Sink::start(vec![OK.to_owned()]).await;
    server.network.lead_to(sink.address);
    let message = Message { id: "msg_1".to_owned(), body: "{}".to_owned(), signed: false };
    let deliver = || server.app.callbacks.deliver("http://rebind.example/", &message);
    let (good, bad): (&[&str], &[&str]) = (&["93.184.216.34"], &["127.0.0.1"]);
    server.network.know("rebind.example", &[good, bad]);
    deliver().await.unwrap();
    assert_eq!(*server.network.asked.lock().unwrap(), ["rebind.example"], "a name is resolved once");
    deliver().await.unwrap_err();
    assert_eq!(server.network.connected(), ["93.184.216.34:80".parse().unwrap()]);
}

#[test]
fn plain_http_and_hosts_of_ones_own_are_for_those_who_said_so() {
    let closed = Guard::default();
    assert!(matches!(closed.look("http://a.example/"), Err(Refusal::Syntax(_))));
    closed.look("https://a.example/").unwrap();
    let open = Guard { allow: vec!["localhost:5000".to_owned(), "[::1]:80".to_owned()], http: false };
    open.look("http://localhost:5000/x").unwrap();
    open.look("http://LocalHost:5000").unwrap();
    open.look("http://[::1]/").unwrap();
    for other in
        ["http://localhost/", "http://localhost:5001/", "http://localhost.:5000/", "http://127.0.0.1:5000/"]
    {
        assert!(open.look(other).is_err(), "{other}");
    }
}
