//! Music source separation with Demucs: samples in, stems out.
//!
//! This crate is mathematics only. It reads no files, opens no connections, looks at no clock
//! and no environment: a [`Mixture`] brings the samples, a [`StemSink`] takes the stems, an
//! [`Observer`] hears of every segment and may stop there.
//!
//! ```
//! use demucs::seeded::{checkpoint, signal, small_kwargs};
//! use demucs::{Bag, Compute, Request, Samples, Separator, Settings, Stem};
//!
//! # fn main() -> demucs::Result<()> {
//! // A network of random weights; the real ones come from `weights::Checkpoint::from_bytes`.
//! let network = checkpoint(small_kwargs(&["drums", "bass", "other", "vocals"]), 1)?;
//! let separator = Separator::new(Bag::new(vec![network], None, &Compute::cpu())?, Settings::default())?;
//! let request = Request::new(Stem::all(separator.bag().sources()));
//!
//! let mut song = Samples { channels: signal(1000) };
//! let mut stems = Vec::new();
//! separator.separate(&mut song, &request, &mut stems, &mut ())?;
//! assert_eq!((stems.len(), stems[3][0].len()), (4, 1000));
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

pub mod bag;
pub mod batches;
pub mod block;
pub mod compute;
#[cfg(any(feature = "cuda", feature = "emulation"))]
pub mod cuda;
pub mod devices;
pub mod error;
pub mod kernels;
mod mix;
pub mod mixture;
pub mod model;
pub mod network;
pub mod overlap;
mod pass;
pub mod progress;
pub mod seeded;
pub mod segment;
pub mod separator;
pub mod shift;
pub mod span;
pub mod spectrogram;
pub mod stem;
mod tensors;
pub mod weights;
pub mod work;

pub use bag::Bag;
pub use batches::{Batches, Computed};
pub use block::Block;
pub use candle_core::{Device as TensorDevice, Tensor};
pub use compute::{Compute, Device};
pub use devices::Devices;
pub use error::{BoxError, Error, Result};
pub use kernels::Kernels;
pub use mixture::{Loudness, Mixture, Samples};
pub use network::Network;
pub use progress::{Observer, Progress};
pub use separator::{Request, Separator, Settings};
pub use shift::Shifts;
pub use span::{Joint, Span, SpanSums};
pub use stem::{Rest, Stem, StemSink};
pub use work::Work;
