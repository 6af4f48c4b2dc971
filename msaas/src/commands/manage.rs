//! `msaas cancel`, `msaas delete` and `msaas reset`.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, Result, ensure};

use crate::cli::{JobArgs, ResetArgs};
use crate::client::{Server, word};
use crate::terminal;

/// Runs `msaas cancel`.
pub(crate) fn cancel(args: &JobArgs) -> Result<()> {
    let id = &args.job;
    let job = Server::open(&args.server)?.cancel(id).with_context(|| format!("job {id}"))?;
    terminal::print(&format!("{id} {}", word(job.state)))
}

/// Runs `msaas delete`.
pub(crate) fn delete(args: &JobArgs) -> Result<()> {
    let id = &args.job;
    Server::open(&args.server)?.delete(id).with_context(|| format!("job {id}"))?;
    terminal::print(&format!("{id} deleted"))
}

/// Runs `msaas reset`.
pub(crate) fn reset(args: &ResetArgs) -> Result<()> {
    let server = Server::open(&args.server)?;
    if !args.yes {
        let (input, output) = (std::io::stdin(), std::io::stderr());
        ensure!(
            input.is_terminal() && output.is_terminal(),
            "reset removes all songs and stems of {}: say --yes",
            server.name()
        );
        if !agrees(&server, &mut input.lock(), &mut output.lock())? {
            terminal::complain("nothing was removed");
            return Ok(());
        }
    }
    server.reset()?;
    terminal::print(&format!("{} is empty", server.name()))
}

/// Asks whether everything shall go.
pub(crate) fn agrees(server: &Server, input: &mut dyn BufRead, output: &mut dyn Write) -> Result<bool> {
    write!(output, "Remove all songs and stems of {}, and stop all its work? [y/N] ", server.name())?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
