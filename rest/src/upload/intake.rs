//! An upload on its way into the store.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use common::job::Title;
use common::storage::{Store, StoreError, Write, Written};
use common::{ObjectKey, SongHash};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::cost::cost_ms;
use super::head::{Head, not_audio};
use super::source::{Source, too_large};
use crate::error::{Code, Problem};
use crate::state::App;

/// What the bytes of an upload say.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Their SHA-256.
    pub(crate) song: SongHash,
    /// How many they are.
    pub(crate) size_bytes: u64,
    /// Their tags.
    pub(crate) title: Title,
    /// Milliseconds of audio, as they suggest.
    pub(crate) cost_ms: u64,
}

/// Hears every byte of an upload.
pub(crate) struct Intake {
    digest: Sha256,
    head: Head,
    size_bytes: u64,
    limit: u64,
}

impl Intake {
    /// Of at most `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self { digest: Sha256::new(), head: Head::default(), size_bytes: 0, limit }
    }

    /// Refuses a source that says that it is too large.
    fn expect(&self, source: &impl Source) -> Result<(), Problem> {
        if source.declared() > self.limit { Err(too_large(self.limit)) } else { Ok(()) }
    }

    /// Hears the next bytes; refuses what is too large or cannot become a song.
    pub(crate) async fn hear(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > self.limit {
            return Err(too_large(self.limit));
        }
        self.digest.update(bytes);
        if self.head.push(bytes) {
            let head = std::mem::take(&mut self.head);
            self.head = blocking(move || head.look()).await??;
        }
        Ok(())
    }

    /// What it heard.
    pub(crate) async fn facts(self) -> Result<Facts, Problem> {
        let song = SongHash::new(self.digest.finalize().into());
        let (title, cost_ms) = blocking(move || {
            let mut file = self.head.file();
            let sniffed = tags::sniff(&mut file).map_err(not_audio)?;
            let tags = tags::read(&mut file);
            let title = Title { title: tags.title, artist: tags.artist };
            Ok::<_, Problem>((title, cost_ms(&mut file, &sniffed)))
        })
        .await??;
        Ok(Facts { song, size_bytes: self.size_bytes, title, cost_ms })
    }

    /// Hears a whole source and keeps nothing of it.
    pub(crate) async fn hear_all(mut self, source: &mut impl Source) -> Result<Facts, Problem> {
        self.expect(source)?;
        while let Some(bytes) = source.next().await? {
            self.hear(&bytes).await?;
        }
        self.facts().await
    }
}

/// An upload that was heard to its end, kept until it is dropped.
#[derive(Debug)]
pub(crate) struct Received {
    /// What it is.
    pub(crate) facts: Facts,
    /// Its bytes.
    pub(crate) bytes: Held,
}

/// The bytes of an upload.
#[derive(Debug)]
pub(crate) enum Held {
    /// Few enough to be here: the store need not keep them under a name of their own first.
    Here(Bytes),
    /// In the store.
    There(Incoming),
}

impl Held {
    /// Puts them under a key, unless there is an object already.
    pub(crate) async fn put(&self, store: &Arc<dyn Store>, key: &ObjectKey) -> Result<Written, StoreError> {
        match self {
            Self::Here(bytes) => store.put(key, bytes.clone(), Write::Once).await,
            Self::There(incoming) => store.copy(&incoming.key, key, Write::Once).await,
        }
    }

    /// Lets go of them now.
    pub(crate) async fn remove(self) -> Result<(), Problem> {
        match self {
            Self::Here(_) => Ok(()),
            Self::There(incoming) => incoming.remove().await,
        }
    }
}

/// An object that is removed when nobody needs it any more, whatever happened.
#[derive(Debug)]
pub(crate) struct Incoming {
    app: App,
    key: ObjectKey,
    armed: bool,
}

impl Incoming {
    pub(crate) fn new(app: &App, key: ObjectKey) -> Self {
        Self { app: app.clone(), key, armed: true }
    }

    async fn remove(mut self) -> Result<(), Problem> {
        self.app.ledger.store().delete(&self.key).await?;
        self.armed = false;
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        // Dropped on the way: the client is gone or the upload was refused.
        let (app, key) = (self.app.clone(), self.key.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let task = async move {
                if let Err(error) = app.ledger.store().delete(&key).await {
                    tracing::debug!(%error, "an upload stays until the next sweep");
                }
            };
            self.app.tasks.spawn_on(task, &runtime);
        }
    }
}

/// Pieces of an upload that wait for the store.
const WAITING: usize = 2;

/// Longest upload that is not streamed: what a request may hold besides the beginning, in bytes.
const SMALL_BYTES: usize = 1 << 18;

/// Takes a source in, hashed and looked at on the way: streamed to `incoming/`, unless it is small.
#[tracing::instrument(skip_all)]
pub(crate) async fn receive(app: &App, source: &mut impl Source, limit: u64) -> Result<Received, Problem> {
    let mut intake = Intake::new(limit);
    intake.expect(source)?;
    let mut first = Vec::new();
    while let Some(bytes) = source.next().await? {
        intake.hear(&bytes).await?;
        first.extend_from_slice(&bytes);
        if first.len() > SMALL_BYTES {
            return stream_on(app, first.into(), intake, source).await;
        }
    }
    Ok(Received { facts: intake.facts().await?, bytes: Held::Here(first.into()) })
}

/// Streams what was heard first and the rest of a source.
async fn stream_on(
    app: &App,
    first: Bytes,
    intake: Intake,
    source: &mut impl Source,
) -> Result<Received, Problem> {
    let incoming = Incoming::new(app, ObjectKey::incoming(Uuid::new_v4()));
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(WAITING);
    let rest = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let body = stream::iter([Ok(first)]).chain(rest).boxed();
    let put = app.ledger.store().put_stream(&incoming.key, body, Write::Once);
    let (stored, facts) = tokio::join!(put, feed(source, sender, intake));
    match (facts, stored) {
        // The store's fault broke the feeding off.
        (Err(_), Err(error)) if !matches!(error, StoreError::Source(_)) => Err(error.into()),
        (Err(problem), _) => Err(problem),
        (Ok(_), Err(error)) => Err(error.into()),
        // Of a name like this, what exists is this very upload, sent again after an answer was lost.
        (Ok(facts), Ok(Written::Stored | Written::Exists)) => {
            Ok(Received { facts, bytes: Held::There(incoming) })
        }
    }
}

async fn feed(
    source: &mut impl Source,
    sender: mpsc::Sender<io::Result<Bytes>>,
    mut intake: Intake,
) -> Result<Facts, Problem> {
    let fed = async {
        while let Some(bytes) = source.next().await? {
            intake.hear(&bytes).await?;
            if sender.send(Ok(bytes)).await.is_err() {
                return Err(Problem::plain(Code::Unavailable));
            }
        }
        intake.facts().await
    };
    match fed.await {
        Ok(facts) => Ok(facts),
        Err(problem) => {
            // So that the store throws away what it has.
            sender.send(Err(io::Error::other("the upload was given up"))).await.ok();
            Err(problem)
        }
    }
}

/// Reads an upload back that came in past this server, under a signed address. It is copied first to where
/// nobody has an address for, so that what is hashed is what is kept.
pub(crate) async fn read_back(app: &App, upload: &ObjectKey) -> Result<Received, Problem> {
    let store = app.ledger.store();
    let incoming = Incoming::new(app, ObjectKey::incoming(Uuid::new_v4()));
    let missing =
        || Problem::new(Code::NotFound, "there is no such upload, or nothing was sent to it").param("upload");
    let limit = app.config.limits.upload_bytes;
    let meta = store.head(upload).await?.ok_or_else(missing)?;
    if meta.size_bytes > limit {
        store.delete(upload).await?;
        return Err(too_large(limit));
    }
    store.copy(upload, &incoming.key, Write::Once).await?;
    let mut body = store.get(&incoming.key, None).await?.body;
    let mut intake = Intake::new(limit);
    while let Some(bytes) =
        body.try_next().await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    {
        intake.hear(&bytes).await?;
    }
    Ok(Received { facts: intake.facts().await?, bytes: Held::There(incoming) })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Problem::plain(Code::Internal).caused_by(error))
}
