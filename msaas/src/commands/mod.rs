//! The subcommands.

pub(crate) mod compare;
pub(crate) mod fetch;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod manage;
pub(crate) mod menu;
pub(crate) mod mix;
pub(crate) mod models;
pub(crate) mod separate;
pub(crate) mod serve;
pub(crate) mod submit;
pub(crate) mod watch;
