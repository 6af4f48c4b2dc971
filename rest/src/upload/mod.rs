//! From a body to a song: bytes go to the store as they come, hashed and looked at on the way.

mod base64;
mod cost;
mod envelope;
mod head;
mod intake;
mod source;
mod sparse;

pub(crate) use self::envelope::Envelope;
pub(crate) use self::intake::{Facts, Incoming, Intake, Received, read_back, receive};
pub(crate) use self::source::{JsonSource, PartSource, RawSource, Source, too_large};
