//! First answers to idempotency keys, durable before they are given.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ledger, Result, now_ms};
use crate::ids::Tenant;
use crate::keys::ObjectKey;
use crate::storage::{Write, Written};

/// A first answer, to be given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Digest of everything that was asked for.
    pub asked: String,
    /// Status of the answer.
    pub status: u16,
    /// Where the job is.
    pub location: String,
    /// The answer's body.
    pub body: String,
}

/// What is known of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// Nothing: it is the caller's now, until it says the answer or gives it back.
    Yours,
    /// Another request works on it.
    InFlight,
    /// It was answered.
    Answered(Answer),
}

/// As it lies in the store.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    v: u32,
    since_ms: u64,
    answer: Option<Answer>,
}

/// A request that has no answer and does not say [`Ledger::still_in_flight`] holds its key no longer than this: its
/// server is gone.
pub const IN_FLIGHT: Duration = Duration::from_mins(1);

impl Ledger {
    /// Takes an idempotency key, or tells what became of it. Two that find a key left over by a dead server may
    /// both get it; the identity of the work then still makes one job of both.
    pub async fn reserve(&self, tenant: &Tenant, digest: &[u8; 32]) -> Result<Reserved> {
        let key = ObjectKey::idempotency(tenant, digest);
        loop {
            let entry = Entry { v: 1, since_ms: now_ms(), answer: None };
            if self.write(&key, &entry, Write::Once).await? == Written::Stored {
                return Ok(Reserved::Yours);
            }
            let Some(entry) = self.read::<Entry>(&key).await? else { continue };
            let age_ms = now_ms().saturating_sub(entry.since_ms);
            match entry.answer {
                Some(answer) if age_ms <= self.keep.answers.as_millis() as u64 => {
                    return Ok(Reserved::Answered(answer));
                }
                None if age_ms <= IN_FLIGHT.as_millis() as u64 => return Ok(Reserved::InFlight),
                _ => self.store.delete(&key).await?,
            }
        }
    }

    /// The request that was given a key goes on.
    pub async fn still_in_flight(&self, tenant: &Tenant, digest: &[u8; 32]) -> Result<()> {
        let entry = Entry { v: 1, since_ms: now_ms(), answer: None };
        self.write(&ObjectKey::idempotency(tenant, digest), &entry, Write::Replace).await?;
        Ok(())
    }

    /// Writes down the answer to a key that [`Ledger::reserve`] gave.
    pub async fn answered(&self, tenant: &Tenant, digest: &[u8; 32], answer: Answer) -> Result<()> {
        let entry = Entry { v: 1, since_ms: now_ms(), answer: Some(answer) };
        self.write(&ObjectKey::idempotency(tenant, digest), &entry, Write::Replace).await?;
        Ok(())
    }

    /// Gives a key back: the request failed and may be made again.
    pub async fn unreserve(&self, tenant: &Tenant, digest: &[u8; 32]) -> Result<()> {
        Ok(self.store.delete(&ObjectKey::idempotency(tenant, digest)).await?)
    }
}
