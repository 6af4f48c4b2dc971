//! Songs are decoded in a process of their own: whatever their bytes do to a decoder, the worker lives.
//!
//! The child is this same program. It reads the song from its standard input, writes samples to its standard output,
//! both of them files without a name, and its last word, one line of JSON, to its standard error.

mod child;
mod parent;

use serde::{Deserialize, Serialize};

pub use child::if_asked;
pub(crate) use parent::decode;

/// The first argument of the child.
const COMMAND: &str = "decode-song";

/// What the child is asked for, as its second argument.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Order {
    /// Longest song in seconds.
    max_seconds: f64,
    /// Rate of the samples that are wanted, in Hz.
    rate: u32,
}

/// The last word of the child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// All samples are written.
    Decoded { rate: u32, frames: usize, damaged: usize },
    /// The song is at fault; a sentence for its owner.
    Refused(String),
    /// Something else is; a sentence for the operator.
    Broken(String),
}
