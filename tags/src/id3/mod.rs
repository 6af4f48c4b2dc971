//! `ID3v2` tags, read and written without a library: the one at hand unpacks compressed frames without a limit.

mod decode;
mod encode;

pub(crate) use decode::{decode, decode_v1};
pub(crate) use encode::{encode, pad};
