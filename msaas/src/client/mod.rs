//! A server as its clients see it: `/v2` over HTTP.
//!
//! Blocking, one request at a time, nothing held whole but small JSON. An answer is a type of `common`, or an
//! [`Error`] that is one sentence.

mod download;
mod error;
mod events;
mod jobs;
mod names;
mod patience;
mod upload;

use std::io::Read as _;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::{Method, Request, Response, StatusCode, header, request};
use ureq::{Agent, AsSendBody, Body};
use url::Url;

use crate::cli::ServerArgs;

pub(crate) use self::download::{Download, Mix, Sizes};
pub(crate) use self::error::{Error, Result, plain};
pub(crate) use self::events::Told;
pub(crate) use self::jobs::Accepted;
pub(crate) use self::names::{label, track, word};
pub(crate) use self::patience::Patience;
pub(crate) use self::upload::Upload;

/// Longest silence of a server that is at work; one that has events shows every 15 s that it lives.
const SILENCE: Duration = Duration::from_mins(1);

/// Longest wait for the head of an answer: a server may move an upload to its place meanwhile.
const ANSWER_WITHIN: Duration = Duration::from_mins(5);

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Most bytes of an answer that is JSON.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// A server, and the key that is shown to it.
#[derive(Debug)]
pub(crate) struct Server {
    agent: Agent,
    base: Url,
    key: Option<String>,
}

/// Where a server is that nobody named.
const USUAL: &str = "http://localhost:5000";

impl Server {
    /// The server that the arguments name, or the variable `REST` (`host:port`) of older clients.
    pub(crate) fn open(args: &ServerArgs) -> anyhow::Result<Self> {
        let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let address = given(&args.server).or_else(|| given(&std::env::var("REST").ok()));
        Self::new(address.as_deref().unwrap_or(USUAL), given(&args.key))
    }

    /// The server at an address with or without `http://`. Asks nothing yet.
    pub(crate) fn new(address: &str, key: Option<String>) -> anyhow::Result<Self> {
        let base = base(address)?;
        let builder = Agent::config_builder()
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_recv_response(Some(ANSWER_WITHIN))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            // The server closes a connection that is not used for 10 s.
            .max_idle_age(Duration::from_secs(5))
            .http_status_as_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("msaas/", env!("CARGO_PKG_VERSION")));
        // A proxy from the environment does not reach this machine's own ports.
        let own = base.host().is_some_and(|host| match host {
            url::Host::Domain(name) => name == "localhost",
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
        });
        let builder = if own { builder.proxy(None) } else { builder };
        Ok(Self { agent: builder.build().new_agent(), base, key })
    }

    /// How people call it.
    pub(crate) fn name(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// An address on the server.
    fn at(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        let given = query.iter().filter(|(_, value)| !value.is_empty());
        if given.clone().count() > 0 {
            url.query_pairs_mut().extend_pairs(given);
        }
        url
    }

    fn ask(&self, method: Method, path: &str, query: &[(&str, &str)]) -> request::Builder {
        self.ask_at(method, &self.at(path, query))
    }

    fn ask_at(&self, method: Method, url: &Url) -> request::Builder {
        let request = Request::builder().method(method).uri(url.as_str());
        match &self.key {
            Some(key) => request.header(header::AUTHORIZATION, format!("Bearer {key}")),
            None => request,
        }
    }

    /// The answer to a request, if the server did as it was asked.
    fn send(&self, request: request::Builder, body: impl AsSendBody) -> Result<Response<Body>> {
        let request = request.body(body).map_err(|error| self.strange(error))?;
        self.run(request)
    }

    fn run(&self, request: Request<impl AsSendBody>) -> Result<Response<Body>> {
        let response = self.agent.run(request).map_err(|error| self.failed(&error))?;
        if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        Err(self.refused(response))
    }

    fn json<T: DeserializeOwned>(&self, request: request::Builder) -> Result<T> {
        self.read(self.send(request, ())?)
    }

    /// An answer that is JSON.
    fn read<T: DeserializeOwned>(&self, response: Response<Body>) -> Result<T> {
        let mut text = Vec::new();
        let mut body = response.into_body().into_reader().take(MAX_JSON_BYTES);
        body.read_to_end(&mut text).map_err(|error| self.cut(&error))?;
        serde_json::from_slice(&text).map_err(|error| self.strange(error))
    }
}

/// `host:port` is an address too; what stands behind the host is where the server's paths begin.
fn base(address: &str) -> anyhow::Result<Url> {
    let full = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let url = Url::parse(&full).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url =
        url.ok_or_else(|| anyhow::anyhow!("{address} is no address of a server: http://host:port is"))?;
    anyhow::ensure!(
        url.username().is_empty() && url.password().is_none(),
        "a server's address has no password"
    );
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_with_or_without_a_scheme() {
        for (address, expected) in [
            ("localhost:5000", "http://localhost:5000/v2/jobs?limit=1"),
            ("https://stems.example.org/", "https://stems.example.org/v2/jobs?limit=1"),
            ("http://example.org/music/", "http://example.org/music/v2/jobs?limit=1"),
            ("[::1]:80", "http://[::1]/v2/jobs?limit=1"),
        ] {
            let server = Server::new(address, None).unwrap();
            let url = server.at("v2/jobs", &[("state", ""), ("limit", "1")]);
            assert_eq!(url.as_str(), expected);
        }
        for address in ["", "ftp://example.org", "http://", "http://user:word@example.org", "a b"] {
            assert!(Server::new(address, None).is_err(), "{address}");
        }
    }
}
