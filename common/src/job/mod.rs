//! Jobs as clients, workers and the ledger see them: what is asked for, what is kept, what is shown.

mod manifest;
mod music;
mod options;
mod record;
mod unit;
mod view;

pub use manifest::{Commit, Ending, Make, Manifest, ResultFile};
pub use music::Music;
pub use options::{ClipMode, Format, InvalidOptions, MOST_MIXES, MP3_RATES_KBPS, Mix, Options};
pub use record::{Callback, Record, Title, Verbatim};
pub use unit::Unit;
pub use view::{JobError, Progress, Stem, View};
