//! A store against hosts that fail in every way, with networks of 200 kB instead of 84 MB.

mod fetch;
mod host;
mod keep;
mod network;
