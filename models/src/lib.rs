//! Where the weights of the models live, and where they come from.
//!
//! A [`ModelStore`] is a folder. It fetches a model once, from the first source that has it, checks what it got
//! against pinned checksums, and keeps it as safetensors. Everything is synchronous and made for one caller at a
//! time; several processes may share the folder, and download once between them.
//!
//! ```no_run
//! use models::{FetchEvent, ModelStore, StoreConfig, default_dir};
//!
//! let store = ModelStore::open(StoreConfig::new(default_dir()))?;
//! store.ensure("htdemucs", &mut |event: FetchEvent| eprintln!("{event}"))?;
//! let bag = store.load("htdemucs", Some(&["vocals"]))?;
//! println!("{} network(s), stems {:?}", bag.members.len(), bag.sources);
//! # Ok::<(), models::ModelsError>(())
//! ```
#![warn(missing_docs)]

mod config;
mod download;
mod error;
mod event;
mod import;
mod install;
mod local;
mod lock;
mod manifest;
mod npm;
mod origin;
mod store;

pub use config::{Hosts, Limits, StoreConfig, default_dir};
pub use demucs::weights::{ModelSpec, WEIGHTS_LICENCE};
pub use error::ModelsError;
pub use event::{FetchEvent, Origin};
pub use install::InstalledMember;
pub use store::{Installed, LoadedBag, ModelState, ModelStatus, ModelStore};
