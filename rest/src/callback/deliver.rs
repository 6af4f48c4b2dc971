//! One POST to one address that was checked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;

use super::{Message, Secret};
use crate::outside::{Guard, Outside, Refusal, Stream, Target, Unreached};

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

impl From<Unreached> for Undelivered {
    fn from(error: Unreached) -> Self {
        match error {
            Unreached::Refused(refusal) => Self::Refused(refusal),
            Unreached::Failed(error) => Self::Failed(error.to_string()),
        }
    }
}

/// Tells callers how their jobs ended.
#[derive(Debug, Clone)]
pub struct Callbacks {
    guard: Guard,
    secret: Option<Secret>,
    outside: Outside,
}

impl Callbacks {
    /// With the rules for addresses, what to sign with, and the way out.
    #[must_use]
    pub fn new(guard: Guard, secret: Option<Secret>, outside: Outside) -> Self {
        Self { guard, secret, outside }
    }

    /// The way out that callbacks take.
    pub(crate) fn outside(&self) -> &Outside {
        &self.outside
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
        let found = tokio::time::timeout(TIME, self.outside.addresses(&self.guard, &target)).await;
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
        let stream = self.outside.connect(&self.guard, &target).await?;
        let status = post(stream, self.request(&target, message)?).await?;
        if status.is_success() { Ok(()) } else { Err(Undelivered::Status(status)) }
    }

    fn request(&self, target: &Target, message: &Message) -> Result<Request<Full<Bytes>>, Undelivered> {
        let mut request = target
            .request(Method::POST)
            .header(header::CONTENT_TYPE, "application/json")
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

async fn post(stream: Box<dyn Stream>, request: Request<Full<Bytes>>) -> Result<StatusCode, Undelivered> {
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
