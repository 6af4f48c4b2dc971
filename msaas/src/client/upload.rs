//! Sending a song, or a link to one.

use std::io::Read;
use std::time::Duration;

use common::job::Options;
use serde_json::json;
use ureq::SendBody;
use ureq::http::{Method, header};

use super::{Accepted, Result, Server};

/// Longest wait for a server that fetches a file.
const FETCHED_WITHIN: Duration = Duration::from_hours(1);

/// A song on its way to a server: its bytes pass through and are never held whole.
pub(crate) struct Upload<'a> {
    /// The bytes, from their start.
    pub(crate) song: &'a mut dyn Read,
    /// How many they are.
    pub(crate) size_bytes: u64,
    pub(crate) options: &'a Options,
    /// Address that is told of the end.
    pub(crate) callback: Option<&'a str>,
}

impl Server {
    /// Sends a song; `progress` hears how many bytes are gone.
    pub(crate) fn submit(&self, upload: &mut Upload<'_>, progress: &mut dyn FnMut(u64)) -> Result<Accepted> {
        let options = serde_json::to_string(upload.options).map_err(|error| self.strange(error))?;
        let query = [("options", options.as_str()), ("callback", upload.callback.unwrap_or_default())];
        let request = self
            .ask(Method::POST, "v2/jobs", &query)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, upload.size_bytes)
            // What is wrong with the options is said before the song is sent.
            .header(header::EXPECT, "100-continue");
        let mut song = Counted { song: &mut upload.song, sent: 0, progress };
        self.read(self.send(request, SendBody::from_reader(&mut song))?)
    }

    /// Has the server fetch the file behind a link.
    pub(crate) fn submit_link(
        &self,
        link: &str,
        options: &Options,
        callback: Option<&str>,
    ) -> Result<Accepted> {
        let callback = callback.map(|url| json!({ "url": url }));
        let body = json!({ "url": link, "options": options, "callback": callback }).to_string();
        let request = self.ask(Method::POST, "v2/jobs", &[]).header(header::CONTENT_TYPE, "application/json");
        let request = request.body(body).map_err(|error| self.strange(error))?;
        let patient = self.agent.configure_request(request);
        self.read(self.run(patient.timeout_recv_response(Some(FETCHED_WITHIN)).build())?)
    }
}

/// Tells how much was read.
struct Counted<'a> {
    song: &'a mut dyn Read,
    sent: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.song.read(buffer)?;
        self.sent += n as u64;
        (self.progress)(self.sent);
        Ok(n)
    }
}
