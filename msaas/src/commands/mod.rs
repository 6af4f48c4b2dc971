//! The subcommands.

pub(crate) mod compare;
pub(crate) mod models;
pub(crate) mod separate;
pub(crate) mod serve;
