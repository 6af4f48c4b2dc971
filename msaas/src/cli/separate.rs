//! The options of `msaas separate`. Those of the `demucs` command line have its names, or know them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::StoreArgs;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  msaas separate song.mp3
  msaas separate --two-stems vocals --flac song.wav
  msaas separate -n htdemucs_ft --stems drums,bass -o stems/ album/
  msaas separate --stems none --mix karaoke:vocals=0 --mix practice:drums=1.5,bass=0 song.mp3
  msaas separate --filename '{track} ({stem}).{ext}' song.mp3
  curl https://example.org/song.mp3 | msaas separate --stems vocals --format wav -o - - | play -

Results are at OUT/MODEL/TRACK/STEM.EXT. Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped.")]
pub(crate) struct SeparateArgs {
    /// Songs, or folders of songs: MP3, WAV, FLAC, Ogg Vorbis, AAC/M4A or AIFF; - is standard input.
    #[arg(required = true, value_name = "SONG")]
    pub(crate) songs: Vec<PathBuf>,
    /// Folder for the results, which has one for each network; - writes a single result to standard output.
    #[arg(short, long, default_value = "separated", env = "MSAAS_OUT", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Names of the files in the network's folder, of {track}, {trackext}, {stem} and {ext}.
    #[arg(long, default_value = "{track}/{stem}.{ext}", value_name = "TEMPLATE")]
    pub(crate) filename: String,
    #[command(flatten)]
    pub(crate) recipe: RecipeArgs,
    /// How everything else is made with --two-stems.
    #[arg(long, value_enum, default_value_t = OtherArg::Add)]
    pub(crate) other_method: OtherArg,
    /// Seconds that each segment contributes [default: all that the network takes, which is the most].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) segment: Option<f64>,
    /// Threads to compute and to encode with; 0 takes one for each core.
    #[arg(short, long, visible_alias = "threads", default_value_t = 0, env = "MSAAS_THREADS", value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub(crate) jobs: u16,
    /// Segments that pass through the network together; 0 takes what suits the device: one on the CPU, up to 16 on a card.
    #[arg(long, default_value_t = 0, env = "MSAAS_BATCH", value_parser = clap::value_parser!(u16).range(0..=256))]
    pub(crate) batch: u16,
    /// Where to compute: auto, cpu, cuda, cuda:N or metal.
    #[arg(short, long, default_value = "auto", env = "MSAAS_DEVICE")]
    pub(crate) device: String,
    /// How to compute: auto (the fastest), plain, amx, avx512, avx2, neon or portable on the CPU, half or single on CUDA.
    #[arg(long, default_value = "auto", env = "MSAAS_KERNELS")]
    pub(crate) kernels: String,
    /// Bytes of a card's memory that may be used, as in 8GiB [default: all that is free].
    #[arg(long, env = "MSAAS_DEVICE_MEMORY", value_name = "BYTES", value_parser = common::backends::size)]
    pub(crate) device_memory: Option<u64>,
    /// Refuse songs that are longer than this many seconds.
    #[arg(long, default_value_t = 7200.0, env = "MSAAS_MAX_SECONDS", value_name = "SECONDS")]
    pub(crate) max_seconds: f64,
    /// Audio track of a file that has several, from 0.
    #[arg(long, value_name = "N")]
    pub(crate) track: Option<usize>,
    /// Folder for temporary files [default: the system's].
    #[arg(long, env = "MSAAS_TEMP_DIR", value_name = "DIR")]
    pub(crate) temp_dir: Option<PathBuf>,
    /// Leave out songs whose results are all there already.
    #[arg(long)]
    pub(crate) skip_existing: bool,
    /// Write events to standard output, one JSON object a line, instead of the paths of the results.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors and results.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

impl SeparateArgs {
    /// The network.
    pub(crate) fn model(&self) -> &str {
        self.recipe.model.as_deref().unwrap_or("htdemucs")
    }
}

/// What is made of a song, here or by a server.
#[derive(Debug, Args)]
pub(crate) struct RecipeArgs {
    /// The network: see `msaas models list` [default: htdemucs; of a server, its usual one].
    #[arg(short = 'n', long, visible_alias = "name", env = "MSAAS_MODEL")]
    pub(crate) model: Option<String>,
    /// Write only these stems, separated by commas; none is for mixes alone [default: all of the network].
    #[arg(short, long, value_delimiter = ',', value_name = "STEM")]
    pub(crate) stems: Vec<String>,
    /// Write this stem and everything else, as `STEM` and `no_STEM`.
    #[arg(long, value_name = "STEM", conflicts_with = "stems")]
    pub(crate) two_stems: Option<String>,
    /// Write a mix too, beside the stems: a gain for each stem of it, 1 for those that are not named and 0 for
    /// `mixture`, the song itself, which a server does not mix. It is called NAME, or mix. May be given several times.
    #[arg(long = "mix", value_name = "[NAME:]STEM=GAIN,...")]
    pub(crate) mixes: Vec<String>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    /// What happens to samples above full scale.
    #[arg(long, visible_alias = "clip", value_enum, default_value_t = ClipArg::Common)]
    pub(crate) clip_mode: ClipArg,
    /// Average this many shifted passes (slower, a little better); 0 is one pass, not shifted.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=20))]
    pub(crate) shifts: u8,
    /// Fraction by which segments overlap; a server takes 0.9 at most.
    #[arg(long, default_value_t = 0.25, value_name = "0..0.99")]
    pub(crate) overlap: f64,
}

/// The files to write.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the `demucs` command line")]
pub(crate) struct FormatArgs {
    /// File format of the results [default: mp3].
    #[arg(short, long, value_enum)]
    pub(crate) format: Option<FormatArg>,
    /// The same as --format mp3.
    #[arg(long, conflicts_with_all = ["format", "flac"])]
    pub(crate) mp3: bool,
    /// The same as --format flac.
    #[arg(long, conflicts_with = "format")]
    pub(crate) flac: bool,
    /// Constant bit rate of MP3 files in kbit/s, 64 to 320 [default: 320].
    #[arg(long, visible_alias = "mp3-bitrate", value_name = "KBPS", conflicts_with = "vbr")]
    pub(crate) bitrate: Option<u16>,
    /// Variable bit rate of MP3 files, from 0 (best) to 9 (smallest).
    #[arg(long, value_name = "QUALITY", value_parser = clap::value_parser!(u8).range(0..=9))]
    pub(crate) vbr: Option<u8>,
    /// How MP3 is encoded, from 2 (best) to 7 (fastest) [default: 2].
    #[arg(long, value_name = "PRESET", value_parser = clap::value_parser!(u8).range(2..=7))]
    pub(crate) mp3_preset: Option<u8>,
    /// Bits of a sample: WAV 16, 24 or 32 (float), FLAC 16 or 24 [default: 24].
    #[arg(long, value_name = "BITS")]
    pub(crate) bits: Option<u8>,
    /// The same as --bits 24, of WAV files where no format is given.
    #[arg(long, conflicts_with_all = ["bits", "float32"])]
    pub(crate) int24: bool,
    /// The same as --bits 32, of WAV files where no format is given.
    #[arg(long, conflicts_with = "bits")]
    pub(crate) float32: bool,
    /// Sample rate of the results in Hz [default: the song's where the format has it, or 44100].
    #[arg(long, value_name = "HZ")]
    pub(crate) rate: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    Mp3,
    Wav,
    Flac,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OtherArg {
    /// It is not written.
    None,
    /// The sum of the other stems.
    Add,
    /// The song minus the stem.
    Minus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClipArg {
    /// Lower all results of a song by one gain until the loudest fits; they still add up to the song.
    Common,
    /// Lower each result until its own peak fits, as demucs does.
    Rescale,
    /// Cut at full scale.
    Clamp,
    /// Bend softly.
    Tanh,
    /// Leave them (they survive only in 32-bit WAV).
    None,
}
