//! `msaas watch`: a job on its way to its end.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};
use common::job::View;
use common::queue::State;
use common::{JobId, StemName};

use crate::cli::{TellArgs, WatchArgs};
use crate::client::{Server, Told, label, plain, word};
use crate::report::Reporter;
use crate::stop;
use crate::terminal::{self, Bar};

const BAR: &str = "{prefix} [{bar:30}] {percent:>3} % {msg}";

/// Runs the command.
pub(crate) fn run(args: &WatchArgs) -> Result<()> {
    let reporter = Reporter::new(args.tell.json, args.tell.quiet);
    let watch = || {
        let server = Server::open(&args.server)?;
        // A server that is not there now, or does not know the job, is an error at once.
        job(&server, &args.job)?;
        let job = follow(&server, &args.job, None, args.tell)?;
        succeeded(&job)?;
        if args.tell.json { Ok(()) } else { terminal::print(&format!("{} succeeded", job.id)) }
    };
    watch().inspect_err(|error| reporter.fail(None, error))
}

/// A job as it is now.
pub(crate) fn job(server: &Server, id: &JobId) -> Result<View> {
    server.job(id).with_context(|| format!("job {id}"))
}

/// Watches a job, called `name` or as its song calls itself, until it has ended.
pub(crate) fn follow(server: &Server, id: &JobId, name: Option<&str>, tell: TellArgs) -> Result<View> {
    stop::leave_with(&format!("the job goes on: msaas watch {id}"))?;
    let mut watch =
        Watch { name: name.map(str::to_owned), tell, bar: None, state: None, ready: HashSet::new() };
    let ended = server.follow(id, &mut |told| watch.hear(told));
    stop::leave_with("stopped")?;
    ended.with_context(|| format!("job {id}"))
}

/// The end of a job as an error, unless it succeeded.
pub(crate) fn succeeded(job: &View) -> Result<()> {
    match (job.state, &job.error) {
        (State::Succeeded, _) => Ok(()),
        (State::Canceled, _) => bail!("job {} was canceled", job.id),
        (_, Some(error)) => bail!("job {} failed: {}", job.id, plain(&error.detail)),
        (state, None) => bail!("job {} is {}", job.id, word(state)),
    }
}

/// Shows people what a server tells.
struct Watch {
    name: Option<String>,
    tell: TellArgs,
    bar: Option<Bar>,
    state: Option<State>,
    ready: HashSet<StemName>,
}

impl Watch {
    fn hear(&mut self, told: &Told) -> Result<()> {
        if self.tell.json {
            return terminal::print(&serde_json::to_string(told)?);
        }
        if self.tell.quiet {
            return Ok(());
        }
        let job = &told.job;
        let name = self.name.get_or_insert_with(|| label(job)).clone();
        let progress = &job.progress;
        if self.state.replace(job.state) != Some(job.state) {
            let ahead = progress.queue_position.filter(|ahead| *ahead > 0);
            let ahead = ahead.map(|ahead| format!(", {ahead} before it")).unwrap_or_default();
            self.say(&format!("{name}: {}{ahead}", word(job.state)));
        }
        for stem in &job.stems {
            if self.ready.insert(stem.name.clone()) {
                self.say(&format!("{name}: {} is ready", stem.name));
            }
        }
        if job.state.is_terminal() {
            self.bar = None;
        } else {
            let (done, total) = (progress.segments_done as usize, progress.segments_total as usize);
            let note = match (progress.speed, progress.queue_position) {
                (Some(speed), _) => terminal::pace(done, total, speed, progress.eta_s),
                (None, Some(ahead)) if ahead > 0 => format!("{ahead} before it"),
                _ => word(job.state).to_owned(),
            };
            let bar = self.bar.get_or_insert_with(|| Bar::new(&name, 100, false, BAR));
            bar.go(u64::from(progress.percent), 100, &note);
        }
        Ok(())
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.say(line),
            None => terminal::complain(line),
        }
    }
}
