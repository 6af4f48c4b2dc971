//! A file host with faults: one thread, one request a connection, on a port of its own.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the host does with a request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// The file, or the range of it that was asked for.
    File(Vec<u8>),
    /// The whole file, whatever range was asked for.
    Whole(Vec<u8>),
    /// As [`Answer::File`], but the connection ends after so many bytes.
    Cut(Vec<u8>, usize),
    /// As [`Answer::Cut`], but the connection stays open and silent.
    Stall(Vec<u8>, usize),
    /// Silence from the start.
    Hang,
    /// A status and nothing else.
    Status(u16),
    /// Look there.
    Redirect(String),
}

/// One request as it came: the path and the headers of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
}

pub(crate) struct Host {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

type Answers = HashMap<String, Vec<Answer>>;

impl Host {
    /// Answers each path with its answers in turn, the last one for ever; other paths are not found.
    pub(crate) fn start(answers: &[(&str, Vec<Answer>)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("its address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut answers: Answers =
            answers.iter().map(|(path, answers)| ((*path).to_owned(), answers.clone())).collect();
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            // Silent connections are kept open until the test ends.
            let mut open = Vec::new();
            for connection in listener.incoming().flatten() {
                let Some(request) = read(&connection) else { continue };
                let answer = next(&mut answers, &request.path);
                seen.lock().expect("no panic").push(request.clone());
                respond(&connection, &request, &answer);
                if matches!(answer, Answer::Hang | Answer::Stall(..)) {
                    open.push(connection);
                }
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self) -> String {
        self.address.clone()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }
}

fn next(answers: &mut Answers, path: &str) -> Answer {
    match answers.get_mut(path) {
        Some(list) if list.len() > 1 => list.remove(0),
        Some(list) => list[0].clone(),
        None => Answer::Status(404),
    }
}

fn read(connection: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(connection.take(8192)).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let mut request = Request { path, range: None, if_range: None };
    for line in lines.take_while(|line| !line.is_empty()) {
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("range") => {
                request.range = Some(value.to_owned());
            }
            Some((name, value)) if name.eq_ignore_ascii_case("if-range") => {
                request.if_range = Some(value.to_owned());
            }
            _ => (),
        }
    }
    Some(request)
}

fn respond(mut connection: &TcpStream, request: &Request, answer: &Answer) {
    let asked = request.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    let from: usize = asked.and_then(|from| from.parse().ok()).unwrap_or(0);
    let (file, sent) = match answer {
        Answer::File(file) => (file, usize::MAX),
        Answer::Whole(file) => {
            let _ = connection.write_all(&[head(200, file.len(), "").as_bytes(), file].concat());
            return;
        }
        Answer::Cut(file, sent) | Answer::Stall(file, sent) => (file, *sent),
        Answer::Hang => return,
        Answer::Status(status) => {
            let _ = connection.write_all(head(*status, 0, "").as_bytes());
            return;
        }
        Answer::Redirect(to) => {
            let _ = connection.write_all(head(302, 0, &format!("location: {to}\r\n")).as_bytes());
            return;
        }
    };
    let body = &file[from..];
    let range = format!("content-range: bytes {from}-{}/{}\r\n", file.len() - 1, file.len());
    let head = if from > 0 { head(206, body.len(), &range) } else { head(200, body.len(), "") };
    let _ = connection.write_all(&[head.as_bytes(), &body[..sent.min(body.len())]].concat());
}

fn head(status: u16, length: usize, more: &str) -> String {
    format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\netag: \"v1\"\r\nconnection: close\r\n{more}\r\n"
    )
}
