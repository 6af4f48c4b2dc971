//! `msaas`: music source separation for people, from the command line.

mod cli;
mod client;
mod commands;
mod folders;
mod format;
mod job;
mod layout;
mod recipe;
mod report;
mod songs;
mod source;
mod stop;
mod template;
mod terminal;
mod wish;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use common::process;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    worker::decoder::if_asked().unwrap_or_else(obey)
}

fn obey() -> ExitCode {
    let bare = is_bare().then(|| process::settings(["msaas", "menu"]));
    let cli = bare.unwrap_or_else(|| process::settings(std::env::args_os()));
    let cli: Cli = cli.unwrap_or_else(|error| error.exit());
    let done = match cli.command {
        Command::Separate(args) => commands::separate::run(&args),
        Command::Models(args) => commands::models::run(args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Serve(args) => commands::serve::run(*args),
        Command::Submit(args) => commands::submit::run(&args),
        Command::Watch(args) => commands::watch::run(&args),
        Command::Songs(args) => commands::list::songs(&args),
        Command::Jobs(args) => commands::list::jobs(&args),
        Command::Fetch(args) => commands::fetch::run(&args),
        Command::Mix(args) => commands::mix::run(&args),
        Command::Cancel(args) => commands::manage::cancel(&args),
        Command::Delete(args) => commands::manage::delete(&args),
        Command::Reset(args) => commands::manage::reset(&args),
        Command::Logs(args) => commands::logs::run(&args),
        Command::Menu(args) => commands::menu::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if terminal::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&format!("msaas: {}", terminal::sentence(&error)));
            if stop::requested() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

/// Whether a person started the program without a word, and can answer: elsewhere that is wrong usage.
fn is_bare() -> bool {
    std::env::args_os().len() == 1 && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}
