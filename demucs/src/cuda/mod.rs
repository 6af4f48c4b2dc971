//! NVIDIA's cards: memory, streams and launches of our own kernels.
//!
//! The kernels are in `demucs/cuda`, [`arguments`] says what they are given. A [`Card`] is one in this machine (feature
//! `cuda`), or the same kernels on the CPU, thread by thread (feature `emulation`). Unsafe code is in this folder
//! because kernels read and write addresses: whoever makes a [`Sequence`] answers for those in it.
#![expect(unsafe_code, reason = "kernels are given addresses, and drivers are written in C")]

pub mod arguments;
mod card;
mod driver;
#[cfg(feature = "emulation")]
mod emulation;
mod memory;
#[cfg(feature = "cuda")]
mod nvidia;
mod sequence;
mod stream;
#[cfg(all(test, feature = "emulation"))]
mod tests;

pub use arguments::Arguments;
pub use card::{Card, Properties};
pub use memory::{Memory, Pinned, Value};
pub use sequence::{Launch, Sequence};
pub use stream::{Copying, Event, Stream};
