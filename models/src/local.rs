//! A folder on this machine that holds weights in any container.

use std::path::{Path, PathBuf};

use demucs::weights::MemberSpec;

use crate::error::Refusal;
use crate::manifest::{MAX_FILE_BYTES, read_bounded, sha256};
use crate::npm;

/// The files of the folder that may hold these weights, best first.
pub(crate) fn candidates(folder: &Path, member: &MemberSpec) -> Vec<PathBuf> {
    let signature = member.signature;
    let mut names = vec![member.official.name.to_owned(), member.hub.name.to_owned()];
    names.extend(["th", "safetensors", "onnx"].map(|extension| format!("{signature}.{extension}")));
    if let Some(npm) = member.npm {
        names.extend(npm.file.name.rsplit('/').next().map(str::to_owned));
        names.push(npm.tarball.name.to_owned());
    }
    names.dedup();
    names.into_iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect()
}

/// Content of a candidate. A name that carries a checksum has to keep its promise.
pub(crate) fn read(path: &Path, member: &MemberSpec) -> Result<Vec<u8>, Refusal> {
    let bytes = read_bounded(path, MAX_FILE_BYTES).map_err(|error| Refusal::Next(chain(&error)))?;
    let named = |name: &str| path.file_name().is_some_and(|file| file == name);
    if named(member.official.name) && sha256(&bytes) != member.official.sha256 {
        return Err(Refusal::Next("wrong checksum, the file is not what its name says".to_owned()));
    }
    match member.npm {
        Some(npm) if named(npm.tarball.name) => npm::unpack(&bytes, &npm),
        _ => Ok(bytes),
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
