//! The interface as clients meet it, over a queue and a store in memory, and what depends on them over real ones
//! too; with a worker that only pretends.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod apiv1;
mod auth;
mod callbacks;
mod document;
mod editor;
mod events;
mod examples;
mod files;
mod fuzz;
mod hostile;
mod idempotency;
mod jobs;
mod links;
mod operations;
mod pages;
mod place;
mod slow;
mod store;
mod support;
mod uploads;
