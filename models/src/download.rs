//! One pinned file over HTTP, resumable across cuts and across runs.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write as _};
use std::path::PathBuf;
use std::thread;

use demucs::weights::PinnedFile;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use crate::config::{Limits, StoreConfig};
use crate::error::{Attempt as _, Refusal};
use crate::event::FetchEvent;
use crate::manifest::{read_bounded, sha256};

/// Requests for one file, however much progress each of them makes.
const MAX_REQUESTS: u32 = 100;

/// Redirects followed for one request; the hosts in use need one or two.
const MAX_REDIRECTS: u32 = 5;

/// Progress is told every so many bytes.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Fetches the file into `<name>.part`, and gives its content and the path of the part, which the caller removes.
///
/// A part left by an earlier run is continued. The content has the pinned size and checksum.
pub(crate) fn download(
    config: &StoreConfig,
    url: &str,
    pinned: &PinnedFile,
    events: &mut dyn FnMut(FetchEvent),
) -> Result<(Vec<u8>, PathBuf), Refusal> {
    let download = Download {
        agent: agent(url, &config.limits),
        url,
        pinned,
        part: config.dir.join(format!("{}.part", pinned.name)),
        tag: config.dir.join(format!("{}.etag", pinned.name)),
    };
    let mut resumed = download.have() > 0;
    let mut failures = 0;
    for request in 0..MAX_REQUESTS {
        let before = download.have();
        let reason = match download.request(request > 0, events)? {
            Outcome::Complete => {
                let content = read_bounded(&download.part, pinned.size_bytes)?;
                if sha256(&content) == pinned.sha256 {
                    let _ = fs::remove_file(&download.tag);
                    return Ok((content, download.part));
                }
                download.forget();
                if !resumed {
                    return Err(Refusal::Next("wrong checksum, the file is not the expected one".to_owned()));
                }
                // Perhaps only the beginning, from an earlier run, was wrong.
                resumed = false;
                "wrong checksum after continuing an earlier download".to_owned()
            }
            Outcome::Cut(reason) => reason,
        };
        failures = if download.have() > before { 0 } else { failures + 1 };
        if failures >= config.limits.attempts {
            return Err(Refusal::Next(reason));
        }
        let wait = config.limits.backoff * 2u32.pow(failures.min(8));
        events(FetchEvent::Retrying { reason, wait });
        thread::sleep(wait);
    }
    Err(Refusal::Next(format!("still incomplete after {MAX_REQUESTS} requests")))
}

struct Download<'a> {
    agent: Agent,
    url: &'a str,
    pinned: &'a PinnedFile,
    part: PathBuf,
    /// The host's name for the version of the file that the part is from.
    tag: PathBuf,
}

enum Outcome {
    Complete,
    /// Worth another request.
    Cut(String),
}

impl Download<'_> {
    /// Bytes in the part.
    fn have(&self) -> u64 {
        fs::metadata(&self.part).map_or(0, |part| part.len())
    }

    fn forget(&self) {
        let _ = fs::remove_file(&self.part);
        let _ = fs::remove_file(&self.tag);
    }

    /// One request for what is missing. `again`: the host has answered before.
    fn request(&self, again: bool, events: &mut dyn FnMut(FetchEvent)) -> Result<Outcome, Refusal> {
        let size = self.pinned.size_bytes;
        if self.have() > size {
            self.forget();
        }
        let have = self.have();
        if have == size {
            return Ok(Outcome::Complete);
        }
        let mut request = self.agent.get(self.url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
            if let Ok(tag) = fs::read_to_string(&self.tag) {
                request = request.header(header::IF_RANGE, tag);
            }
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(error) if again || answered(&error) => return Ok(Outcome::Cut(reason(&error))),
            Err(error) => return Err(Refusal::Next(reason(&error))),
        };
        let start = match start(&response, have)? {
            Start::At(start) => start,
            Start::Later(reason) => return Ok(Outcome::Cut(reason)),
            Start::Afresh(reason) => {
                self.forget();
                return Ok(Outcome::Cut(reason));
            }
        };
        if response.body().content_length().is_some_and(|length| start + length != size) {
            self.forget();
            return Err(Refusal::Next(format!("the file there does not have {size} bytes")));
        }
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
        // A weak tag does not promise the same bytes.
        match tag.filter(|tag| tag.starts_with('"')) {
            Some(tag) => fs::write(&self.tag, tag).attempt("write", &self.tag)?,
            None => _ = fs::remove_file(&self.tag),
        }
        self.receive(response, start, events)
    }

    fn receive(
        &self,
        response: Response<Body>,
        start: u64,
        events: &mut dyn FnMut(FetchEvent),
    ) -> Result<Outcome, Refusal> {
        let size = self.pinned.size_bytes;
        let file =
            if start == 0 { File::create(&self.part) } else { File::options().append(true).open(&self.part) };
        let mut file = file.attempt("write", &self.part)?;
        let mut body = response.into_body().into_reader().take(size - start + 1);
        let mut buffer = vec![0; 1 << 16];
        let (mut have, mut told) = (start, start);
        events(FetchEvent::Progress { bytes: have, total: Some(size) });
        loop {
            let received = match body.read(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Outcome::Cut(self.cut(have, &error.to_string()))),
            };
            if received == 0 {
                break;
            }
            file.write_all(&buffer[..received]).attempt("write", &self.part)?;
            have += received as u64;
            if have > size {
                self.forget();
                return Err(Refusal::Next(format!("the host sends more than {size} bytes")));
            }
            if have - told >= PROGRESS_BYTES || have == size {
                told = have;
                events(FetchEvent::Progress { bytes: have, total: Some(size) });
            }
        }
        file.sync_all().attempt("write", &self.part)?;
        Ok(if have == size {
            Outcome::Complete
        } else {
            Outcome::Cut(self.cut(have, "the connection ended"))
        })
    }

    fn cut(&self, have: u64, why: &str) -> String {
        format!("cut off after {have} of {} bytes ({why})", self.pinned.size_bytes)
    }
}

/// What an answer's head says.
enum Start {
    /// The body begins at this byte of the file.
    At(u64),
    /// The host is busy; what is there stays good.
    Later(String),
    /// What is there is of no use.
    Afresh(String),
}

fn start(response: &Response<Body>, have: u64) -> Result<Start, Refusal> {
    let status = response.status();
    match status {
        StatusCode::OK => Ok(Start::At(0)),
        StatusCode::PARTIAL_CONTENT => {
            let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
            let wanted = range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")));
            Ok(if wanted {
                Start::At(have)
            } else {
                Start::Afresh("the host answered another range".to_owned())
            })
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            Ok(Start::Afresh("the host cannot continue the download".to_owned()))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Ok(Start::Later(busy(status))),
        _ if status.is_server_error() => Ok(Start::Later(busy(status))),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Refusal::Next("not found there (404)".to_owned())),
        other => Err(Refusal::Next(format!("the host answered {}", other.as_u16()))),
    }
}

fn busy(status: StatusCode) -> String {
    format!("the host is busy ({})", status.as_u16())
}

fn agent(url: &str, limits: &Limits) -> Agent {
    let builder = Agent::config_builder()
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_recv_response(Some(limits.silence))
        .timeout_per_read(Some(limits.silence))
        .http_status_as_error(false)
        .https_only(url.starts_with("https:"))
        .max_redirects(MAX_REDIRECTS)
        .accept_encoding("identity")
        .user_agent(concat!("msaas/", env!("CARGO_PKG_VERSION")));
    // A proxy from the environment does not reach this machine's own ports.
    let builder = if url.starts_with("http://127.0.0.1:") { builder.proxy(None) } else { builder };
    builder.build().new_agent()
}

/// Whether the host was there at all: then another attempt is worth its time.
fn answered(error: &ureq::Error) -> bool {
    use ureq::Timeout::{PerRead, RecvBody, RecvResponse};
    match error {
        ureq::Error::Timeout(timeout) => matches!(timeout, RecvResponse | RecvBody | PerRead),
        ureq::Error::Io(error) => {
            matches!(
                error.kind(),
                ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe
            )
        }
        ureq::Error::Protocol(_) => true,
        _ => false,
    }
}

/// One clause for a person.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "the host is not known".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(timeout) => format!("no answer in time ({timeout})"),
        ureq::Error::TooManyRedirects => format!("more than {MAX_REDIRECTS} redirects"),
        ureq::Error::RequireHttpsOnly(_) => "redirected to an address without https".to_owned(),
        other => other.to_string(),
    }
}
