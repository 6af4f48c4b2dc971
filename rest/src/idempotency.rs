//! The header `Idempotency-Key`: the first answer is given again, for a day.
//!
//! The key is taken before the body is read and the answer is durable before it is given. A repeated request is
//! read and hashed as well, so that other bytes under the same key are told from the same ones.

use axum::http::HeaderMap;
use common::Tenant;
use common::job::{Callback, Options};
use common::ledger::{Answer, IN_FLIGHT, Reserved};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use crate::digest::hex;
use crate::error::{Code, Problem};
use crate::request::text;
use crate::state::App;

/// A key that is this request's until it is answered; dropped before that, it is given back.
#[derive(Debug)]
pub(crate) struct Held {
    app: App,
    tenant: Tenant,
    digest: [u8; 32],
    armed: bool,
    /// Says again and again that the request goes on: a server that dies says nothing.
    renewal: Option<JoinHandle<()>>,
}

/// What a request with such a header is.
#[derive(Debug)]
pub(crate) enum Idempotent {
    /// It has no key.
    No,
    /// The first one.
    First(Held),
    /// One that was answered before.
    Again(Answer),
}

/// Looks at the header, and takes the key.
pub(crate) async fn begin(app: &App, tenant: &Tenant, headers: &HeaderMap) -> Result<Idempotent, Problem> {
    if !headers.contains_key("idempotency-key") {
        return Ok(Idempotent::No);
    }
    let key = text(headers, "idempotency-key");
    if key.is_empty() || key.len() > 255 {
        let why = "an idempotency key has 1 to 255 visible characters";
        return Err(Problem::new(Code::InvalidRequest, why).param("Idempotency-Key"));
    }
    let digest: [u8; 32] = Sha256::digest(key).into();
    // Taken in a task of its own: a client that leaves meanwhile leaves no key behind.
    let (task_app, task_tenant) = (app.clone(), tenant.clone());
    let taken = app.tasks.spawn(async move {
        let reserved = task_app.ledger.reserve(&task_tenant, &digest).await?;
        let armed = reserved == Reserved::Yours;
        let renewal = armed.then(|| tokio::spawn(renew(task_app.clone(), task_tenant.clone(), digest)));
        let held = Held { app: task_app, tenant: task_tenant, digest, armed, renewal };
        Ok::<_, Problem>((reserved, held))
    });
    let (reserved, held) = taken.await.map_err(|error| Problem::plain(Code::Internal).caused_by(error))??;
    match reserved {
        Reserved::Yours => Ok(Idempotent::First(held)),
        Reserved::InFlight => Err(Problem::plain(Code::InFlight).retry_after(2)),
        Reserved::Answered(answer) => Ok(Idempotent::Again(answer)),
    }
}

impl Held {
    /// Writes the answer down.
    pub(crate) async fn answered(mut self, answer: Answer) -> Result<(), Problem> {
        if let Some(renewal) = self.renewal.take() {
            // To its end: it must not write over the answer.
            renewal.abort();
            let _ = renewal.await;
        }
        self.app.ledger.answered(&self.tenant, &self.digest, answer).await?;
        self.armed = false;
        Ok(())
    }
}

/// Renews the hold on a key until it is aborted.
async fn renew(app: App, tenant: Tenant, digest: [u8; 32]) {
    loop {
        tokio::time::sleep(IN_FLIGHT / 3).await;
        if let Err(error) = app.ledger.still_in_flight(&tenant, &digest).await {
            tracing::warn!(%error, "the hold on an idempotency key is not renewed");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(renewal) = self.renewal.take() {
            renewal.abort();
        }
        let (true, Ok(runtime)) = (self.armed, tokio::runtime::Handle::try_current()) else { return };
        let (app, tenant, digest) = (self.app.clone(), self.tenant.clone(), self.digest);
        let task = async move {
            if let Err(error) = app.ledger.unreserve(&tenant, &digest).await {
                tracing::warn!(%error, "an idempotency key stays in use until its time is over");
            }
        };
        self.app.tasks.spawn_on(task, &runtime);
    }
}

/// Digest of everything that a request for a job asks for; `song` as the request names it.
pub(crate) fn asked(song: &str, options: &Options, callback: Option<&Callback>) -> String {
    let callback = callback.map_or("", |callback| callback.url.as_str());
    hex(format!("asked 1\n{song}\n{}\n{callback}", options.canonical()), 32)
}

/// Whether a repeated request is the same.
pub(crate) fn same(answer: &Answer, asked: &str) -> Result<(), Problem> {
    if answer.asked == asked {
        Ok(())
    } else {
        Err(Problem::plain(Code::OtherParameters).param("Idempotency-Key"))
    }
}
