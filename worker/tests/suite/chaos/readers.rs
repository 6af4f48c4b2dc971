//! Those who look at jobs all the while, and at every file that they are shown.

use std::io::{Cursor, Read as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use audio::{DecodeLimits, Decoder};
use bytes::Bytes;
use common::job::{Stem, View};
use common::queue::State;
use common::{JobId, SongHash};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::book::{Book, Fate};
use super::songs::Dice;
use crate::processes::{Answer, Http};

/// Pause between two looks of one reader.
const PAUSE: Duration = Duration::from_millis(30);

/// Looks at one job after the other, the latest ones more often, until `stop`.
pub(crate) async fn read(book: Arc<Book>, http: Http, seed: u64, stop: CancellationToken) {
    let mut dice = Dice::new(seed);
    while !stop.is_cancelled() {
        let jobs: Vec<JobId> = book.pages().keys().copied().collect();
        if !jobs.is_empty() {
            let recent = jobs.len().min(60);
            let from_end = if dice.chance(80) { dice.below(recent) } else { dice.below(jobs.len()) };
            let job = jobs[jobs.len() - 1 - from_end];
            let look = Look { book: &book, http, job };
            if let Some(view) = look.at_job().await {
                match dice.below(10) {
                    0 => look.at_archive(&view).await,
                    1 => look.at_tracks(&view, false).await,
                    2 if !view.state.is_terminal() => look.at_events(&stop).await,
                    _ if view.stems.is_empty() => {}
                    _ => look.at_stem(&view, &view.stems[dice.below(view.stems.len())]).await,
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One look at one job.
pub(crate) struct Look<'a> {
    pub(crate) book: &'a Book,
    pub(crate) http: Http,
    pub(crate) job: JobId,
}

impl Look<'_> {
    /// The job as it is now; none where it is gone or cannot be asked for.
    pub(crate) async fn at_job(&self) -> Option<View> {
        let before = self.book.before(&self.job);
        let answer = self.get(&format!("/v2/jobs/{}", self.job)).await?;
        match (answer.status, serde_json::from_slice::<View>(&answer.body)) {
            (200, Ok(view)) => {
                self.book.saw(&before, &view);
                return Some(view);
            }
            (404, _) => self.book.missed(&self.job),
            _ => self.wrong(&format!("was answered {} {:?}", answer.status, answer.body)),
        }
        None
    }

    async fn at_stem(&self, view: &View, stem: &Stem) {
        let Some(answer) = self.get(&stem.url).await else { return };
        if answer.status == 404 {
            return self.vanished(view).await;
        }
        let promised = (stem.size_bytes, format!("\"{}\"", stem.sha256));
        let is = (answer.body.len() as u64, answer.header("etag").to_owned());
        if answer.status != 200 || promised != is {
            return self.wrong(&format!("{} is {} {is:?} instead of {promised:?}", stem.url, answer.status));
        }
        self.file(&stem.url, answer.body, stem).await;
    }

    async fn at_archive(&self, view: &View) {
        if view.state != State::Succeeded {
            return;
        }
        let Some(answer) = self.get(&format!("/v2/jobs/{}/stems.zip", self.job)).await else { return };
        if matches!(answer.status, 404 | 409) {
            return self.vanished(view).await;
        }
        let files = tokio::task::spawn_blocking(move || unpacked(&answer.body)).await.unwrap();
        match files {
            Ok(files) if files.len() == view.stems.len() => {
                for ((name, bytes), stem) in files.into_iter().zip(&view.stems) {
                    self.file(&format!("{name} of the archive"), bytes, stem).await;
                }
            }
            other => self.wrong(&format!("its archive is {other:?}")),
        }
    }

    /// Everything of a job that has succeeded.
    pub(crate) async fn at_all(&self) {
        let Some(view) = self.at_job().await else { return };
        self.at_archive(&view).await;
        if view.state == State::Succeeded {
            self.at_tracks(&view, true).await;
        }
    }

    /// The older contract: MP3 results of jobs that have succeeded, a moment later than under the job, and of no
    /// others.
    async fn at_tracks(&self, view: &View, at_rest: bool) {
        let is_mp3 = matches!(view.options.format, common::job::Format::Mp3 { .. });
        for stem in view.stems.iter().filter(|_| is_mp3) {
            let path = format!("/apiv1/track/{}/{}", view.song, stem.name);
            let Some(answer) = self.get(&path).await else { continue };
            match (answer.status, view.state) {
                (200, _) => self.file(&path, answer.body, stem).await,
                (404, _) if at_rest => self.vanished(view).await,
                (404, _) => {}
                (status, _) => self.wrong(&format!("{path} was answered {status}")),
            }
        }
    }

    /// Events up to the end: one terminal state at most.
    async fn at_events(&self, stop: &CancellationToken) {
        let path = format!("/v2/jobs/{}/events", self.job);
        let heard = tokio::select! {
            heard = self.http.get(&path) => heard,
            () = stop.cancelled() => return,
        };
        let Ok(heard) = heard else { return };
        let text = String::from_utf8_lossy(&heard.body);
        let views = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let ends = views.filter_map(|json| serde_json::from_str::<View>(json).ok().map(|view| view.state));
        let mut ends: Vec<State> = ends.filter(|state| state.is_terminal()).collect();
        ends.dedup();
        if ends.len() > 1 {
            self.wrong(&format!("its events tell of {ends:?}"));
        }
    }

    /// A file that was shown is not there: only where the job did not succeed, or is gone, by now.
    async fn vanished(&self, seen: &View) {
        let Some(view) = self.at_job().await else { return };
        let did_not_succeed = matches!(view.state, State::Failed | State::Canceled);
        if !did_not_succeed && self.book.before(&self.job).fate() == Fate::Left {
            self.wrong(&format!("a file is gone: it was {:?}, is {:?}", seen.state, view.state));
        }
    }

    async fn file(&self, what: &str, bytes: Bytes, stem: &Stem) {
        let (sha256, frames) =
            tokio::task::spawn_blocking(move || (sha256(&bytes), frames(&bytes))).await.unwrap();
        if sha256 != stem.sha256 || frames != Ok(stem.frames) {
            self.wrong(&format!("{what} is {sha256} of {frames:?} frames, not {stem:?}"));
        }
        self.book.reads.fetch_add(1, Ordering::Relaxed);
    }

    async fn get(&self, path: &str) -> Option<Answer> {
        match self.http.get(path).await {
            Ok(answer) => Some(answer).filter(|answer| !answer.is_outage()),
            // What is being removed may break off in the middle, and nothing else.
            Err(error) => {
                if !self.book.rest_dies && self.book.before(&self.job).fate() == Fate::Left {
                    self.wrong(&format!("{path} broke off: {error}"));
                }
                None
            }
        }
    }

    fn wrong(&self, what: &str) {
        self.book.violation(format!("{}: {what}", self.job));
    }
}

/// SHA-256 as text.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    SongHash::new(Sha256::digest(bytes).into()).to_string()
}

/// Frames of a whole file, decoded to its end.
fn frames(bytes: &Bytes) -> Result<u64, String> {
    let source = Box::new(Cursor::new(bytes.to_vec()));
    let mut decoder =
        Decoder::open(source, &DecodeLimits::default(), None).map_err(|error| error.to_string())?;
    while decoder.next_block().map_err(|error| error.to_string())?.is_some() {}
    Ok(decoder.report().frames as u64)
}

fn unpacked(archive: &[u8]) -> Result<Vec<(String, Bytes)>, String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).map_err(|error| error.to_string())?;
    (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).map_err(|error| error.to_string())?;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            let name = entry.name().map_err(|error| error.to_string())?.into_owned();
            Ok((name, bytes.into()))
        })
        .collect()
}
