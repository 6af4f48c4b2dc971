//! The command line: every setting with its default and one sentence.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Separates songs into stems: drums, bass, other, vocals, and any mix of them.
#[derive(Debug, Parser)]
#[command(name = "msaas", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Separate songs into stems.
    Separate(Box<SeparateArgs>),
    /// List, fetch, check and import the networks.
    Models(ModelsArgs),
    /// Compare two recordings: length, lag, and signal-to-distortion ratio.
    Compare(CompareArgs),
}

/// Where the networks' weights are.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Folder of the installed weights [default: msaas/models in the user's cache folder].
    #[arg(long, env = "MSAAS_MODEL_DIR", value_name = "DIR")]
    pub(crate) model_dir: Option<PathBuf>,
    /// Folder that is searched for weights before any host is asked.
    #[arg(long, env = "MSAAS_MODEL_SOURCE", value_name = "DIR")]
    pub(crate) model_source: Option<PathBuf>,
    /// Never use the network.
    #[arg(long, env = "MSAAS_OFFLINE")]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  msaas separate song.mp3
  msaas separate --two-stems vocals --format flac song.wav
  msaas separate --mix karaoke=drums+bass+other --mix practice=drums+0.3*vocals song.mp3
  msaas separate --stems drums,bass -o stems/ album/")]
pub(crate) struct SeparateArgs {
    /// Songs, or folders of songs: MP3, WAV, FLAC, Ogg Vorbis, AAC/M4A or AIFF.
    #[arg(required = true, value_name = "SONG")]
    pub(crate) songs: Vec<PathBuf>,
    /// Folder for the results; each song gets a folder of its own in it.
    #[arg(short, long, default_value = "separated", env = "MSAAS_OUT", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The network: see `msaas models list`.
    #[arg(short, long, default_value = "htdemucs", env = "MSAAS_MODEL")]
    pub(crate) model: String,
    /// Write only these stems, separated by commas [default: all of the model].
    #[arg(short, long, value_delimiter = ',', value_name = "STEM")]
    pub(crate) stems: Vec<String>,
    /// Write this stem and everything else, as `STEM` and `no_STEM`.
    #[arg(long, value_name = "STEM", conflicts_with = "stems")]
    pub(crate) two_stems: Option<String>,
    /// How everything else is made with --two-stems.
    #[arg(long, value_enum, default_value_t = RestArg::Sum)]
    pub(crate) rest: RestArg,
    /// Write a mix of stems too, each with an optional gain: NAME=drums+0.5*bass-vocals. The song
    /// itself is called mixture.
    #[arg(long = "mix", value_name = "NAME=SUM")]
    pub(crate) mixes: Vec<String>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    /// What happens to samples above full scale.
    #[arg(long, value_enum, default_value_t = ClipArg::Clamp)]
    pub(crate) clip: ClipArg,
    /// Average this many shifted passes (slower, a little better); 0 is one pass, not shifted.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=20))]
    pub(crate) shifts: u16,
    /// Fraction by which segments overlap.
    #[arg(long, default_value_t = 0.25, value_name = "0..0.99")]
    pub(crate) overlap: f64,
    /// Threads to compute with; 0 takes one for each core.
    #[arg(short = 'j', long, default_value_t = 0, env = "MSAAS_THREADS", value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub(crate) threads: u16,
    /// Segments that pass through the network together.
    #[arg(long, default_value_t = 1, env = "MSAAS_BATCH", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) batch: u16,
    /// Where to compute: auto, cpu, cuda, cuda:N or metal.
    #[arg(long, default_value = "auto", env = "MSAAS_DEVICE")]
    pub(crate) device: String,
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
    /// Print nothing but errors and the paths of the results.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// The files to write.
#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// File format of the results.
    #[arg(short, long, value_enum, default_value_t = FormatArg::Mp3)]
    pub(crate) format: FormatArg,
    /// Constant bit rate of MP3 files in kbit/s [default: 320].
    #[arg(long, value_name = "KBPS", conflicts_with = "vbr")]
    pub(crate) bitrate: Option<u16>,
    /// Variable bit rate of MP3 files, from 0 (best) to 9 (smallest).
    #[arg(long, value_name = "QUALITY", value_parser = clap::value_parser!(u8).range(0..=9))]
    pub(crate) vbr: Option<u8>,
    /// Bits of a sample: WAV 16, 24 or 32 (float), FLAC 16 or 24 [default: 24].
    #[arg(long, value_name = "BITS")]
    pub(crate) bits: Option<u8>,
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
pub(crate) enum RestArg {
    /// The sum of the other stems.
    Sum,
    /// The song minus the stem.
    Minus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClipArg {
    /// Cut at full scale; stems still add up to the song elsewhere.
    Clamp,
    /// Lower a whole stem until its peak fits, as the original does.
    Rescale,
    /// Bend softly.
    Tanh,
    /// Leave them (they survive only in 32-bit WAV).
    None,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Show the networks, and which of them are installed.
    List,
    /// Fetch a network's weights, even if they are installed.
    Fetch {
        /// Its name.
        name: String,
    },
    /// Read installed weights back and compare them with their fingerprints.
    Verify {
        /// Its name [default: all that are installed].
        name: Option<String>,
    },
    /// Install weights from a file: safetensors, a torch checkpoint, or the exported graph.
    Import {
        /// The file.
        file: PathBuf,
        /// Name for the network [default: that of known weights, else the file's].
        #[arg(long)]
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The recording that is right.
    pub(crate) reference: PathBuf,
    /// The recording to judge. With several, their sum is judged.
    #[arg(required = true)]
    pub(crate) estimates: Vec<PathBuf>,
    /// Audio track of the reference, from 0.
    #[arg(long)]
    pub(crate) track: Option<usize>,
    /// Fail when the signal-to-distortion ratio is below this, in dB.
    #[arg(long, value_name = "DB")]
    pub(crate) min_sdr: Option<f64>,
    /// Fail when lengths differ or the lag is not 0.
    #[arg(long)]
    pub(crate) aligned: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
