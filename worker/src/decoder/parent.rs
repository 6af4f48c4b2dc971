//! The worker's side: starts the process, watches it, and takes what it made.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use separation::{Decoded, Song};

use super::{Answer, COMMAND, Order};
use crate::lease::Beat;
use crate::settings::Settings;
use crate::task::{Failed, temporary};

/// Where the system looks for libraries.
const LIBRARIES: &str = "LD_LIBRARY_PATH";
/// How often the child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Its last word is shorter.
const MAX_ANSWER_BYTES: u64 = 1 << 16;

/// Decodes a song at `rate` Hz in a process of `program`. Blocks; every piece that the child writes renews the lease.
pub(crate) fn decode(
    program: &Path,
    song: &Arc<File>,
    settings: &Settings,
    beat: &Beat,
    rate: u32,
) -> Result<Song, Failed> {
    let (samples, mut answer) =
        (temporary(settings.temp_dir.as_deref())?, temporary(settings.temp_dir.as_deref())?);
    let order = Order { max_seconds: settings.max_song_s, rate };
    let order = serde_json::to_string(&order).map_err(|error| Failed::Transient(error.to_string()))?;
    let child = Command::new(program)
        .args([COMMAND, &order])
        .env_clear()
        // Where the libraries of a device may be, which the program asks for though the child does not.
        .envs(std::env::var_os(LIBRARIES).map(|dirs| (LIBRARIES, dirs)))
        .stdin(Stdio::from(song.try_clone()?))
        .stdout(Stdio::from(samples.try_clone()?))
        .stderr(Stdio::from(answer.try_clone()?))
        .spawn()
        .map_err(|error| Failed::Transient(format!("the decoder cannot be started: {error}")))?;
    let status = watch(Decoder(child), &samples, beat, settings.decoder_hung_after)?;
    let mut word = String::new();
    answer.seek(SeekFrom::Start(0))?;
    answer.take(MAX_ANSWER_BYTES).read_to_string(&mut word)?;
    match serde_json::from_str(word.lines().last().unwrap_or_default()) {
        Ok(Answer::Decoded { rate: file_rate, frames, damaged }) => {
            let decoded = Decoded { rate: file_rate, frames, damaged };
            Ok(Song::of_samples(samples, decoded, rate)?)
        }
        Ok(Answer::Refused(why)) => Err(Failed::Permanent(why)),
        Ok(Answer::Broken(why)) => Err(Failed::Transient(why)),
        Err(_) => Err(Failed::Transient(format!("the decoder died of the song: {status}"))),
    }
}

/// The child; dropped, it is gone.
struct Decoder(Child);

impl Drop for Decoder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for the end of the child; ends it when the work is not wanted any more, or when it writes nothing for so long.
fn watch(
    mut decoder: Decoder,
    samples: &File,
    beat: &Beat,
    hung_after: Duration,
) -> Result<ExitStatus, Failed> {
    let (mut written, mut last) = (0, Instant::now());
    loop {
        if let Some(status) = decoder.0.try_wait()? {
            return Ok(status);
        }
        let now = samples.metadata()?.len();
        if now > written {
            (written, last) = (now, Instant::now());
            beat.tick();
        }
        let hung = || Failed::Transient("the decoder hung on the song".to_owned());
        let why = beat.ended().map(Failed::Ended).or_else(|| (last.elapsed() > hung_after).then(hung));
        if let Some(why) = why {
            return Err(why);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
