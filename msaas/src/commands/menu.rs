//! `msaas menu`: everything that a server can do, by choosing numbers.

use std::fmt::Display;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use common::job::View;
use common::process;

use super::{fetch, list, manage, mix, submit, watch};
use crate::cli::{Cli, Command, MenuArgs, OutArgs, TellArgs};
use crate::client::{Server, label, word};
use crate::terminal;

/// Jobs among which one chooses.
const JOBS: usize = 50;

/// How everything is told here.
const TELL: TellArgs = TellArgs { json: false, quiet: false };

const CHOICES: [&str; 7] = [
    "separate a song",
    "list songs and their stems",
    "watch a song",
    "download stems",
    "make a mix",
    "stop a song",
    "remove everything",
];

/// Runs the command.
pub(crate) fn run(args: &MenuArgs) -> Result<()> {
    let server = Server::open(&args.server)?;
    let (input, output) = (&mut std::io::stdin().lock(), &mut std::io::stdout());
    Menu { args, server, talk: Talk { input, output } }.run()
}

struct Menu<'a> {
    args: &'a MenuArgs,
    server: Server,
    talk: Talk<'a>,
}

impl Menu<'_> {
    /// Until the person leaves or says no more. What fails is told, and the menu goes on.
    fn run(&mut self) -> Result<()> {
        loop {
            self.talk.say(format_args!("\nmsaas at {}\n", self.server.name()))?;
            let Some(choice) = self.talk.choose("What", &CHOICES)? else { return Ok(()) };
            if let Err(error) = self.perform(choice) {
                if terminal::is_broken_pipe(&error) {
                    return Err(error);
                }
                self.talk.say(format_args!("{}", terminal::sentence(&error)))?;
            }
        }
    }

    fn perform(&mut self, choice: usize) -> Result<()> {
        match choice {
            0 => self.separate(),
            1 => self.list(),
            6 => self.reset(),
            _ => {
                let jobs = self.server.jobs(None, JOBS)?;
                ensure!(!jobs.is_empty(), "there is no song yet");
                let lines: Vec<_> = jobs.iter().map(line).collect();
                let Some(job) = self.talk.choose("Which song", &lines)? else { return Ok(()) };
                self.with(choice, &jobs[job])
            }
        }
    }

    fn with(&mut self, choice: usize, job: &View) -> Result<()> {
        let out = &self.args.out;
        match choice {
            2 => {
                let job = watch::follow(&self.server, &job.id, None, TELL)?;
                watch::succeeded(&job)
            }
            3 => {
                let stems = self.talk.ask("Stems, with commas between them [all]")?.unwrap_or_default();
                let stems = stems.split(',').map(str::trim).filter(|stem| !stem.is_empty());
                let stems = stems.map(str::parse).collect::<Result<Vec<_>, _>>()?;
                let folder = self.talk.ask(format_args!("Folder [{}]", out.out.display()))?;
                let out = folder.map_or_else(|| out.clone(), |folder| OutArgs { out: folder.into() });
                fetch::fetch(&self.server, &job.id, &stems, &out, TELL)
            }
            4 => {
                let text = self.talk.ask("A gain for each stem, as in vocals=0,drums=1.5; others have 1")?;
                let Some(text) = text else { return Ok(()) };
                mix::mix(&self.server, &job.id, &text, None, out, TELL)
            }
            _ => {
                let job = self.server.cancel(&job.id)?;
                self.talk.say(format_args!("{}: {}", label(&job), word(job.state)))
            }
        }
    }

    fn separate(&mut self) -> Result<()> {
        let here = songs_here();
        self.talk.number(&here.iter().map(|path| path.display()).collect::<Vec<_>>())?;
        let Some(song) = self.talk.ask("Number or path of the song")? else { return Ok(()) };
        let song = match song.parse::<usize>() {
            Ok(number) => here.get(number.wrapping_sub(1)).context("there is no such number")?.clone(),
            Err(_) => PathBuf::from(song),
        };
        let models = self.server.models()?;
        let usual = models.first().context("the server has no network")?;
        let names = models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        let model = self.talk.ask(format_args!("Network, of {names} [{}]", usual.name))?;
        let model = model.unwrap_or_else(|| usual.name.clone());
        let Some(found) = models.iter().find(|known| known.name == model) else {
            bail!("there is no network {model}");
        };
        let stems = self.talk.ask(format_args!("Stems, of {} [all]", found.stems.join(", ")))?;
        let format = self.talk.ask("Format, of mp3, wav, flac [mp3]")?.unwrap_or_else(|| "mp3".to_owned());
        let mut words = vec!["msaas", "submit", "--model", &model, "--format", &format];
        words.extend(stems.iter().flat_map(|stems| ["--stems", stems.as_str()]));
        let path = song.to_str().context("the name of the file is no text")?;
        words.extend(["--", path]);
        let Command::Submit(mut args) = process::settings::<Cli>(words)?.command else { return Ok(()) };
        args.server = self.args.server.clone();
        args.out = self.args.out.clone();
        args.wait =
            self.talk.ask("Wait for the stems and download them? [Y/n]")?.is_none_or(|no| !is_no(&no));
        submit::run(&args)
    }

    fn list(&mut self) -> Result<()> {
        let songs = list::by_song(self.server.jobs(None, JOBS)?);
        ensure!(!songs.is_empty(), "there is no song yet");
        for song in &songs {
            for (i, job) in song.jobs.iter().enumerate() {
                if i == 0 {
                    self.talk.say(label(job))?;
                }
                self.talk.say(format_args!("     {}", list::state_and_stems(job)))?;
            }
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<()> {
        if manage::agrees(&self.server, self.talk.input, self.talk.output)? {
            self.server.reset()?;
            self.talk.say("The server is empty.")?;
        }
        Ok(())
    }
}

/// Asks and hears.
struct Talk<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
}

impl Talk<'_> {
    fn say(&mut self, line: impl Display) -> Result<()> {
        Ok(writeln!(self.output, "{line}")?)
    }

    /// What is said to a question; nothing where that is nothing.
    fn ask(&mut self, question: impl Display) -> Result<Option<String>> {
        write!(self.output, "{question}: ")?;
        self.output.flush()?;
        let mut answer = String::new();
        if self.input.read_line(&mut answer)? == 0 {
            self.say("")?;
        }
        Ok(Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty()))
    }

    fn number(&mut self, lines: &[impl Display]) -> Result<()> {
        lines.iter().enumerate().try_for_each(|(i, line)| self.say(format_args!("{:3}  {line}", i + 1)))
    }

    /// Has one of the lines chosen, whose place is given; nothing where the person would rather not.
    fn choose(&mut self, question: &str, lines: &[impl Display]) -> Result<Option<usize>> {
        self.number(lines)?;
        loop {
            let Some(answer) = self.ask(format_args!("{question}, 1 to {} [leave]", lines.len()))? else {
                return Ok(None);
            };
            match answer.parse::<usize>() {
                Ok(number) if (1..=lines.len()).contains(&number) => return Ok(Some(number - 1)),
                Ok(0) => return Ok(None),
                _ => self.say(format_args!("{answer} is none of them"))?,
            }
        }
    }
}

fn line(job: &View) -> String {
    format!("{}  {}", label(job), list::state_and_stems(job))
}

fn is_no(answer: &str) -> bool {
    answer.starts_with(['n', 'N'])
}

/// Songs in the present folder, by name.
fn songs_here() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(".")).into_iter().flatten().flatten();
    let files = entries.map(|entry| PathBuf::from(entry.file_name())).filter(|path| path.is_file());
    let mut songs: Vec<_> = files.filter(|path| tags::sniff_path(path).is_ok()).collect();
    songs.sort();
    songs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk<T>(said: &str, run: impl FnOnce(&mut Talk<'_>) -> Result<T>) -> (T, String) {
        let (mut input, mut output) = (said.as_bytes(), Vec::new());
        let result = run(&mut Talk { input: &mut input, output: &mut output }).unwrap();
        (result, String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_choice_is_asked_for_until_it_is_one() {
        let choose = |said: &str| talk(said, |talk| talk.choose("Which", &["a", "b"]));
        let (chosen, output) = choose("3\nx\n2\n1\n");
        assert_eq!(chosen, Some(1));
        assert_eq!(
            output,
            "  1  a\n  2  b\nWhich, 1 to 2 [leave]: 3 is none of them\nWhich, 1 to 2 [leave]: x is none of \
             them\nWhich, 1 to 2 [leave]: "
        );
        for leaving in ["", "\n", "0\n"] {
            assert_eq!(choose(leaving).0, None);
        }
    }
}
