//! Fetching files: continued where they broke off, shown when they are complete and have the promised checksum.
//!
//! A file grows beside its place under a hidden name that carries its checksum, `.vocals.mp3.5f70bf18a0860070.part`, so that
//! a later call goes on where an earlier one was stopped, and never with the bytes of another result.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use common::JobId;
use common::job::View;
use ureq::Body;
use ureq::http::{Method, Response, StatusCode, header};
use url::Url;

use super::{Error, Patience, Result, Server};

/// Bytes that are written at a time.
const PIECE_BYTES: usize = 1 << 16;

/// A file to fetch.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) url: Url,
    /// Where it will be; the folder has to exist.
    pub(crate) target: PathBuf,
    pub(crate) sizes: Sizes,
}

/// What a server promises of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) size_bytes: u64,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
}

/// A mix that was asked for.
#[derive(Debug)]
pub(crate) enum Mix {
    /// It can be fetched.
    Ready(Sizes),
    /// This job makes it.
    Later(Box<View>),
}

/// A file that is complete and that nobody sees yet, unless it was at its place before.
#[derive(Debug)]
pub(crate) struct Complete {
    part: Option<PathBuf>,
    target: PathBuf,
    /// Held until the file is shown: nobody else writes to the part.
    _lock: Option<File>,
}

impl Complete {
    /// Puts it in place, over an older file if there is one.
    pub(crate) fn publish(self) -> Result<PathBuf> {
        if let Some(part) = &self.part {
            std::fs::rename(part, &self.target)
                .map_err(|error| here("cannot write", &self.target, &error))?;
        }
        Ok(self.target)
    }
}

impl Server {
    /// Fetches a file; `progress` hears how many bytes of it are there.
    pub(crate) fn download(&self, wanted: &Download, progress: &mut dyn FnMut(u64)) -> Result<Complete> {
        let Download { target, sizes, .. } = wanted;
        if is_there(target, sizes) {
            progress(sizes.size_bytes);
            return Ok(Complete { part: None, target: target.clone(), _lock: None });
        }
        let part = part_of(target, sizes)?;
        let mut file = open(&part)?;
        let done = self.complete(wanted, &mut file, &part, progress);
        if done.is_err() && length(&file, &part).is_ok_and(|length| length == 0) {
            let _ = std::fs::remove_file(&part);
        }
        done.map(|()| Complete { part: Some(part), target: target.clone(), _lock: Some(file) })
    }

    /// Fills the part until it is what was promised.
    fn complete(
        &self,
        wanted: &Download,
        file: &mut File,
        part: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let sizes = &wanted.sizes;
        let mut patience = Patience::new();
        // What an earlier call left may be wrong; what this one fetched from the beginning is what the server has.
        let mut resumed = length(file, part)? > 0;
        loop {
            let before = length(file, part)?;
            if before > sizes.size_bytes {
                empty(file, part)?;
            } else if before < sizes.size_bytes {
                let Err(error) = self.receive(wanted, file, part, progress) else { continue };
                if length(file, part)? > before {
                    patience.refill();
                }
                patience.after(error)?;
            } else if sha256(file).map_err(|error| here("cannot read", part, &error))? == sizes.sha256 {
                return file.sync_all().map_err(|error| here("cannot write", part, &error));
            } else {
                empty(file, part)?;
                if !std::mem::replace(&mut resumed, false) {
                    return Err(self.strange(format!("{} has not the promised checksum", wanted.url.path())));
                }
            }
        }
    }

    /// One request for what is missing of the part.
    fn receive(
        &self,
        wanted: &Download,
        file: &mut File,
        part: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let size = wanted.sizes.size_bytes;
        let mut have = length(file, part)?;
        let mut request = self.ask_at(Method::GET, &wanted.url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
            request = request.header(header::IF_RANGE, format!("\"{}\"", wanted.sizes.sha256));
        }
        let response = self.send(request, ())?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK => {
                have = 0;
                empty(file, part)?;
            }
            status => return Err(self.strange(format!("{} is no file now ({status})", wanted.url.path()))),
        }
        if sizes(&response).is_some_and(|now| now != wanted.sizes) {
            return Err(self.strange(format!("{} is another file now", wanted.url.path())));
        }
        let mut body = response.into_body().into_reader().take(size - have);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            progress(have);
            let n = body.read(&mut piece).map_err(|error| self.cut(&error))?;
            if n == 0 {
                break;
            }
            file.write_all(&piece[..n]).map_err(|error| here("cannot write", part, &error))?;
            have += n as u64;
        }
        if have < size { Err(self.cut(&format!("{have} of {size} bytes came"))) } else { Ok(()) }
    }

    /// Asks for a mix, `gains` as `stem:gain,stem:gain`: where it is, and whether it is there yet.
    pub(crate) fn mix(&self, id: &JobId, gains: &str, format: Option<&str>) -> Result<(Url, Mix)> {
        let url = self
            .at(&format!("v2/jobs/{id}/mix"), &[("gains", gains), ("format", format.unwrap_or_default())]);
        // One byte, for the head of the answer: a request without a body would have no words for what is wrong.
        let request = self.ask_at(Method::GET, &url).header(header::RANGE, "bytes=0-0");
        let response = self.send(request, ())?;
        if response.status() == StatusCode::ACCEPTED {
            return Ok((url, Mix::Later(Box::new(self.read(response)?))));
        }
        let sizes = sizes(&response).ok_or_else(|| self.strange("the mix has no length or no checksum"))?;
        Ok((url, Mix::Ready(sizes)))
    }
}

/// What the head of an answer says of a whole file.
fn sizes(response: &Response<Body>) -> Option<Sizes> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let sha256 = header(header::ETAG)?.strip_prefix('"')?.strip_suffix('"')?.to_owned();
    let length = match header(header::CONTENT_RANGE) {
        Some(range) => range.rsplit_once('/')?.1,
        None => header(header::CONTENT_LENGTH)?,
    };
    Some(Sizes { size_bytes: length.parse().ok()?, sha256 })
}

/// Whether the very file is at its place already.
fn is_there(target: &Path, sizes: &Sizes) -> bool {
    let same = |mut file: File| {
        file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == sizes.size_bytes)
            && sha256(&mut file).is_ok_and(|found| found == sizes.sha256)
    };
    File::open(target).is_ok_and(same)
}

fn part_of(target: &Path, sizes: &Sizes) -> Result<PathBuf> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let is_hash = sizes.sha256.len() == 64 && sizes.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash {
        return Err(Error::Here(format!("{} has no checksum to go by", target.display())));
    }
    Ok(target.with_file_name(format!(".{name}.{}.part", &sizes.sha256[..16])))
}

/// Opens a part for this process alone.
fn open(part: &Path) -> Result<File> {
    let opened = File::options().read(true).append(true).create(true).open(part);
    let file = opened.map_err(|error| here("cannot write", part, &error))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Error::Here(format!("{} is being fetched by another process", part.display())))
        }
        // Where there are no locks, nobody is kept out.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

fn empty(file: &File, part: &Path) -> Result<()> {
    file.set_len(0).map_err(|error| here("cannot write", part, &error))
}

fn length(file: &File, part: &Path) -> Result<u64> {
    file.metadata().map(|meta| meta.len()).map_err(|error| here("cannot read", part, &error))
}

fn sha256(file: &mut File) -> std::io::Result<String> {
    file.rewind()?;
    Ok(common::SongHash::new(separation::hash(file)?).to_string())
}

fn here(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Here(format!("{what} {}: {error}", path.display()))
}
