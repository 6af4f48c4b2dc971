//! An upload on its way into the store.

use std::io;

use bytes::Bytes;
use common::job::Title;
use common::storage::{StoreError, Write, Written};
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
            Ok::<_, Problem>((title, cost_ms(&file, &sniffed)))
        })
        .await??;
        Ok(Facts { song, size_bytes: self.size_bytes, title, cost_ms })
    }

    /// Hears a whole source and keeps nothing of it.
    pub(crate) async fn hear_all(mut self, source: &mut impl Source) -> Result<Facts, Problem> {
        while let Some(bytes) = source.next().await? {
            self.hear(&bytes).await?;
        }
        self.facts().await
    }
}

/// An upload in the store under a name of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Received {
    /// What it is.
    pub(crate) facts: Facts,
    /// Where it lies.
    pub(crate) incoming: Incoming,
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

    /// Where it lies.
    pub(crate) fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// Leaves it where it is.
    pub(crate) fn leave(mut self) {
        self.armed = false;
    }

    /// Removes it now.
    pub(crate) async fn remove(mut self) -> Result<(), Problem> {
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

/// Streams a source to `incoming/<name>`, hashed and looked at on the way.
pub(crate) async fn receive(
    app: &App,
    name: Uuid,
    source: &mut impl Source,
    limit: u64,
) -> Result<Received, Problem> {
    let incoming = Incoming::new(app, ObjectKey::incoming(name));
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(WAITING);
    let body =
        stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))).boxed();
    let store = app.ledger.store();
    let put = store.put_stream(incoming.key(), body, Write::Once);
    let (stored, facts) = tokio::join!(put, feed(source, sender, limit));
    match (facts, stored) {
        // The store's fault broke the feeding off.
        (Err(_), Err(error)) if !matches!(error, StoreError::Source(_)) => Err(error.into()),
        (Err(problem), _) => Err(problem),
        (Ok(_), Err(error)) => Err(error.into()),
        (Ok(_), Ok(Written::Exists)) => {
            incoming.leave();
            Err(Problem::plain(Code::UploadExists))
        }
        (Ok(facts), Ok(Written::Stored)) => Ok(Received { facts, incoming }),
    }
}

async fn feed(
    source: &mut impl Source,
    sender: mpsc::Sender<io::Result<Bytes>>,
    limit: u64,
) -> Result<Facts, Problem> {
    let mut intake = Intake::new(limit);
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
    store.copy(upload, incoming.key(), Write::Once).await?;
    let mut body = store.get(incoming.key(), None).await?.body;
    let mut intake = Intake::new(limit);
    while let Some(bytes) =
        body.try_next().await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    {
        intake.hear(&bytes).await?;
    }
    Ok(Received { facts: intake.facts().await?, incoming })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Problem::plain(Code::Internal).caused_by(error))
}
