//! What all handlers share.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use common::ObjectKey;
use common::ledger::Ledger;
use common::storage::{Cut, Signed, SignedParts, StoreError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Keys;
use crate::callback::Callbacks;
use crate::config::Config;
use crate::limits::{Admission, Rate, Streams};
use crate::models::Models;
use crate::upload::Fetcher;

/// The server without its sockets; cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

/// What is in it.
#[derive(Debug)]
pub struct Inner {
    /// Jobs and objects.
    pub ledger: Ledger,
    /// Settings.
    pub config: Config,
    /// Who may ask.
    pub keys: Keys,
    /// How often.
    pub rate: Rate,
    /// How many streams of events.
    pub(crate) streams: Streams,
    /// How much.
    pub(crate) admission: Admission,
    /// Who is told.
    pub callbacks: Callbacks,
    /// Brings songs that are behind links.
    pub(crate) fetcher: Fetcher,
    /// The networks that requests may name.
    pub models: Models,
    /// Cancelled when the server is told to stop: it is not ready from then on.
    pub stop: CancellationToken,
    /// Cancelled when it takes no more connections, `--linger` later.
    pub closing: CancellationToken,
    /// What goes on behind answers.
    pub tasks: TaskTracker,
}

impl App {
    /// A server over a ledger.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        config: Config,
        keys: Keys,
        callbacks: Callbacks,
        stop: CancellationToken,
    ) -> Self {
        let rate = Rate::new(config.limits.rate, config.limits.burst);
        let streams = Streams::new(config.limits.streams);
        let admission = Admission::new(&config.limits);
        let closing = later(&stop, config.linger);
        let fetcher = Fetcher::new(&config.links, callbacks.outside().clone());
        let models = Models::new(config.models.clone());
        Self(Arc::new(Inner {
            ledger,
            config,
            keys,
            rate,
            streams,
            admission,
            callbacks,
            fetcher,
            models,
            stop,
            closing,
            tasks: TaskTracker::new(),
        }))
    }
}

impl App {
    /// An address at the store itself, as clients outside reach it; none where it has none for them.
    pub(crate) async fn sign(
        &self,
        key: &ObjectKey,
        what: Signed,
        valid: Duration,
        file_name: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        if self.config.store.s3_public_endpoint.is_none() {
            return Ok(None);
        }
        self.ledger.store().sign(key, what, valid, file_name).await
    }

    /// The same for the parts of an object.
    pub(crate) async fn sign_parts(
        &self,
        key: &ObjectKey,
        cut: Cut,
        valid: Duration,
    ) -> Result<Option<SignedParts>, StoreError> {
        if self.config.store.s3_public_endpoint.is_none() {
            return Ok(None);
        }
        self.ledger.store().sign_parts(key, cut, valid).await
    }
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Cancelled so long after a signal: at once where that is no time.
fn later(signal: &CancellationToken, linger: Duration) -> CancellationToken {
    if linger.is_zero() {
        return signal.clone();
    }
    let (signal, late) = (signal.clone(), CancellationToken::new());
    let closing = late.clone();
    tokio::spawn(async move {
        signal.cancelled().await;
        tokio::time::sleep(linger).await;
        late.cancel();
    });
    closing
}
