//! `msaas mix`: stems put together by the server.

use anyhow::{Result, bail};
use common::JobId;

use super::{fetch, watch};
use crate::cli::{FormatArg, MixArgs, OutArgs, TellArgs};
use crate::client::{Download, Mix, Server, label};
use crate::report::Reporter;
use crate::wish;

/// How often a mix that was made is asked for, before it is given up.
const TRIES: usize = 3;

/// Runs the command.
pub(crate) fn run(args: &MixArgs) -> Result<()> {
    let reporter = Reporter::new(args.tell.json, args.tell.quiet);
    let mix = || {
        let server = Server::open(&args.server)?;
        mix(&server, &args.job, &args.mix, args.format, &args.out, args.tell)
    };
    mix().inspect_err(|error| reporter.fail(None, error))
}

/// Has a mix of a job's stems made and fetches it; `text` as in `--mix`.
pub(crate) fn mix(
    server: &Server,
    id: &JobId,
    text: &str,
    format: Option<FormatArg>,
    out: &OutArgs,
    tell: TellArgs,
) -> Result<()> {
    let job = watch::job(server, id)?;
    let model = server.model(Some(job.options.model.as_str()))?;
    let mix = wish::mix(text, &model.stems)?;
    let gains: Vec<String> = mix.gains.iter().map(|(stem, gain)| format!("{stem}:{gain}")).collect();
    let format = format.map(|format| match format {
        FormatArg::Mp3 => "mp3",
        FormatArg::Wav => "wav",
        FormatArg::Flac => "flac",
    });
    let extension = format.unwrap_or_else(|| job.options.format.extension());
    for _ in 0..TRIES {
        match server.mix(id, &gains.join(","), format)? {
            (url, Mix::Ready(sizes)) => {
                let target = fetch::folder(&job, out).join(format!("{}.{extension}", mix.name));
                let download = Download { url, target, sizes };
                let wanted = fetch::Wanted { job: *id, stem: mix.name, download };
                return fetch::bring(server, &label(&job), &[wanted], tell);
            }
            (_, Mix::Later(made)) => {
                let name = format!("{} ({})", label(&job), mix.name);
                watch::succeeded(&watch::follow(server, &made.id, Some(&name), tell)?)?;
            }
        }
    }
    bail!("{} does not give out the mix that it made", server.name())
}
