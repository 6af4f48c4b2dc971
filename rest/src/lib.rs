//! The interface, by HTTP and gRPC: takes songs in, queues jobs, serves results. It never decodes audio.
//!
//! [`app`] is everything but the sockets, [`serve`] brings them; listener and stop signal are arguments.
//!
//! ```no_run
//! use std::sync::Arc;
//! use clap::Parser as _;
//! use common::ledger::{Keep, Ledger};
//! use rest::callback::Callbacks;
//! use rest::outside::{Guard, Outside, System};
//! use rest::{App, Config, auth::Keys};
//!
//! # async fn run(store: Arc<dyn common::storage::Store>, queue: Arc<dyn common::queue::Queue>) -> std::io::Result<()> {
//! let stop = tokio_util::sync::CancellationToken::new();
//! let ledger = Ledger::new(store, queue, Keep::default());
//! let callbacks = Callbacks::new(Guard::default(), None, Outside::new(Arc::new(System)));
//! let app = App::new(ledger, Config::parse_from(["rest"]), Keys::default(), callbacks, stop.clone());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! rest::serve(listener, app, stop).await
//! # }
//! ```

mod asked;
pub mod auth;
pub mod background;
pub mod callback;
pub mod config;
mod digest;
mod envelope;
pub mod error;
mod follow;
mod grpc;
mod idempotency;
pub mod limits;
mod links;
pub mod models;
pub mod openapi;
pub mod outside;
mod pace;
mod pages;
mod range;
pub mod request;
mod routes;
mod run;
mod serve;
mod service;
pub mod state;
mod upload;

pub use self::config::Config;
pub use self::run::run;
pub use self::serve::serve;
pub use self::state::App;

/// Everything but the sockets.
pub fn app(state: &App) -> axum::Router {
    routes::router(state)
}
