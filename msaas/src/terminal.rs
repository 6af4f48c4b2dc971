//! What people see: results on standard output, everything else on standard error.

use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Writes one line of results.
pub(crate) fn print(line: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}

/// Writes one line for people, whatever becomes of it.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// An error and its causes as one sentence, no part of it twice.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// Whether the reader of our output went away, which is its right.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}

/// A bar on a terminal; elsewhere a line for every tenth part.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    lines: Option<Lines>,
}

#[derive(Debug)]
struct Lines {
    what: String,
    told: u64,
}

impl Bar {
    /// A bar over `total` steps, silent where `quiet`.
    pub(crate) fn new(what: &str, total: u64, quiet: bool, style: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target =
            if quiet || !terminal { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what.to_owned());
        if terminal {
            bar.enable_steady_tick(Duration::from_millis(500));
        }
        let lines = (!quiet && !terminal).then(|| Lines { what: what.to_owned(), told: 0 });
        Self { bar, lines }
    }

    /// Moves to `position` of `total`; `note` says how it goes.
    pub(crate) fn go(&mut self, position: u64, total: u64, note: &str) {
        self.bar.set_length(total);
        self.bar.set_position(position);
        self.bar.set_message(note.to_owned());
        if let Some(lines) = &mut self.lines {
            let tenth = (position * 10).checked_div(total).unwrap_or(0);
            if tenth > lines.told {
                lines.told = tenth;
                complain(&format!("{}: {} % {note}", lines.what, tenth * 10));
            }
        }
    }

    /// Writes a line for people above the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| complain(line));
    }
}

/// How fast something is done, for people.
pub(crate) fn pace(segments_done: usize, segments_total: usize, speed: f64, eta_s: Option<f64>) -> String {
    let left = eta_s.unwrap_or(0.0);
    format!("segment {segments_done}/{segments_total}, {speed:.2} x real time, {left:.0} s left")
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
