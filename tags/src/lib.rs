//! What a music file is and what it says about itself, found out without decoding it.
//!
//! ```
//! use std::io::Cursor;
//! use tags::{Container, Error, Tags, sniff};
//!
//! # fn main() -> tags::Result<()> {
//! let mut wav = Cursor::new(b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x44\xac\0\0\x88\x58\x01\0\x02\0\x10\0data\0\0\0\0".to_vec());
//! assert_eq!(sniff(&mut wav)?.container, Container::Wav);
//!
//! let tags = Tags { title: Some("Vocals".into()), ..Tags::default() };
//! tags::write(&mut wav, &tags)?;
//! assert_eq!(tags::read(&mut wav), tags);
//!
//! assert!(matches!(sniff(&mut Cursor::new("just text")), Err(Error::Unknown)));
//! # Ok(())
//! # }
//! ```
//!
//! Every file is taken for hostile: reads are bounded by the file and by constants, names and extensions
//! play no part, and broken tags are empty tags.
#![warn(missing_docs)]

mod container;
mod error;
mod flac;
pub mod frame;
mod id3;
mod length;
mod riff;
mod skip;
mod sniff;
mod tags;
mod text;
mod wav;
mod write;

pub use container::Container;
pub use error::{Error, Result};
pub use length::length_ms;
pub use sniff::{Sniffed, sniff, sniff_path};
pub use tags::{Cover, Tags, read, read_path};
pub use write::{CoverFate, Written, write};
