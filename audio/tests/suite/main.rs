//! The crate from outside: files of real encoders in, samples compared with ffmpeg and with the original.

mod alignment;
mod encoding;
mod hostile;
mod lengths;
mod mutation;
mod resampling;
mod support;
mod tagging;
