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
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|first| first != COMMAND) {
        return None;
    }
    // The last line of standard error is the answer; the word of a decoder that panics is not.
    std::panic::set_hook(Box::new(|_| {}));
    let order = args.next().and_then(|order| order.into_string().ok());
    let answer = match order.map(|order| serde_json::from_str(&order)) {
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
        Err(Failed::Transient(why) | Failed::Outage(why) | Failed::Device(why)) => Answer::Broken(why),
        Err(Failed::Ended(_)) => Answer::Broken("it was asked to end".to_owned()),
    }
}

fn work(order: Order) -> Result<Decoded, Failed> {
    confine(order)?;
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

/// Ends with the worker; memory, time and output are bounded.
fn confine(order: Order) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::As, limit(MEMORY_BYTES))?;
    // Decoders are some hundred times as fast as the song.
    setrlimit(Resource::Cpu, limit(60 + (order.max_seconds / 4.0) as u64))?;
    let longest_bytes = order.max_seconds * f64::from(order.rate) * 8.0;
    setrlimit(Resource::Fsize, limit(longest_bytes as u64 + (64 << 20)))?;
    setrlimit(Resource::Core, limit(0))?;
    Ok(())
}
