//! Entries that somebody pushed onto the entrance list by hand, or that an old client left there.

use std::sync::Arc;

use common::job::{Callback, Options, Title};
use common::keys::ObjectKey;
use common::ledger::{LedgerError, NewWork};
use common::queue::Room;
use common::{ModelName, SongHash, Tenant};
use serde::Deserialize;

use crate::task::Tools;

/// What such an entry says.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(alias = "hash")]
    songhash: SongHash,
    #[serde(default)]
    model: Option<ModelName>,
    #[serde(default)]
    callback: Option<EntryCallback>,
}

#[derive(Debug, Deserialize)]
struct EntryCallback {
    url: String,
    #[serde(default)]
    data: serde_json::Value,
}

/// Bytes of an MP3 of 320 kbit/s for each millisecond: for estimates.
const BYTES_PER_MS: u64 = 40;

/// Lets in every entry whose song is there; one whose song is missing comes again later, none is dropped.
pub(crate) async fn let_in(tools: &Arc<Tools>) -> Result<(), LedgerError> {
    while let Some(text) = tools.ledger.queue().next_foreign().await? {
        let Ok(entry) = serde_json::from_str::<Entry>(&text) else {
            tracing::warn!(bytes = text.len(), "an entry pushed by hand is no job");
            tools.ledger.queue().settle_foreign(&text).await?;
            continue;
        };
        let tenant = Tenant::default_tenant();
        let Some(meta) = tools.ledger.store().head(&ObjectKey::song(&tenant, &entry.songhash)).await? else {
            tracing::warn!(song = %entry.songhash, "the song of an entry pushed by hand is not in the store");
            continue;
        };
        let model = entry.model.unwrap_or_else(ModelName::htdemucs);
        let work = NewWork {
            tenant,
            song: entry.songhash,
            options: Options { model, ..Options::default() },
            title: Title::default(),
            size_bytes: meta.size_bytes,
            cost_ms: meta.size_bytes / BYTES_PER_MS,
            callback: entry
                .callback
                .map(|callback| Callback { url: callback.url, data: Some(callback.data) }),
            request_id: "entrance".to_owned(),
        };
        let everyone = Room { jobs: u64::MAX, jobs_of_tenant: u64::MAX };
        match tools.ledger.accept(&work, everyone).await? {
            Ok(accepted) => {
                tracing::info!(job.id = %accepted.record.id, song = %entry.songhash, "let in an entry pushed by hand");
                tools.ledger.queue().settle_foreign(&text).await?;
            }
            Err(refused) => tracing::warn!(?refused, "an entry pushed by hand has to wait"),
        }
    }
    Ok(())
}
