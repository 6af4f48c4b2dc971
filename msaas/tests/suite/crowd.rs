//! More connections than the process may have files open.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::network::Network;
use crate::service::{PATIENCE, Service, json};

/// Longest wait for a connection to a server that is there.
const SOON: Duration = Duration::from_secs(2);

/// One connection that is kept.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn to(service: &Service) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", service.port())).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        Self(BufReader::new(stream))
    }

    /// Sends a request; gives the JSON that came back.
    fn ask(&mut self, request: &str, body: &[u8]) -> Value {
        let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=60\r\n");
        let head = format!("{head}Content-Type: audio/wav\r\nContent-Length: {}\r\n\r\n", body.len());
        self.0.get_mut().write_all(&[head.as_bytes(), body].concat()).expect("sent");
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("an answer");
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("all of it");
        json(std::str::from_utf8(&body).expect("text"))
    }
}

#[test]
fn idle_strangers_leave_a_job_the_files_that_it_needs() {
    let limit = "ulimit -n 256; exec \"$0\" \"$@\"";
    let service = Service::under(limit, Network::Plain, &["--header-time", "300"]);
    let song = std::fs::read(service.song("tune", 44_100 * 3)).expect("written");
    let mut client = Kept::to(&service);
    assert!(client.ask("GET /v2/limits", b"")["upload_bytes"].is_u64());
    // As many as the system takes: those that the program does not accept wait there, up to a limit of its own.
    let address = SocketAddr::from(([127, 0, 0, 1], service.port()));
    let strangers = (0..400).map_while(|_| TcpStream::connect_timeout(&address, SOON).ok());
    let crowd: Vec<TcpStream> = strangers.collect();
    assert!(crowd.len() > 100, "{}", crowd.len());
    let mut job = client.ask("POST /v2/jobs", &song);
    let path = format!("GET /v2/jobs/{}", job["id"].as_str().unwrap_or_else(|| panic!("{job}")));
    while ["queued", "running"].contains(&job["state"].as_str().expect("a state")) {
        job = client.ask(&path, b"");
    }
    assert_eq!(job["state"], "succeeded", "{job}");
}

#[test]
fn as_many_files_are_opened_as_the_system_allows() {
    let service = Service::under("ulimit -Sn 200; exec \"$0\" \"$@\"", Network::Tiny, &["--no-worker"]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.id())).expect("Linux");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
    assert_ne!(words[3], "200", "{line}");
}
