//! NVIDIA's cards: memory, streams and launches of our own kernels.
//!
//! The kernels are in `demucs/cuda`, [`arguments`] says what they are given. A [`Card`] is one in this machine (feature
//! `cuda`), or the same kernels on the CPU, thread by thread (feature `emulation`). Unsafe code is in this folder
//! because kernels read and write addresses: whoever makes a [`Sequence`] answers for those in it.
//!
//! [`Compiled`] is the whole network: a `Compiler` takes the checkpoint's tensors to the card, in the order in which a product
//! reads them, while it writes down the steps that use them; the steps become the launches of a sequence for each size of batch.
#![expect(unsafe_code, reason = "kernels are given addresses, and drivers are written in C")]

pub mod arguments;
#[doc(hidden)]
pub mod bench;
mod card;
#[cfg(feature = "cuda")]
mod compiled;
mod compiler;
mod driver;
#[cfg(feature = "emulation")]
mod emulation;
mod form;
mod matrix;
mod memory;
mod network;
#[cfg(feature = "emulation")]
#[cfg(test)]
mod network_tests;
#[cfg(feature = "emulation")]
#[cfg(test)]
mod norm_tests;
#[cfg(feature = "cuda")]
mod nvidia;
mod on_card;
#[cfg(feature = "emulation")]
#[cfg(test)]
mod product_tests;
#[cfg(feature = "emulation")]
mod queues;
mod sequence;
mod shape;
#[cfg(feature = "emulation")]
#[cfg(test)]
mod song_tests;
mod spectrum;
mod step;
mod stream;
#[cfg(all(test, feature = "emulation"))]
mod tests;
mod transformer;
mod unet;
mod workspace;

pub use arguments::Arguments;
pub use card::{Card, Properties};
pub use memory::{Memory, Pinned, Value};
pub use network::{Compiled, Precision};
pub use on_card::OnCard;
pub use sequence::{Launch, Sequence};
pub use stream::{Copying, Event, Stream};
pub use workspace::SLOTS;
