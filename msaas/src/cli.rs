//! The command line: every setting with its default and one sentence.

mod separate;
mod server;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::separate::{ClipArg, FormatArg, FormatArgs, OtherArg, RecipeArgs, SeparateArgs};
pub(crate) use self::server::{
    FetchArgs, JobArgs, JobsArgs, LogsArgs, MenuArgs, MixArgs, OutArgs, ResetArgs, ServerArgs, SongsArgs,
    SubmitArgs, TellArgs, WatchArgs,
};

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
    /// Compare two recordings or folders of stems: lag, gain, largest difference, SNR and SDR.
    Compare(CompareArgs),
    /// Run the service in this process: interface, queue, store and worker; with URLs given, against Redis and S3.
    Serve(Box<ServeArgs>),
    /// Send songs to a server; with --wait, fetch their stems too.
    Submit(Box<SubmitArgs>),
    /// Watch a job of a server until it ends.
    Watch(WatchArgs),
    /// List the songs of a server with their stems.
    Songs(SongsArgs),
    /// List the jobs of a server with their sizes and times, the latest first.
    Jobs(JobsArgs),
    /// Fetch the stems of a job from a server.
    Fetch(FetchArgs),
    /// Have a server mix the stems of a job, and fetch the mix.
    Mix(MixArgs),
    /// Stop a job of a server.
    Cancel(JobArgs),
    /// Remove a job of a server and its results.
    Delete(JobArgs),
    /// Remove all songs and stems of a server, and stop all its work. For operators.
    Reset(ResetArgs),
    /// Print the log lines of a server and its workers as they come.
    Logs(LogsArgs),
    /// Do all this by choosing from a menu; it also opens when `msaas` is started bare on a terminal.
    Menu(MenuArgs),
}

/// The whole service in one process.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) rest: rest::Config,
    #[command(flatten)]
    pub(crate) worker: worker::WorkerArgs,
    /// Only accept songs; workers elsewhere separate them.
    #[arg(long)]
    pub(crate) no_worker: bool,
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
        /// Leave weights alone that are installed.
        #[arg(long)]
        if_missing: bool,
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
#[command(
    after_help = "Figures, with a the samples of REFERENCE and b those of ESTIMATE, of both channels, as far as both go:
  lag       frames by which b comes later than a, from the loudest 6 s; at most 4096 either way
  gain      g = sum(a b) / sum(a^2), the factor from a to b by least squares, and |g| in dB
  max diff  the largest |a - b|, full scale being 1
  SNR       10 log10(sum(a^2) / sum((a - b / g)^2)) in dB, after the gain was undone
  SDR       10 log10(sum(a^2) / sum((a - b)^2)) in dB, as it is

Examples:
  msaas compare --aligned --min-sdr 60 song.wav song.flac
  msaas compare song.mp3 drums.wav bass.wav other.wav vocals.wav
  msaas compare data/stems/short-sample separated/htdemucs/short-sample"
)]
pub(crate) struct CompareArgs {
    /// The recording that is right, or a folder of such.
    pub(crate) reference: PathBuf,
    /// The recording to judge; with several, their sum is judged. Or a folder: its files, and those in the
    /// folders in it, are matched with those of REFERENCE by name, whatever their format.
    #[arg(required = true, value_name = "ESTIMATE")]
    pub(crate) estimates: Vec<PathBuf>,
    /// Audio track of the reference, from 0.
    #[arg(long, value_name = "N")]
    pub(crate) track: Option<usize>,
    /// Fail when a signal-to-distortion ratio (SDR) is below this, in dB.
    #[arg(long, value_name = "DB", allow_negative_numbers = true)]
    pub(crate) min_sdr: Option<f64>,
    /// Fail when lengths differ or a lag is not 0.
    #[arg(long)]
    pub(crate) aligned: bool,
    /// Print one JSON object instead of a table; infinite and undefined figures are null.
    #[arg(long)]
    pub(crate) json: bool,
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
