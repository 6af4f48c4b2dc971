//! From a song's bytes to the files of its stems: where `audio`, `tags` and `demucs` meet.
//!
//! ```
//! use audio::{DecodeLimits, Encoder, Format, WavDepth};
//! use demucs::seeded::{checkpoint, signal, small_kwargs};
//! use demucs::{Bag, Compute, Separator, Settings, Shifts, Stem};
//! use separation::{ClipMode, Engine, Plan, Reading, Song, Stop, Target, Wanted};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An eighth of a second of sound as a WAV file in memory, and a network of random weights.
//! let mut wav = std::io::Cursor::new(Vec::new());
//! let mut encoder = Format::Wav(WavDepth::Float32).encoder(&mut wav, 8000, 2)?;
//! encoder.write(&signal(1000))?;
//! encoder.finish()?;
//! let network = checkpoint(small_kwargs(&["drums", "bass", "other", "vocals"]), 1)?;
//! let bag = Bag::new(vec![network], None, &Compute::cpu())?;
//! let engine = Engine::start(Separator::new(bag, Settings::default())?)?;
//!
//! let stop = Stop::default();
//! let reading = Reading { rate: engine.rate(), ..Reading::default() };
//! let song = Song::read(Box::new(wav), &reading, &stop)?;
//! let wanted = |stem| Wanted { stem, target: Target::Unnamed, tags: tags::Tags::default(), kept: false };
//! let plan = Plan {
//!     results: Stem::all(engine.sources()).into_iter().map(wanted).collect(),
//!     shifts: Shifts::Off,
//!     overlap: 0.25,
//!     chunk_s: None,
//!     format: Format::Wav(WavDepth::Bits24),
//!     rate: song.rate(),
//!     clip: ClipMode::Common,
//!     temp_dir: None,
//!     threads: 0,
//!     pulse: separation::Pulse::default(),
//! };
//! let stems = separation::separate(&engine, song, &plan, &stop, &mut |_| ())?;
//! assert_eq!((stems.len(), stems[3].frames()), (4, 1000));
//! # Ok(())
//! # }
//! ```
//!
//! This room knows no command line, no queue and no terminal: who wants to watch gives a closure, who
//! may want to stop keeps a [`Stop`].
#![warn(missing_docs)]

mod clip;
mod derive;
mod desk;
mod engine;
mod error;
mod output;
mod pulse;
mod separate;
mod song;
mod space;
mod stop;

pub use clip::{ClipMode, HEADROOM};
pub use derive::{Sources, derive};
pub use engine::{Engine, Event, Events, Load};
pub use error::{Error, Result};
pub use output::{Sealed, Target};
pub use pulse::Pulse;
pub use separate::{Plan, Wanted, file_rate, merge, separate, span};
pub use song::{Decoded, Reading, Song, decode_into, hash};
pub use stop::Stop;
