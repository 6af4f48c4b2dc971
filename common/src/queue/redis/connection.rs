//! Connections to the server, and what is done on them.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use ::redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisError, Script, ScriptInvocation,
    ServerErrorKind,
};

use super::RedisQueue;
use crate::queue::{QueueError, Result};

/// A script takes milliseconds; a server that does not answer in this time is as good as gone.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Longest sleep at the doorbell. Entries that are pushed by hand ring no bell, and are to be seen within a second.
const SLEEP: Duration = Duration::from_millis(500);
/// Keys that are looked at, and deleted, at once while an earlier epoch is swept away.
const SWEPT_AT_ONCE: usize = 500;

impl From<RedisError> for QueueError {
    fn from(error: RedisError) -> Self {
        let strange = match error.kind() {
            ErrorKind::Parse
            | ErrorKind::UnexpectedReturnType
            | ErrorKind::Server(ServerErrorKind::ResponseError) => true,
            ErrorKind::Extension => matches!(error.code(), Some("VERSION" | "WRONGTYPE")),
            // Connections, loading, replicas, rights, memory: other configuration or another moment mends them.
            _ => false,
        };
        if strange { Self::Strange(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}

pub(super) fn connect_on_demand(client: &Client) -> Result<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(ANSWER_WITHIN))
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_number_of_retries(3)
        .set_min_delay(Duration::from_millis(50))
        .set_max_delay(Duration::from_secs(1));
    Ok(ConnectionManager::new_lazy_with_config(client.clone(), config)?)
}

/// Connections for commands that block, each used by one caller at a time.
#[derive(Default)]
pub(super) struct Sleepers(Mutex<Vec<MultiplexedConnection>>);

impl std::fmt::Debug for Sleepers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sleepers")
    }
}

impl Sleepers {
    /// Sleeps until the bell rings, the time is over or half a second has passed; gives whether it rang. What the
    /// bell's list holds has no meaning.
    pub(super) async fn sleep(&self, client: &Client, bell: &str, timeout: Duration) -> Result<bool> {
        let rested = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = if let Some(connection) = rested {
            connection
        } else {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT_WITHIN))
                .set_response_timeout(Some(SLEEP + ANSWER_WITHIN));
            client.get_multiplexed_async_connection_with_config(&config).await?
        };
        // 0 would be for ever.
        let seconds = timeout.clamp(Duration::from_millis(1), SLEEP).as_secs_f64();
        let mut command = ::redis::cmd("BLPOP");
        command.arg(bell).arg(seconds);
        let rung: Option<(String, String)> = command.query_async(&mut connection).await?;
        // One that failed, or whose caller went away, is not used again.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(rung.is_some())
    }
}

impl RedisQueue {
    /// Runs a script with its own arguments after those that all scripts have.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        script: &Script,
        arguments: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> Result<T> {
        let now_ms = self.clock.shown_ms().map(|now| now.to_string()).unwrap_or_default();
        let mut call = script.prepare_invoke();
        call.arg(&self.settings.prefix).arg(&self.settings.entrance).arg(now_ms);
        let rules = &self.rules;
        call.arg(rules.lease.as_millis() as u64).arg(rules.max_attempts);
        for duration in [rules.retry_base, rules.retry_cap, rules.orphaned_after, rules.remember] {
            call.arg(duration.as_millis() as u64);
        }
        arguments(&mut call);
        Ok(call.invoke_async(&mut self.commands.clone()).await?)
    }

    /// Deletes earlier epochs behind the scenes, unless that is being done already.
    pub(super) fn sweep_behind(&self) {
        if self.sweeping.swap(true, Ordering::SeqCst) {
            return;
        }
        let (commands, prefix, sweeping) =
            (self.commands.clone(), self.settings.prefix.clone(), self.sweeping.clone());
        tokio::spawn(async move {
            if let Err(error) = sweep(commands, &prefix).await {
                tracing::warn!(%error, "an earlier epoch is not swept away yet; the next reaping tries again");
            }
            sweeping.store(false, Ordering::SeqCst);
        });
    }
}

async fn sweep(mut commands: ConnectionManager, prefix: &str) -> Result<()> {
    let old_epochs = format!("{prefix}old");
    loop {
        let old: Option<u32> =
            ::redis::cmd("SRANDMEMBER").arg(&old_epochs).query_async(&mut commands).await?;
        let Some(old) = old else { return Ok(()) };
        let now: Option<u32> =
            ::redis::cmd("GET").arg(format!("{prefix}epoch")).query_async(&mut commands).await?;
        if now.is_some_and(|now| old < now) {
            delete_matching(&mut commands, &format!("{}{old}:*", literal(prefix))).await?;
        }
        ::redis::cmd("SREM").arg(&old_epochs).arg(old).query_async::<()>(&mut commands).await?;
    }
}

async fn delete_matching(commands: &mut ConnectionManager, pattern: &str) -> Result<()> {
    let mut cursor: u64 = 0;
    loop {
        let mut scan = ::redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SWEPT_AT_ONCE);
        let (next, keys): (u64, Vec<String>) = scan.query_async(commands).await?;
        if !keys.is_empty() {
            ::redis::cmd("UNLINK").arg(keys).query_async::<()>(commands).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

/// A text as a pattern that matches nothing else.
fn literal(text: &str) -> String {
    let special = |c| matches!(c, '*' | '?' | '[' | ']' | '\\' | '^');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_matched_by_its_letters() {
        assert_eq!(literal("msaas:"), "msaas:");
        assert_eq!(literal("a*[b]"), r"a\*\[b\]");
    }
}
