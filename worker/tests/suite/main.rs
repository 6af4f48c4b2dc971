//! Workers with a real store and queue, and a small network with seeded weights.
#![expect(clippy::unwrap_used, reason = "what fails to be set up is a failed test")]

mod bench;
mod card;
mod chaos;
mod cluster;
mod crash;
mod decoder;
mod derive;
mod ends;
mod engines;
mod identity;
mod outage;
mod processes;
mod reference;
mod scale_in;
mod together;
mod traces;
