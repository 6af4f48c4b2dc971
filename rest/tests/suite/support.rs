//! A server with everything around it, and a client.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use common::StemName;
use common::job::{Commit, Ending, Format, Make, Record, ResultFile, Unit};
use common::ledger::Ledger;
use common::queue::{Claim, Claimant, Outcome, Queue, TaskKind, Token};
use common::storage::{Store, Write};
use common::{Bucket, ObjectKey};
use futures_util::TryStreamExt as _;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use rest::App;
use rest::auth::Keys;
use rest::callback::{Callbacks, Secret};
use rest::outside::{Guard, Network, Outside, Resolver};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::place::{config, in_memory};
use crate::store::MemoryStore;

/// Names that tests know, and where connections really go.
#[derive(Debug, Default)]
pub(crate) struct FakeNetwork {
    /// Answers for each name, one after the other; the last one stays.
    pub(crate) names: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    /// Where every connection ends, whatever address was asked for.
    pub(crate) sink: Mutex<Option<SocketAddr>>,
    /// Addresses that were connected to.
    pub(crate) connected: Mutex<Vec<SocketAddr>>,
    /// Names that were resolved.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl FakeNetwork {
    /// Has a name lead to addresses: others at each look-up, as far as there are some.
    pub(crate) fn know(&self, name: &str, answers: &[&[&str]]) {
        let parsed = answers.iter().map(|list| list.iter().map(|address| address.parse().unwrap()).collect());
        self.names.lock().unwrap().insert(name.to_owned(), parsed.collect());
    }

    /// Has every connection end here.
    pub(crate) fn lead_to(&self, sink: SocketAddr) {
        *self.sink.lock().unwrap() = Some(sink);
    }

    /// Addresses that were connected to, so far.
    pub(crate) fn connected(&self) -> Vec<SocketAddr> {
        self.connected.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Resolver for FakeNetwork {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut names = self.names.lock().unwrap();
        let answers = names.get_mut(host).ok_or(io::ErrorKind::NotFound)?;
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }
}

#[async_trait::async_trait]
impl Network for FakeNetwork {
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.connected.lock().unwrap().push(address);
        let sink = *self.sink.lock().unwrap();
        TcpStream::connect(sink.ok_or(io::ErrorKind::ConnectionRefused)?).await
    }
}

/// What a server stands on.
pub(crate) struct Around {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    /// The store, where it is one in memory.
    pub(crate) memory: Option<Arc<MemoryStore>>,
}

/// A server without sockets.
pub(crate) struct Server {
    pub(crate) app: App,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    memory: Option<Arc<MemoryStore>>,
    pub(crate) network: Arc<FakeNetwork>,
    router: axum::Router,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        self
    }
}

impl Server {
    /// In memory.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// In memory, with settings as on a command line.
    pub(crate) fn with(args: &[&str]) -> Self {
        Self::over(in_memory(args), args, "")
    }

    pub(crate) fn over(around: Around, args: &[&str], keys: &str) -> Self {
        let Around { store, queue, memory } = around;
        let config = config(args);
        let network = Arc::new(FakeNetwork::default());
        let guard =
            Guard { allow: config.callbacks.callback_allow.clone(), http: config.callbacks.callback_http };
        let secret = config.callbacks.callback_secret.as_deref().map(|text| Secret::parse(text).unwrap());
        let ledger = Ledger::new(store.clone(), queue.clone(), config.keep.into());
        let callbacks = Callbacks::new(guard, secret, Outside::new(network.clone()));
        let app = App::new(ledger, config, Keys::parse(keys).unwrap(), callbacks, CancellationToken::new());
        let router = rest::app(&app);
        Self { app, store, queue, memory, network, router }
    }

    /// The store of a server in memory, which can be made to fail.
    pub(crate) fn memory(&self) -> &MemoryStore {
        self.memory.as_ref().unwrap()
    }

    /// Paths of all objects of a bucket with a prefix, in the order of their bytes.
    pub(crate) async fn paths(&self, bucket: Bucket, prefix: &str) -> Vec<String> {
        let page = self.store.list(bucket, prefix, None, 1000).await.unwrap();
        assert!(!page.more, "too many objects for one page");
        let mut paths: Vec<_> = page.objects.iter().map(|(key, _)| key.path().to_owned()).collect();
        paths.sort();
        paths
    }

    /// Paths of everything that is in the store.
    pub(crate) async fn all_paths(&self) -> Vec<String> {
        [self.paths(Bucket::Queue, "").await, self.paths(Bucket::Output, "").await].concat()
    }

    /// Does with an address at the store what it is signed for, past this server.
    pub(crate) async fn at_store(&self, method: Method, url: &str, body: Vec<u8>) -> Answer {
        if self.memory.is_none() {
            return over_http(method, url, body).await;
        }
        let path = url.strip_prefix("http://store.test/").unwrap().split('?').next().unwrap().to_owned();
        let body = if method == Method::PUT {
            let key = ObjectKey::listed(Bucket::Queue, path);
            self.store.put(&key, body.into(), Write::Replace).await.unwrap();
            Bytes::new()
        } else {
            let object = self.store.get(&ObjectKey::listed(Bucket::Output, path), None).await.unwrap();
            let pieces: Vec<Bytes> = object.body.try_collect().await.unwrap();
            pieces.concat().into()
        };
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.open(request).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn open(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.call(Method::POST, path, &[], Body::empty()).await
    }

    /// Sends a song to the native interface.
    pub(crate) async fn submit(&self, query: &str, song: Vec<u8>) -> Answer {
        self.call(Method::POST, &format!("/v2/jobs{query}"), &[("content-type", "audio/mpeg")], song).await
    }

    /// Sends a song to the older interface.
    pub(crate) async fn separate(&self, body: &Value) -> Answer {
        self.call(Method::POST, "/apiv1/separate", &[("content-type", "application/json")], body.to_string())
            .await
    }

    /// Asks for a job by JSON.
    pub(crate) async fn ask(&self, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.call(Method::POST, "/v2/jobs", &headers, body.to_string()).await
    }

    /// Takes the next plan, as a worker does.
    pub(crate) async fn claim_plan(&self) -> (Claim, Token) {
        let kinds = vec![TaskKind::Plan];
        let claimant = Claimant { worker: "w".to_owned(), fingerprint: String::new(), kinds };
        let token = Token::draw();
        (self.queue.claim(&claimant, token).await.unwrap().unwrap(), token)
    }

    /// Works until there is nothing to do; gives how many songs.
    pub(crate) async fn work(&self) -> usize {
        let claimant = Claimant {
            worker: "fake".to_owned(),
            fingerprint: String::new(),
            kinds: vec![TaskKind::Merge, TaskKind::Derive, TaskKind::Span, TaskKind::Plan],
        };
        let mut songs = 0;
        loop {
            let token = Token::draw();
            let Some(claim) = self.queue.claim(&claimant, token).await.unwrap() else { return songs };
            let record = self.app.ledger.record(&claim.task.job).await.unwrap().unwrap();
            let names = record.options.results(&self.app.models.sources(&record.options.model).unwrap());
            let mut results = Vec::new();
            for (n, name) in names.iter().enumerate() {
                results.push(self.result(&record, name).await);
                self.queue.progress(claim.task, token, n as u32 + 1, names.len() as u32).await.unwrap();
                self.queue.stem_ready(claim.task, token, name).await.unwrap();
            }
            let stored = results.iter().map(|result| result.size_bytes).sum();
            self.app.ledger.note(&record, &Unit::new(claim.task, stored, 7)).await.unwrap();
            self.app.ledger.finish(&record, Ending::Succeeded { results }).await.unwrap();
            self.queue.complete(claim.task, token, &Outcome::Done).await.unwrap();
            songs += 1;
        }
    }

    /// Writes and commits one result.
    pub(crate) async fn result(&self, record: &Record, name: &StemName) -> ResultFile {
        let bytes = match record.options.format {
            Format::Wav { .. } => wav(1000),
            _ => format!("{name} of {} by {}\n", record.song, record.options.model).repeat(40).into_bytes(),
        };
        self.commit(record, name, bytes).await
    }

    /// Writes and commits a result of these bytes.
    pub(crate) async fn commit(&self, record: &Record, name: &StemName, bytes: Vec<u8>) -> ResultFile {
        let result = ResultFile {
            stem: name.clone(),
            make: Make { plan: 0, engine: "stand-in".to_owned() },
            frames: 1000,
            rate_hz: 44_100,
            size_bytes: bytes.len() as u64,
            sha256: hex(&bytes),
            gain: 1.0,
        };
        self.store.put(&Ledger::result_key(record, &result), bytes.into(), Write::Once).await.unwrap();
        let peaks = vec![[i16::MIN, 16_384], [0, 16_384], [-8192, 0]];
        self.app.ledger.commit(record, Commit { result, peaks }).await.unwrap()
    }

    /// Waits until nothing goes on behind answers.
    pub(crate) async fn settle(&self) {
        for _ in 0..500 {
            if self.app.tasks.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("something goes on and on");
    }

    /// With sockets, until the server is dropped.
    pub(crate) async fn listen(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(rest::serve(listener, self.app.clone(), self.app.stop.clone()));
        address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

/// One request on a connection of its own.
async fn over_http(method: Method, url: &str, body: Vec<u8>) -> Answer {
    let url = url::Url::parse(url).unwrap();
    let address = url.socket_addrs(|| None).unwrap()[0];
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, http_body_util::Full<Bytes>>(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(&url[url::Position::BeforePath..])
        .header("host", &url[url::Position::BeforeHost..url::Position::AfterPort])
        .body(body.into())
        .unwrap();
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// SHA-256 as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    common::SongHash::new(Sha256::digest(bytes).into()).to_string()
}

/// An MP3 file, as far as anyone looks who does not decode; another one for each seed.
pub(crate) fn song(seed: u8) -> Vec<u8> {
    let mut frame = vec![seed; 417];
    frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x64]);
    frame.repeat(100)
}

/// A song with a title, an artist and a cover that is hardly more than its first bytes.
pub(crate) fn tagged(title: &str, artist: &str) -> Vec<u8> {
    let frame = |name: &str, text: &str| {
        let size = (text.len() as u32 + 1).to_be_bytes();
        [name.as_bytes(), &size, &[0, 0, 3], text.as_bytes()].concat()
    };
    let texts = [frame("TIT2", title), frame("TPE1", artist)].concat();
    with_tag(&[texts, picture_frame(b"\x89PNG\r\n\x1a\n\0\0\0\0")].concat())
}

/// A song with a front cover.
pub(crate) fn pictured(picture: &[u8]) -> Vec<u8> {
    with_tag(&picture_frame(picture))
}

fn picture_frame(picture: &[u8]) -> Vec<u8> {
    let content = [b"\0image/png\0\x03\0".as_slice(), picture].concat();
    [b"APIC", (content.len() as u32).to_be_bytes().as_slice(), &[0, 0], &content].concat()
}

/// A song with an `ID3` tag of these frames, shorter than 16 KiB.
fn with_tag(frames: &[u8]) -> Vec<u8> {
    let size = [(frames.len() >> 7) as u8, (frames.len() & 0x7f) as u8];
    [b"ID3\x03\0\0\0\0".as_slice(), &size, frames, &song(1)].concat()
}

/// A WAV file of 16 bits and two channels.
fn wav(frames: u32) -> Vec<u8> {
    let mut out =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0data".to_vec();
    out.extend((frames * 4).to_le_bytes());
    for n in 0..frames * 2 {
        out.extend((if n == 0 { i16::MIN } else { 16_384 }).to_le_bytes());
    }
    out
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) job: Value,
}

/// Events of a body.
pub(crate) fn sent(body: &[u8]) -> Vec<Sent> {
    let text = std::str::from_utf8(body).unwrap();
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
    };
    text.split("\n\n")
        .filter_map(|block| {
            Some(Sent {
                id: field(block, "id").map(|id| id.parse().unwrap()),
                name: field(block, "event")?,
                job: serde_json::from_str(&field(block, "data")?).unwrap(),
            })
        })
        .collect()
}
