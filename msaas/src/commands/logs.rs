//! `msaas logs`: the lines that all parts of a service write.

use anyhow::{Context, Result};
use common::queue::redis::{LogLines, Settings};

use crate::cli::LogsArgs;
use crate::terminal;

/// Runs the command.
pub(crate) fn run(args: &LogsArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start a thread")?.block_on(print(args))
}

async fn print(args: &LogsArgs) -> Result<()> {
    let url = args.queue.url().unwrap_or_else(|| format!("redis://localhost:{}/0", args.queue.redis_port));
    let mut lines = LogLines::open(&Settings { url, ..Settings::default() }).await?;
    loop {
        let line = if args.follow { lines.wait().await? } else { lines.take().await? };
        match line {
            Some(line) => terminal::print(&line)?,
            None if args.follow => {}
            None => return Ok(()),
        }
    }
}
