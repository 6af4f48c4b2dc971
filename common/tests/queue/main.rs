//! The queues, held to one behaviour; the one in Redis against a real server, started here.
#![expect(clippy::unwrap_used, reason = "what fails to be set up is a failed test")]

mod agreement;
mod bench;
mod commands;
mod conformance;
mod keys;
mod mutants;
mod outages;
