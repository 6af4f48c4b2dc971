//! One POST to one address that was checked.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::connect::{server_name, tls};
use super::{AnyNetwork, Guard, Message, Refusal, Secret, Target};

/// Time for everything: name, connection, answer.
const TIME: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 << 10;

/// Why nothing was told.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// The address is not used, now and later.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The other side said something else than 2xx.
    #[error("the callback was answered {0}")]
    Status(StatusCode),
    /// There was no answer in time.
    #[error("the callback had no answer within {} s", TIME.as_secs())]
    Late,
    /// The connection failed.
    #[error("the callback could not be made: {0}")]
    Failed(String),
}

impl Undelivered {
    /// Whether it may go better later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Refused(Refusal::Syntax(_) | Refusal::NotPublic))
    }
}

/// Tells callers how their jobs ended.
#[derive(Debug, Clone)]
pub struct Callbacks {
    guard: Guard,
    secret: Option<Secret>,
    network: AnyNetwork,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Callbacks {
    /// Over a network, with the rules for addresses and what to sign with.
    #[must_use]
    pub fn new(guard: Guard, secret: Option<Secret>, network: AnyNetwork) -> Self {
        Self { guard, secret, network, tls: tls().map(Tls) }
    }

    /// Looks at the text of a URL, without asking anyone.
    ///
    /// # Errors
    /// [`Refusal::Syntax`].
    pub fn look(&self, url: &str) -> Result<Target, Refusal> {
        self.guard.look(url)
    }

    /// Whether an address may be used, as far as its name tells now.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn check(&self, url: &str) -> Result<(), Refusal> {
        let target = self.guard.look(url)?;
        let found = tokio::time::timeout(TIME, self.guard.addresses(&target, &*self.network)).await;
        found.map_err(|_| Refusal::Unknown)?.map(|_| ())
    }

    /// Tells `url` a message, once. Redirects are not followed.
    ///
    /// # Errors
    /// [`Undelivered`].
    pub async fn deliver(&self, url: &str, message: &Message) -> Result<(), Undelivered> {
        let told = tokio::time::timeout(TIME, self.tell(url, message)).await;
        told.map_err(|_| Undelivered::Late)?
    }

    async fn tell(&self, url: &str, message: &Message) -> Result<(), Undelivered> {
        let target = self.guard.look(url)?;
        let addresses = self.guard.addresses(&target, &*self.network).await?;
        let stream = self.connect(&addresses).await?;
        let request = self.request(&target, message)?;
        let status = if target.is_tls() {
            let tls = self.tls.as_ref().ok_or_else(|| Undelivered::Failed("no TLS".to_owned()))?;
            let name = server_name(&target.host).map_err(|error| failed(&error))?;
            let stream = tls.0.connect(name, stream).await.map_err(|error| failed(&error))?;
            post(stream, request).await?
        } else {
            post(stream, request).await?
        };
        if status.is_success() { Ok(()) } else { Err(Undelivered::Status(status)) }
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> Result<tokio::net::TcpStream, Undelivered> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses.iter().take(4) {
            match self.network.connect(*address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(failed(&last))
    }

    fn request(&self, target: &Target, message: &Message) -> Result<Request<Full<Bytes>>, Undelivered> {
        let url = &target.url;
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let path =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let mut request = Request::post(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("msaas/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id);
        if let Some(secret) = self.secret.as_ref().filter(|_| message.signed) {
            let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
            request = request
                .header("webhook-timestamp", now_s.to_string())
                .header("webhook-signature", secret.sign(&message.id, now_s, &message.body));
        }
        request
            .body(Full::new(Bytes::from(message.body.clone())))
            .map_err(|error| Undelivered::Failed(error.to_string()))
    }
}

async fn post(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, Undelivered> {
    let broken = |error: hyper::Error| Undelivered::Failed(error.to_string());
    let shaken = http1::Builder::new().max_buf_size(ANSWER_BYTES).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(broken)?;
    tokio::pin!(connection);
    let answered = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        // Read to be polite, not to be believed: too much or too little changes nothing.
        Limited::new(answer.into_body(), ANSWER_BYTES).collect().await.ok();
        Ok(status)
    };
    tokio::pin!(answered);
    tokio::select! {
        status = &mut answered => status,
        _ = &mut connection => answered.await,
    }
}

fn failed(error: &io::Error) -> Undelivered {
    Undelivered::Failed(error.to_string())
}
