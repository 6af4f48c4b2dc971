//! From a body to a song: bytes go to the store as they come, hashed and looked at on the way.

mod base64;
mod cost;
mod envelope;
mod fetch;
mod form;
mod head;
mod intake;
mod source;
mod sparse;

pub(crate) use self::envelope::Envelope;
pub(crate) use self::fetch::Fetcher;
pub(crate) use self::form::Form;
pub(crate) use self::intake::{Facts, Incoming, Intake, Received, read_back, receive};
pub(crate) use self::source::{JsonSource, RawSource, Source, broken, too_large};
