//! Names to addresses, addresses to connections. Tests put their own in the place of the system's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{AnyNetwork, Guard, Refusal, Target};

/// Names to addresses.
#[async_trait::async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of a host.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// What is needed of a network.
#[async_trait::async_trait]
pub trait Network: Resolver + std::fmt::Debug {
    /// Connects to an address that was checked.
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

/// The system's network.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

#[async_trait::async_trait]
impl Resolver for System {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

#[async_trait::async_trait]
impl Network for System {
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}

/// Addresses of a host that are tried.
const TRIED: usize = 4;

/// Bytes to and from the other side, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    /// It is not even tried.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody answers there, or not as who is asked for.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Connects to addresses of strangers, each checked first.
#[derive(Clone)]
pub struct Outside {
    network: AnyNetwork,
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").field("network", &self.network).finish_non_exhaustive()
    }
}

impl Outside {
    /// Over a network.
    #[must_use]
    pub fn new(network: AnyNetwork) -> Self {
        Self { network, tls: tls() }
    }

    /// The addresses of a target, as its name tells now.
    pub(crate) async fn addresses(&self, guard: &Guard, target: &Target) -> Result<Vec<SocketAddr>, Refusal> {
        guard.addresses(target, &*self.network).await
    }

    /// Connects to a target, at an address that was checked after one look-up, and to no other.
    pub(crate) async fn connect(&self, guard: &Guard, target: &Target) -> Result<Box<dyn Stream>, Unreached> {
        let addresses = self.addresses(guard, target).await?;
        let stream = self.first(&addresses).await?;
        if !target.is_tls() {
            return Ok(Box::new(stream));
        }
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("no TLS"))?;
        Ok(Box::new(tls.connect(server_name(&target.host)?, stream).await?))
    }

    /// The first address that answers.
    async fn first(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses.iter().take(TRIED) {
            match self.network.connect(*address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Encrypts connections, with the roots that browsers trust.
fn tls() -> Option<TlsConnector> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

/// The name that a certificate has to be for.
fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|_| io::ErrorKind::InvalidInput.into())
}
