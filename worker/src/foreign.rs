//! Entries that somebody pushed onto the entrance list by hand, or that an old client left there.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::job::{Callback, Options, Title, Verbatim};
use common::keys::ObjectKey;
use common::ledger::{LedgerError, NewWork};
use common::queue::Room;
use common::{ModelName, SongHash, Tenant};

use crate::task::Tools;

/// What such an entry says.
#[derive(Debug, PartialEq)]
struct Entry {
    song: SongHash,
    /// The usual one where there is none.
    model: Option<ModelName>,
    callback: Option<Callback>,
}

/// Bytes of an MP3 of 320 kbit/s for each millisecond: for estimates.
const BYTES_PER_MS: u64 = 40;

/// Lets in every entry whose song is there; one whose song is missing comes again later, none is dropped.
pub(crate) async fn let_in(tools: &Arc<Tools>) -> Result<(), LedgerError> {
    let ledger = &tools.ledger;
    while let Some(text) = ledger.queue().next_foreign().await? {
        let Some(entry) = Entry::read(&text) else {
            let start: String = text.chars().take(200).collect();
            tracing::warn!(bytes = text.len(), start, "an entry pushed by hand is no job");
            ledger.queue().settle_foreign(&text).await?;
            continue;
        };
        let tenant = Tenant::default_tenant();
        let Some(meta) = ledger.store().head(&ObjectKey::song(&tenant, &entry.song)).await? else {
            tracing::warn!(song = %entry.song, "the song of an entry pushed by hand is not in the store");
            continue;
        };
        let model = entry.model.unwrap_or_else(|| tools.settings.model.clone());
        let work = NewWork {
            tenant,
            song: entry.song,
            options: Options { model, ..Options::default() },
            title: Title::default(),
            size_bytes: meta.size_bytes,
            cost_ms: meta.size_bytes / BYTES_PER_MS,
            callback: entry.callback,
            request_id: "entrance".to_owned(),
        };
        let everyone = Room { jobs: u64::MAX, jobs_of_tenant: u64::MAX };
        match ledger.accept(&work, everyone).await? {
            Ok(accepted) => {
                tracing::info!(job.id = %accepted.record.id, song = %entry.song, "let in an entry pushed by hand");
                if accepted.deduplicated {
                    ledger.republish(&accepted.record).await?;
                    if accepted.record.callback == work.callback {
                        ledger.tell_again(&accepted.record).await?;
                    }
                }
                ledger.queue().settle_foreign(&text).await?;
            }
            Err(refused) => tracing::warn!(?refused, "an entry pushed by hand has to wait"),
        }
    }
    Ok(())
}

impl Entry {
    /// Only the song has to be there: old clients send members of all kinds beside it.
    fn read(text: &str) -> Option<Self> {
        let entry = members(text)?;
        let song = ["songhash", "hash"].iter().find_map(|name| word(&entry, name)?.trim().parse().ok())?;
        let model = match word(&entry, "model").unwrap_or_default().trim() {
            "" => None,
            name => Some(name.to_ascii_lowercase().parse().ok()?),
        };
        let callback = entry.get("callback").filter(|callback| **callback != Verbatim::default());
        let usable = callback.and_then(|callback| {
            let callback = members(callback.as_str())?;
            let data = callback.get("data").cloned().unwrap_or_default();
            Some(Callback { url: word(&callback, "url")?, data: Some(data) })
        });
        if callback.is_some() && usable.is_none() {
            tracing::info!(%song, "a callback is skipped: it has no address");
        }
        Some(Self { song, model, callback: usable })
    }
}

/// The members of an object, each as it is written.
fn members(text: &str) -> Option<BTreeMap<String, Verbatim>> {
    serde_json::from_str(text).ok()
}

/// A member that is a text.
fn word(members: &BTreeMap<String, Verbatim>, name: &str) -> Option<String> {
    serde_json::from_str(members.get(name)?.as_str()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_needs_a_song_and_takes_whatever_stands_beside_it() {
        let hash = "ab".repeat(32);
        let read = |members: &str| Entry::read(&members.replace("\"H\"", &format!("\"{hash}\"")));
        let song = || hash.parse().unwrap_or_else(|_| unreachable!());
        let plain = Entry { song: song(), model: None, callback: None };
        for members in [
            r#"{"hash":"H"}"#,
            r#"{"songhash":"H","hash":"H"}"#,
            r#"{"hash":"H","model":""}"#,
            r#"{"hash":"H","model":null,"callback":null,"further":[1]}"#,
            r#"{"hash":"H","callback":{"data":1}}"#,
            r#"{"hash":"H","callback":"http://localhost/"}"#,
        ] {
            assert_eq!(read(members).as_ref(), Some(&plain), "{members}");
        }
        let named =
            read(r#"{"hash":"H","model":" HTDemucs_ft ","callback":{"url":"http://a/","data":{"b": 1.10}}}"#);
        let data = serde_json::from_str(r#"{"b": 1.10}"#).ok();
        let callback = Callback { url: "http://a/".to_owned(), data };
        let model = "htdemucs_ft".parse().ok();
        assert_eq!(named, Some(Entry { song: song(), model, callback: Some(callback) }));
        for members in ["no job", "[]", r#"{"hash":"no hash"}"#, r#"{"hash":"H","model":"../x"}"#] {
            assert_eq!(read(members), None, "{members}");
        }
    }
}
