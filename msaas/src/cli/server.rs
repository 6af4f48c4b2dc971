//! The options of the commands that talk to a server.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use common::backends::QueueArgs;
use common::queue::State;
use common::{JobId, StemName};

use super::{FormatArg, RecipeArgs};

/// Which server, and who asks.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// The server, as `http://host:port` [default: what the variable REST says, or `http://localhost:5000`].
    #[arg(long, env = "MSAAS_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Key that is shown to the server.
    #[arg(long, env = "MSAAS_KEY", value_name = "KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
}

/// Where results go.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutArgs {
    /// Folder for the results, which has one for each network.
    #[arg(short, long, default_value = "separated", env = "MSAAS_OUT", value_name = "DIR", value_parser = folder)]
    pub(crate) out: PathBuf,
}

/// How results are told.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct TellArgs {
    /// Write events to standard output, one JSON object a line, instead of words.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors and results.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  msaas submit song.mp3                                 # prints the job's name: msaas watch JOB, msaas fetch JOB
  msaas submit --wait --stems vocals,bass -o stems/ album/
  msaas submit --wait --mix karaoke:vocals=0 --flac --server http://studio:5000 song.wav
  msaas submit https://example.org/song.mp3

With --wait, results are at OUT/MODEL/TRACK/STEM.EXT, where `msaas separate` puts them. The same song with the same
options is the same job, however often it is sent. Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped; a job
that was accepted goes on whatever happens here.")]
pub(crate) struct SubmitArgs {
    /// Songs, folders of songs, or links to songs, which the server fetches where it takes links.
    #[arg(required = true, value_name = "SONG")]
    pub(crate) songs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) recipe: RecipeArgs,
    /// Address that the server tells of the end.
    #[arg(long, value_name = "URL")]
    pub(crate) callback: Option<String>,
    /// Watch until the stems are there, and fetch them.
    #[arg(short, long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) out: OutArgs,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Ctrl-C stops watching, not the job; a server that restarts is waited for, up to five minutes.
Exit status: 0 succeeded, 1 failed, canceled or unknown."
)]
pub(crate) struct WatchArgs {
    /// The job's name.
    pub(crate) job: JobId,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SongsArgs {
    /// Look at this many jobs, the latest ones.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = at_least_one)]
    pub(crate) limit: usize,
    /// Print one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// Only jobs in this state.
    #[arg(long, value_enum)]
    pub(crate) state: Option<StateArg>,
    #[command(flatten)]
    pub(crate) list: SongsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateArg {
    Queued,
    Running,
    Succeeded,
    Failed,
    Canceled,
}

impl From<StateArg> for State {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Queued => Self::Queued,
            StateArg::Running => Self::Running,
            StateArg::Succeeded => Self::Succeeded,
            StateArg::Failed => Self::Failed,
            StateArg::Canceled => Self::Canceled,
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Files are at OUT/MODEL/TITLE/STEM.EXT, where TITLE is what the song says of itself, or the beginning of its
hash. They appear together, each with the checksum that the server promised. What broke off is continued by the
next call; what is there already is not fetched again."
)]
pub(crate) struct FetchArgs {
    /// The job's name.
    pub(crate) job: JobId,
    /// Only these results; of a job that goes on, those that are ready [default: all, once the job has succeeded].
    #[arg(value_name = "STEM")]
    pub(crate) stems: Vec<StemName>,
    #[command(flatten)]
    pub(crate) out: OutArgs,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  msaas mix JOB vocals=0                                # karaoke
  msaas mix JOB practice:drums=1.5,bass=0 --format flac")]
pub(crate) struct MixArgs {
    /// The name of a job of the song.
    pub(crate) job: JobId,
    /// A gain for each stem, 1 for those that are not named. The file is called NAME, or mix.
    #[arg(value_name = "[NAME:]STEM=GAIN,...")]
    pub(crate) mix: String,
    /// File format [default: the job's].
    #[arg(short, long, value_enum)]
    pub(crate) format: Option<FormatArg>,
    #[command(flatten)]
    pub(crate) out: OutArgs,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// One job of a server.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// The job's name.
    pub(crate) job: JobId,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Lines are taken off the list `logging` in Redis; of several readers each line goes to one."
)]
pub(crate) struct LogsArgs {
    /// Wait for further lines.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Redis [default: localhost].
    #[command(flatten)]
    pub(crate) queue: QueueArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MenuArgs {
    #[command(flatten)]
    pub(crate) out: OutArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What `msaas separate` takes for standard output is no folder.
fn folder(text: &str) -> Result<PathBuf, String> {
    if text == "-" { Err("files of a server go to a folder".to_owned()) } else { Ok(text.into()) }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "a number from 1 is expected".to_owned())
}
