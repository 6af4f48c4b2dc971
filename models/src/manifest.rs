//! What was installed, beside the file itself: enough to notice damage without parsing.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Read, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::error::{Attempt as _, ModelsError};

/// Largest file that is taken for weights, 1 GiB; the largest known has 174 MB.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 30;

/// `<signature>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Identity of the network, hex.
    pub(crate) fingerprint: String,
    /// Of the safetensors file, hex.
    pub(crate) sha256: String,
    pub(crate) size_bytes: u64,
    pub(crate) tensors: usize,
    pub(crate) parameters: usize,
    /// Stems in the order of the output.
    pub(crate) sources: Vec<String>,
    /// Where the weights came from.
    pub(crate) origin: String,
}

impl Manifest {
    /// The manifest in that file; `None` if there is no such file.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, ModelsError> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes.attempt("read", path)?,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| ModelsError::Damaged {
            path: path.to_owned(),
            reason: format!("it is not a whole manifest ({error})"),
        })
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Plain texts and numbers always have a JSON form.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

/// SHA-256 as 64 hex digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads a whole file of bounded size.
pub(crate) fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, ModelsError> {
    let file = fs::File::open(path).attempt("read", path)?;
    let size_bytes = file.metadata().attempt("read", path)?.len();
    if size_bytes > limit_bytes {
        return Err(ModelsError::TooLarge { path: path.to_owned(), size_bytes, limit_bytes });
    }
    let mut bytes = Vec::with_capacity(size_bytes as usize);
    file.take(limit_bytes).read_to_end(&mut bytes).attempt("read", path)?;
    Ok(bytes)
}

/// Writes a file so that it is there completely or not at all.
pub(crate) fn write_atomic(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), ModelsError> {
    let path = dir.join(name);
    let mut file = NamedTempFile::new_in(dir).attempt("write into", dir)?;
    file.write_all(bytes).attempt("write", &path)?;
    file.as_file().sync_all().attempt("write", &path)?;
    readable_by_all(&file).attempt("write", &path)?;
    file.persist(&path).map_err(|error| error.error).attempt("write", &path)?;
    Ok(())
}

/// Temporary files are private; weights are not a secret, and a service may run as another user.
#[cfg(unix)]
fn readable_by_all(file: &NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &NamedTempFile) -> std::io::Result<()> {
    Ok(())
}
