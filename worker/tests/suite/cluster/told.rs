//! What chart and manifests say of each container, as `scripts/cluster-check.sh` writes it down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// A container that runs a program of ours, or Redis.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Container {
    pub(super) command: Vec<String>,
    /// Values; `secret NAME/KEY` where they are in one.
    pub(super) env: BTreeMap<String, String>,
    /// By what it asks for: `readinessProbe` and the like.
    pub(super) probes: BTreeMap<String, Probe>,
    /// Seconds from the signal to stop to the end of patience.
    pub(super) grace_s: u64,
}

/// What is asked.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Probe {
    /// None where a connection is enough.
    pub(super) path: Option<String>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the repository.
pub(super) fn file(path: &str) -> PathBuf {
    repository().join(path)
}

fn told() -> BTreeMap<String, Value> {
    serde_json::from_str(&std::fs::read_to_string(file("k8s/programs.json")).unwrap()).unwrap()
}

/// The figures that autoscalers look at.
pub(super) fn figures() -> BTreeSet<String> {
    let told = told();
    let figures = told.values().filter_map(|told| told["figures"].as_array()).flatten();
    figures.map(|figure| figure.as_str().unwrap().to_owned()).collect()
}

/// All containers by name, as in `overlay local: Deployment/rest: rest`.
pub(super) fn containers() -> BTreeMap<String, Container> {
    let containers = told().into_iter().filter(|(_, told)| told["command"].is_array());
    containers.map(|(name, told)| (name, serde_json::from_value(told).unwrap())).collect()
}

impl Container {
    /// The one of this name.
    pub(super) fn named(name: &str) -> Self {
        containers().remove(name).unwrap_or_else(|| panic!("no container is called {name}"))
    }

    /// The path of a probe.
    pub(super) fn path(&self, probe: &str) -> &str {
        self.probes[probe].path.as_deref().unwrap()
    }

    /// The program's name, without its folder.
    pub(super) fn program(&self) -> &str {
        self.command[0].rsplit('/').next().unwrap()
    }

    /// Its command with the program as it was built here.
    pub(super) fn built(&self) -> Vec<String> {
        // Beside the worker: all programs of the workspace are built into one folder.
        let program = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name(self.program());
        assert!(program.is_file(), "{} is not built: use cargo with --workspace", program.display());
        let mut command = self.command.clone();
        command[0] = program.display().to_string();
        command
    }
}
