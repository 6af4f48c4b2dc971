//! How loud, how alike and how well aligned signals are.

mod comparison;
mod difference;
mod lag;
mod level;
mod waveform;

pub use comparison::Comparison;
pub use difference::{Difference, sdr_db};
pub use lag::{Lag, lag};
pub use level::{Level, peak, rms};
pub use waveform::Waveform;
