//! The process that decodes one song.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::sync::Arc;

use audio::DecodeLimits;
use rustix::process::{Resource, Rlimit, setrlimit};
use separation::{Decoded, Reading};

use super::{Answer, COMMAND, Order};
use crate::task::{Failed, Place};

/// Memory that the child may have, in bytes of address space: decoders need a few MiB, hostile files ask for more.
const MEMORY_BYTES: u64 = 2 << 30;

/// Decodes a song and gives the exit code if this process was started for that; else gives nothing, and the program
/// goes on as usual. To be called first of all by every program that runs a worker.
#[must_use]
pub fn if_asked() -> Option<ExitCode> {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() != Some(COMMAND) {
        return None;
    }
    // The last line of standard error is the answer; the word of a decoder that panics is not.
    std::panic::set_hook(Box::new(|_| {}));
    let answer = match args.next().map(|order| serde_json::from_str(&order)) {
        Some(Ok(order)) => answer(order),
        _ => Answer::Broken("it is not known what is to be decoded".to_owned()),
    };
    let line = serde_json::to_string(&answer).unwrap_or_default();
    let _ = std::io::stderr().write_all(line.as_bytes());
    Some(ExitCode::SUCCESS)
}

fn answer(order: Order) -> Answer {
    match work(order) {
        Ok(Decoded { rate, frames, damaged }) => Answer::Decoded { rate, frames, damaged },
        Err(Failed::Permanent(why)) => Answer::Refused(why),
        Err(Failed::Transient(why)) => Answer::Broken(why),
        Err(Failed::Ended(_)) => Answer::Broken("it was asked to end".to_owned()),
    }
}

fn work(order: Order) -> Result<Decoded, Failed> {
    confine()?;
    let song = Arc::new(File::from(std::io::stdin().as_fd().try_clone_to_owned()?));
    let samples = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let mut samples = BufWriter::with_capacity(1 << 18, samples);
    let limits = DecodeLimits { max_seconds: order.max_seconds, ..DecodeLimits::default() };
    let reading = Reading { limits, rate: order.rate, ..Reading::default() };
    let written = |error| audio::Error::Io { action: "keep audio", source: error };
    let decoded = separation::decode_into(Box::new(Place::new(song)?), &reading, &mut |block| {
        for (left, right) in block[0].iter().zip(&block[1]) {
            samples.write_all(&left.to_le_bytes()).map_err(written)?;
            samples.write_all(&right.to_le_bytes()).map_err(written)?;
        }
        Ok(())
    })?;
    samples.flush()?;
    Ok(decoded)
}

/// Ends with the worker, and has bounded memory.
fn confine() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::As, limit(MEMORY_BYTES))?;
    setrlimit(Resource::Core, limit(0))?;
    Ok(())
}
