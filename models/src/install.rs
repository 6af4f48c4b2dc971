//! Putting weights in place, and finding them again.

use std::fs;
use std::path::{Path, PathBuf};

use demucs::weights::{Checkpoint, Fingerprint};

use crate::error::ModelsError;
use crate::manifest::{MAX_FILE_BYTES, Manifest, read_bounded, sha256, write_atomic};

/// Weights in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledMember {
    /// Signature of the weights, or the name they were imported under.
    pub signature: String,
    /// The safetensors file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Identity of the network.
    pub fingerprint: Fingerprint,
    /// Number of tensors.
    pub tensors: usize,
    /// Number of values in all tensors.
    pub parameters: usize,
    /// Stems in the order of the output.
    pub sources: Vec<String>,
    /// Where the weights came from, for people.
    pub origin: String,
}

/// What is expected of weights before they are put in place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) signature: &'a str,
    pub(crate) fingerprint: Option<&'a str>,
    /// Empty: any.
    pub(crate) sources: &'a [&'a str],
}

impl InstalledMember {
    /// Finds installed weights, unless they are damaged; only file sizes are looked at.
    pub(crate) fn find(dir: &Path, signature: &str) -> Option<Self> {
        Self::look(dir, signature).ok().flatten()
    }

    /// Finds installed weights, or says which part of them is damaged; only file sizes are looked at.
    pub(crate) fn look(dir: &Path, signature: &str) -> Result<Option<Self>, ModelsError> {
        let (path, beside) = (weights_path(dir, signature), manifest_path(dir, signature));
        let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file);
        let damaged =
            |path: &Path, reason: String| Err(ModelsError::Damaged { path: path.to_owned(), reason });
        let (manifest, found) = match (Manifest::read(&beside)?, found) {
            (None, None) => return Ok(None),
            (Some(_), None) => return damaged(&path, "there is no such file any more".to_owned()),
            // It is written last.
            (None, Some(_)) => {
                return damaged(&path, format!("its manifest {} is missing", beside.display()));
            }
            (Some(manifest), Some(found)) => (manifest, found),
        };
        match (found.len(), manifest.size_bytes) {
            (len, size) if len < size => {
                return damaged(&path, format!("it is cut off after {len} of {size} bytes"));
            }
            (len, size) if len > size => {
                return damaged(&path, format!("it has {len} bytes instead of {size}"));
            }
            _ => {}
        }
        let Ok(fingerprint) = manifest.fingerprint.parse() else {
            return damaged(&beside, "its fingerprint is none".to_owned());
        };
        Ok(Some(Self {
            signature: signature.to_owned(),
            path,
            size_bytes: manifest.size_bytes,
            fingerprint,
            tensors: manifest.tensors,
            parameters: manifest.parameters,
            sources: manifest.sources,
            origin: manifest.origin,
        }))
    }

    /// Checks a network against what is expected of it, and puts it in place: the file first, its manifest last.
    pub(crate) fn put(
        dir: &Path,
        expected: &Expected<'_>,
        checkpoint: &Checkpoint,
        origin: &str,
    ) -> Result<Self, ModelsError> {
        let fingerprint = checkpoint.fingerprint();
        expected.check(&fingerprint, &checkpoint.sources())?;
        let bytes = checkpoint.to_safetensors()?;
        let manifest = Manifest {
            fingerprint: fingerprint.to_string(),
            sha256: sha256(&bytes),
            size_bytes: bytes.len() as u64,
            tensors: checkpoint.tensors.len(),
            parameters: checkpoint.parameters(),
            sources: checkpoint.sources().into_iter().map(str::to_owned).collect(),
            origin: origin.to_owned(),
        };
        let signature = expected.signature;
        write_atomic(dir, &format!("{signature}.safetensors"), &bytes)?;
        write_atomic(dir, &format!("{signature}.json"), &manifest.to_json())?;
        Ok(Self {
            signature: signature.to_owned(),
            path: weights_path(dir, signature),
            size_bytes: manifest.size_bytes,
            fingerprint,
            tensors: manifest.tensors,
            parameters: manifest.parameters,
            sources: manifest.sources,
            origin: manifest.origin,
        })
    }

    /// Reads the network, with the checksum of the file compared (84 MB in about 0.1 s).
    pub(crate) fn load(&self, dir: &Path) -> Result<Checkpoint, ModelsError> {
        let manifest = Manifest::read(&manifest_path(dir, &self.signature))?;
        let bytes = read_bounded(&self.path, MAX_FILE_BYTES)?;
        let read = Checkpoint::from_bytes(&bytes);
        if manifest.is_none_or(|manifest| manifest.sha256 != sha256(&bytes)) {
            let part = match read {
                Err(error) => error.to_string(),
                Ok(read) if read.fingerprint() != self.fingerprint => "values have changed".to_owned(),
                Ok(_) => "the description of the network has changed".to_owned(),
            };
            let reason = format!("its checksum is not that of the file that was installed ({part})");
            return Err(self.damaged(reason));
        }
        read.map_err(|error| self.damaged(error.to_string()))
    }

    pub(crate) fn damaged(&self, reason: impl Into<String>) -> ModelsError {
        ModelsError::Damaged { path: self.path.clone(), reason: reason.into() }
    }
}

impl Expected<'_> {
    /// Compares identity and stems.
    pub(crate) fn check(&self, fingerprint: &Fingerprint, sources: &[&str]) -> Result<(), ModelsError> {
        let other = |reason| Err(ModelsError::OtherNetwork { signature: self.signature.to_owned(), reason });
        if self.fingerprint.is_some_and(|expected| expected.parse().ok().as_ref() != Some(fingerprint)) {
            return other(format!("their fingerprint is {fingerprint}"));
        }
        if !self.sources.is_empty() && self.sources != sources {
            let (found, expected) = (sources.join(", "), self.sources.join(", "));
            return other(format!("their stems are {found} instead of {expected}"));
        }
        Ok(())
    }
}

pub(crate) fn weights_path(dir: &Path, signature: &str) -> PathBuf {
    dir.join(format!("{signature}.safetensors"))
}

pub(crate) fn manifest_path(dir: &Path, signature: &str) -> PathBuf {
    dir.join(format!("{signature}.json"))
}
