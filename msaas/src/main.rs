//! `msaas`: music source separation for people, from the command line.

mod cli;
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

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    worker::decoder::if_asked().unwrap_or_else(obey)
}

fn obey() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Separate(args) => commands::separate::run(&args),
        Command::Models(args) => commands::models::run(args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Serve(args) => commands::serve::run(*args),
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
