//! `msaas submit`: songs to a server, and their stems back.

use std::fs::File;
use std::io::{BufReader, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use common::job::{Options, View};
use common::{JobId, StemName};
use serde::Serialize;

use super::{fetch, watch};
use crate::cli::SubmitArgs;
use crate::client::{Accepted, Patience, Server, Upload};
use crate::layout::Layout;
use crate::report::Reporter;
use crate::songs::{self, Found};
use crate::source::STANDARD_INPUT;
use crate::template::Template;
use crate::terminal::{self, Bar};
use crate::wish;

const BAR: &str = "{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";

/// Where results are in the folder of their network, as `msaas separate` has it.
const PLACES: &str = "{track}/{stem}.{ext}";

/// A song that a server has accepted, for programs.
#[derive(Debug, Serialize)]
struct Sent<'a> {
    event: &'static str,
    song: &'a str,
    deduplicated: bool,
    job: &'a View,
}

/// Runs the command.
pub(crate) fn run(args: &SubmitArgs) -> Result<()> {
    let reporter = Reporter::new(args.tell.json, args.tell.quiet);
    submit(args, &reporter).inspect_err(|error| reporter.fail(None, error))
}

fn submit(args: &SubmitArgs, reporter: &Reporter) -> Result<()> {
    ensure!(
        !args.songs.iter().any(|song| song == Path::new(STANDARD_INPUT)),
        "standard input cannot be sent"
    );
    let server = Server::open(&args.server)?;
    let model = server.model(args.recipe.model.as_deref())?;
    let options = wish::options(&args.recipe, &model.name, &model.stems)?;
    let sources = model.stems.iter().map(|source| source.parse()).collect::<Result<Vec<_>, _>>()?;
    let names = options.results(&sources);
    let sender = Sender { args, reporter, limit: server.upload_limit()?, options, names, server };
    let songs = songs::find(&args.songs, &args.out.out)?;
    let mut layout = sender.layout()?;
    let (mut failed, many) = (0, songs.len() > 1);
    let mut fail = |label: String, error: anyhow::Error| {
        reporter.fail(Some(&label), &error);
        if !many || terminal::is_broken_pipe(&error) {
            return Err(error.context(label));
        }
        failed += 1;
        terminal::complain(&format!("msaas: {label}: {}", terminal::sentence(&error)));
        Ok(())
    };
    let mut sent = Vec::new();
    for song in &songs {
        match sender.send(song) {
            Ok(id) => sent.push((song, id)),
            Err(error) => fail(song.label(), error)?,
        }
    }
    if args.wait {
        for (song, id) in sent {
            let places = layout.place(song)?;
            if let Err(error) = sender.bring(song, &id, places) {
                fail(song.label(), error)?;
            }
        }
    }
    ensure!(failed == 0, "{failed} of {} songs failed", songs.len());
    Ok(())
}

/// What all songs of one call share.
struct Sender<'a> {
    args: &'a SubmitArgs,
    reporter: &'a Reporter,
    server: Server,
    /// Length in bytes of the largest song that the server takes.
    limit: u64,
    options: Options,
    /// Results of these options.
    names: Vec<StemName>,
}

impl Sender<'_> {
    /// Places for the results.
    fn layout(&self) -> Result<Layout> {
        let names = self.names.iter().map(ToString::to_string).collect();
        let root = self.args.out.out.join(self.options.model.as_str());
        Ok(Layout::new(root, Template::parse(PLACES)?, names, self.options.format.extension()))
    }

    /// Sends a song and tells the name of its job.
    fn send(&self, song: &Found) -> Result<JobId> {
        let label = song.label();
        let Accepted { job, deduplicated } = match song.link() {
            Some(_) => self.link(&label)?,
            None => self.file(song)?,
        };
        let known = if deduplicated { "known already" } else { "sent" };
        if self.args.tell.json {
            let sent = Sent { event: "submitted", song: &label, deduplicated, job: &job };
            terminal::print(&serde_json::to_string(&sent)?)?;
        } else if self.args.wait {
            self.reporter.say(&format!("{label}: {known}, job {}", job.id));
        } else {
            self.reporter.say(&format!("{label}: {known}"));
            terminal::print(&job.id.to_string())?;
        }
        Ok(job.id)
    }

    /// Sends a file.
    fn file(&self, song: &Found) -> Result<Accepted> {
        // The server would find out after the first megabyte.
        tags::sniff_path(&song.path)?;
        let file = File::open(&song.path).context("cannot open the file")?;
        let size_bytes = file.metadata().context("cannot open the file")?.len();
        let mega = |bytes: u64| bytes as f64 / 1e6;
        ensure!(
            size_bytes <= self.limit,
            "the file has {:.1} MB, {} takes {:.1} MB",
            mega(size_bytes),
            self.server.name(),
            mega(self.limit)
        );
        self.upload(song, BufReader::new(file), size_bytes)
    }

    /// Has the server fetch a file.
    fn link(&self, link: &str) -> Result<Accepted> {
        let mut patience = Patience::new();
        loop {
            match self.server.submit_link(link, &self.options, self.args.callback.as_deref()) {
                Ok(accepted) => return Ok(accepted),
                Err(error) => patience.after(error)?,
            }
        }
    }

    fn upload(&self, song: &Found, mut file: BufReader<File>, size_bytes: u64) -> Result<Accepted> {
        let quiet = self.args.tell.quiet || self.args.tell.json;
        let mut bar = Bar::new(&format!("{} (sending)", song.name()), size_bytes, quiet, BAR);
        let mut patience = Patience::new();
        loop {
            file.rewind().context("cannot read the file")?;
            let (options, callback) = (&self.options, self.args.callback.as_deref());
            let mut upload = Upload { song: &mut file, size_bytes, options, callback };
            match self.server.submit(&mut upload, &mut |bytes| bar.go(bytes, size_bytes, "")) {
                Ok(accepted) => return Ok(accepted),
                // It was there a moment ago. To send a song twice makes no second job.
                Err(error) => patience.after(error)?,
            }
        }
    }

    /// Watches a job until its results are there, and fetches them to their places.
    fn bring(&self, song: &Found, id: &JobId, places: Vec<PathBuf>) -> Result<()> {
        let (name, tell) = (song.name(), self.args.tell);
        let job = watch::follow(&self.server, id, Some(&name), tell)?;
        watch::succeeded(&job)?;
        let files = self.names.iter().cloned().zip(places).collect();
        let wanted = fetch::wanted(&self.server, &job, files)?;
        fetch::bring(&self.server, &name, &wanted, tell)
    }
}
