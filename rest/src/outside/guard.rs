//! From a URL of a stranger to the addresses that may be connected to.

use std::net::{IpAddr, SocketAddr};

use hyper::http::request;
use hyper::{Method, Request, header};
use url::{Host, Url};

use super::address::is_public;
use super::connect::Resolver;

/// Why an address is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no URL, or not of a kind that is used here.
    #[error("the address {0}")]
    Syntax(&'static str),
    /// The name is not known, or nobody could be asked.
    #[error("the host of the address is not known")]
    Unknown,
    /// One of its addresses is not public.
    #[error("the host of the address is not on the public internet")]
    NotPublic,
}

/// A URL of a stranger that has been looked at, but whose name has not been resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL.
    pub url: Url,
    /// Name or address of the host, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    literal: Option<IpAddr>,
    allowed: bool,
}

impl Target {
    /// Whether it is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether it is on the list of those that are not checked.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// The beginning of a request to it, in the form that goes over a connection of its own.
    pub(crate) fn request(&self, method: Method) -> request::Builder {
        let url = &self.url;
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let path =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("msaas/", env!("CARGO_PKG_VERSION")))
    }
}

/// The rules for addresses of strangers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// `host:port` that need not be public, and may be plain `http`; for local development.
    pub allow: Vec<String>,
    /// Whether plain `http` is used at all.
    pub http: bool,
}

/// Longest URL in bytes.
const LONGEST: usize = 2048;

impl Guard {
    /// Looks at the text of a URL.
    ///
    /// # Errors
    /// [`Refusal::Syntax`].
    pub fn look(&self, text: &str) -> Result<Target, Refusal> {
        if text.len() > LONGEST {
            return Err(Refusal::Syntax("is too long"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Refusal::Syntax("has spaces or control characters in it"));
        }
        let url = Url::parse(text).map_err(|_| Refusal::Syntax("is no URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Syntax("has credentials in it"));
        }
        let (host, literal) = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => (name.to_owned(), None),
            Some(Host::Ipv4(address)) => (address.to_string(), Some(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => (address.to_string(), Some(IpAddr::V6(address))),
            _ => return Err(Refusal::Syntax("has no host")),
        };
        let port = url.port_or_known_default().filter(|port| *port != 0);
        let port = port.ok_or(Refusal::Syntax("has no port"))?;
        let shown = url.host_str().unwrap_or_default();
        let allowed = self.allow.iter().any(|entry| entry.eq_ignore_ascii_case(&format!("{shown}:{port}")));
        match url.scheme() {
            "https" => {}
            "http" if self.http || allowed => {}
            "http" => return Err(Refusal::Syntax("is not https")),
            _ => return Err(Refusal::Syntax("is not http")),
        }
        Ok(Target { url, host, port, literal, allowed })
    }

    /// Addresses of a target, each of which may be connected to. The name is resolved once, here.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] and [`Refusal::NotPublic`].
    pub async fn addresses(
        &self,
        target: &Target,
        resolver: &dyn Resolver,
    ) -> Result<Vec<SocketAddr>, Refusal> {
        let addresses = match target.literal {
            Some(address) => vec![address],
            None => resolver.resolve(&target.host).await.map_err(|_| Refusal::Unknown)?,
        };
        if addresses.is_empty() {
            return Err(Refusal::Unknown);
        }
        // One that is not public among public ones is an attack, not a misconfiguration.
        if !target.allowed && !addresses.iter().all(|address| is_public(*address)) {
            return Err(Refusal::NotPublic);
        }
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, target.port)).collect())
    }
}
