//! Settings of a store.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use demucs::weights::{MODELS, ModelSpec, OFFICIAL_BASE};

/// What a store needs to know.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Folder of the installed weights. Made when something is installed.
    pub dir: PathBuf,
    /// Fetch nothing over the network.
    pub offline: bool,
    /// Folder to look in before any host: official torch files, safetensors or the exported graph.
    pub local: Option<PathBuf>,
    /// The hosts to fetch from.
    pub hosts: Hosts,
    /// How long to wait and how often to try.
    pub limits: Limits,
    /// The models known by name; those of the `demucs` crate unless a fork brings its own.
    pub registry: &'static [ModelSpec],
}

impl StoreConfig {
    /// The folder, and the usual values for all the rest.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            offline: false,
            local: None,
            hosts: Hosts::default(),
            limits: Limits::default(),
            registry: &MODELS,
        }
    }
}

/// Where weights are published, in the order in which the sources are tried. `None` leaves a source out.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// Address under which the official torch files lie.
    pub official: Option<String>,
    /// A Hugging Face host.
    pub hugging_face: Option<String>,
    /// The npm program; its own configuration says which registry it asks.
    pub npm: Option<PathBuf>,
}

impl Default for Hosts {
    fn default() -> Self {
        Self {
            official: Some(OFFICIAL_BASE.to_owned()),
            hugging_face: Some("https://huggingface.co".to_owned()),
            npm: Some(PathBuf::from(if cfg!(windows) { "npm.cmd" } else { "npm" })),
        }
    }
}

/// Patience with a source.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest wait for a connection. Short, so that an unreachable host does not hold up the next source.
    pub connect: Duration,
    /// Longest silence in the middle of an answer.
    pub silence: Duration,
    /// Longest run of the npm program.
    pub npm: Duration,
    /// Attempts at one file in a row without a single new byte.
    pub attempts: u32,
    /// Pause before the second attempt; doubles each time.
    pub backoff: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            silence: Duration::from_secs(30),
            npm: Duration::from_mins(15),
            attempts: 4,
            backoff: Duration::from_millis(500),
        }
    }
}

/// The folder for models of this user: `msaas/models` in the platform's cache folder.
///
/// `$XDG_CACHE_HOME` or `~/.cache` on Unix, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows; without a
/// home, `.msaas/models` below the working directory.
#[must_use]
pub fn default_dir() -> PathBuf {
    dir_from(|name| env::var_os(name))
}

fn dir_from(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME");
    let cache = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        absolute("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache")))
    };
    cache.map_or_else(|| PathBuf::from(".msaas"), |cache| cache.join("msaas")).join("models")
}

#[cfg(all(test, not(windows), not(target_os = "macos")))]
mod tests {
    use super::*;

    fn dir(variables: &[(&str, &str)]) -> PathBuf {
        dir_from(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn cache_folder_of_the_platform_wins_over_home() {
        assert_eq!(dir(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]), PathBuf::from("/c/msaas/models"));
        assert_eq!(dir(&[("HOME", "/h")]), PathBuf::from("/h/.cache/msaas/models"));
    }

    #[test]
    fn relative_cache_folder_is_ignored() {
        assert_eq!(dir(&[("XDG_CACHE_HOME", "c"), ("HOME", "/h")]), PathBuf::from("/h/.cache/msaas/models"));
        assert_eq!(dir(&[]), PathBuf::from(".msaas/models"));
    }
}
