//! `msaas fetch`: the files of a job.

use std::path::PathBuf;

use anyhow::{Context, Result};
use common::job::{Stem, View};
use common::{JobId, StemName};
use serde::Serialize;

use super::watch;
use crate::cli::{FetchArgs, OutArgs, TellArgs};
use crate::client::{Download, Server, Sizes, label, track};
use crate::folders::Folders;
use crate::report::Reporter;
use crate::terminal::{self, Bar};

const BAR: &str = "{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";

/// A file of a server, and what is told of it.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) job: JobId,
    pub(crate) stem: StemName,
    pub(crate) download: Download,
}

/// A file that is at its place, for programs.
#[derive(Debug, Serialize)]
struct Fetched<'a> {
    event: &'static str,
    job: JobId,
    stem: &'a StemName,
    path: String,
    size_bytes: u64,
    sha256: &'a str,
}

/// Runs the command.
pub(crate) fn run(args: &FetchArgs) -> Result<()> {
    let reporter = Reporter::new(args.tell.json, args.tell.quiet);
    let fetch = || fetch(&Server::open(&args.server)?, &args.job, &args.stems, &args.out, args.tell);
    fetch().inspect_err(|error| reporter.fail(None, error))
}

/// Fetches stems of a job, all where none is named; waits for the job where they are not ready.
pub(crate) fn fetch(
    server: &Server,
    id: &JobId,
    stems: &[StemName],
    out: &OutArgs,
    tell: TellArgs,
) -> Result<()> {
    let mut job = watch::job(server, id)?;
    let is_ready = |job: &View, name: &StemName| job.stems.iter().any(|stem| stem.name == *name);
    if stems.is_empty() || !stems.iter().all(|name| is_ready(&job, name)) {
        if !job.state.is_terminal() {
            job = watch::follow(server, id, None, tell)?;
        }
        watch::succeeded(&job)?;
    }
    let all = || job.stems.iter().map(|stem| stem.name.clone()).collect();
    let mut names: Vec<StemName> = Vec::new();
    for name in if stems.is_empty() { all() } else { stems.to_vec() } {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let folder = folder(&job, out);
    let place = |name: StemName| {
        let file = format!("{name}.{}", job.options.format.extension());
        (name, folder.join(file))
    };
    let files = names.into_iter().map(place).collect();
    let wanted = wanted(server, &job, files)?;
    bring(server, &label(&job), &wanted, tell)
}

/// Where files of a job's song lie.
pub(crate) fn folder(job: &View, out: &OutArgs) -> PathBuf {
    out.out.join(job.options.model.as_str()).join(track(job))
}

/// Results of a job, and where each of them goes.
pub(crate) fn wanted(server: &Server, job: &View, files: Vec<(StemName, PathBuf)>) -> Result<Vec<Wanted>> {
    let have = || job.stems.iter().map(|stem| stem.name.as_str()).collect::<Vec<_>>().join(", ");
    let wanted = |(name, target): (StemName, PathBuf)| {
        let stem: &Stem = job
            .stems
            .iter()
            .find(|stem| stem.name == name)
            .with_context(|| format!("job {} has no {name}, only {}", job.id, have()))?;
        let sizes = Sizes { size_bytes: stem.size_bytes, sha256: stem.sha256.clone() };
        let url = server.stem_at(&job.id, &name);
        Ok(Wanted { job: job.id, stem: name, download: Download { url, target, sizes } })
    };
    files.into_iter().map(wanted).collect()
}

/// Fetches files, shows them together when all are complete, and tells their paths.
pub(crate) fn bring(server: &Server, name: &str, wanted: &[Wanted], tell: TellArgs) -> Result<()> {
    let mut folders = Folders::default();
    wanted
        .iter()
        .filter_map(|wanted| wanted.download.target.parent())
        .try_for_each(|dir| folders.make(dir))?;
    let total: u64 = wanted.iter().map(|wanted| wanted.download.sizes.size_bytes).sum();
    let mut bar = Bar::new(name, total, tell.quiet || tell.json, BAR);
    let (mut before, mut complete) = (0, Vec::new());
    for Wanted { download, .. } in wanted {
        complete.push(server.download(download, &mut |bytes| bar.go(before + bytes, total, ""))?);
        before += download.sizes.size_bytes;
    }
    drop(bar);
    let paths = complete.into_iter().map(|file| Ok(file.publish()?)).collect::<Result<Vec<_>>>()?;
    folders.keep();
    for (Wanted { job, stem, download }, path) in wanted.iter().zip(&paths) {
        let path = path.display().to_string();
        if !tell.json {
            terminal::print(&path)?;
            continue;
        }
        let Sizes { size_bytes, sha256 } = &download.sizes;
        let fetched = Fetched { event: "result", job: *job, stem, path, size_bytes: *size_bytes, sha256 };
        terminal::print(&serde_json::to_string(&fetched)?)?;
    }
    Ok(())
}
