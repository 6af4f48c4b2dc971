//! The smallest client of HTTP that can follow a signed link, so that no library stands between.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Time for each read and write.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// By names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// Sends one request to an `http://` address; `body` makes it a PUT.
pub(super) async fn ask(url: &str, body: Option<Vec<u8>>, range: Option<&str>) -> io::Result<Answer> {
    let (url, range) = (url.to_owned(), range.map(|range| format!("Range: {range}\r\n")).unwrap_or_default());
    let asked = tokio::task::spawn_blocking(move || {
        let rest = url.strip_prefix("http://").ok_or_else(|| io::Error::other("not http"))?;
        let (host, path) = rest.split_once('/').ok_or_else(|| io::Error::other("no path"))?;
        let mut socket = TcpStream::connect(host)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        let (method, length) = match &body {
            Some(body) => ("PUT", format!("Content-Length: {}\r\n", body.len())),
            None => ("GET", String::new()),
        };
        // Version 1.0: the end of the connection is the end of the body, and there are no chunks.
        let head = format!("{method} /{path} HTTP/1.0\r\nHost: {host}\r\n{length}{range}\r\n");
        socket.write_all(head.as_bytes())?;
        // A refusal may come before the body was read.
        let _ = socket.write_all(&body.unwrap_or_default());
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes)?;
        answer(&bytes).ok_or_else(|| io::Error::other("not an answer"))
    });
    asked.await.map_err(io::Error::other)?
}

fn answer(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let mut lines = std::str::from_utf8(&bytes[..end]).ok()?.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Some(Answer { status, headers, body: bytes[end + 4..].to_vec() })
}
