//! The other end of the list of log lines.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client};

use super::Settings;
use super::connection::{ANSWER_WITHIN, CONNECT_WITHIN};
use crate::queue::Result;

/// Takes log lines off the list, the oldest first. Of several readers each line goes to one.
#[derive(Debug)]
pub struct LogLines {
    connection: MultiplexedConnection,
    list: String,
}

impl LogLines {
    /// Longest time that one call of [`LogLines::wait`] waits.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(2);

    /// Connects to the server of these settings.
    ///
    /// # Errors
    /// [`QueueError`](crate::queue::QueueError), where it cannot be reached too.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(Self::LONGEST_WAIT + ANSWER_WITHIN));
        let client = Client::open(settings.url.as_str())?;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(Self { connection, list: settings.logging.clone() })
    }

    /// The next line, if there is one.
    ///
    /// # Errors
    /// [`QueueError`](crate::queue::QueueError).
    pub async fn take(&mut self) -> Result<Option<String>> {
        let line: Option<Vec<u8>> =
            ::redis::cmd("LPOP").arg(&self.list).query_async(&mut self.connection).await?;
        Ok(line.map(|line| text(&line)))
    }

    /// The next line, if there is one within [`LogLines::LONGEST_WAIT`].
    ///
    /// # Errors
    /// [`QueueError`](crate::queue::QueueError).
    pub async fn wait(&mut self) -> Result<Option<String>> {
        let mut command = ::redis::cmd("BLPOP");
        command.arg(&self.list).arg(Self::LONGEST_WAIT.as_secs());
        let popped: Option<(String, Vec<u8>)> = command.query_async(&mut self.connection).await?;
        Ok(popped.map(|(_, line)| text(&line)))
    }
}

/// Anyone may push anything.
fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}
