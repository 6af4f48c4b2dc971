//! Weights that are there: listed, checked, loaded, brought in.

use std::fs;
use std::path::Path;

use models::{ModelState, ModelStore, ModelsError};
use tempfile::tempdir;

use crate::network::{SOURCES, checkpoint, file, store};

const TORCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../demucs/tests/fixtures/tiny.th");

fn installed(dir: &Path) -> ModelStore {
    let store = store(dir, None, None);
    let brought = tempdir().expect("a folder");
    let path = brought.path().join("anything.bin");
    fs::write(&path, file(1)).expect("a file");
    let installed = store.import(&path, None).expect("a sound checkpoint");
    assert_eq!(installed.name, "00000001", "recognised by its content");
    store
}

#[test]
fn list_tells_what_is_there() {
    let dir = tempdir().unwrap();
    let missing = store(&dir.path().join("nowhere"), None, None).list().unwrap();
    assert!(missing.iter().all(|status| status.state == ModelState::Absent));
    let list = installed(dir.path()).list().unwrap();
    let states: Vec<_> = list.iter().map(|status| (status.name.as_str(), status.state)).collect();
    assert_eq!(states, [("small", ModelState::Installed), ("bag", ModelState::Absent)]);
    assert_eq!(list[0].sources, SOURCES);
    assert_eq!(list[0].installed[0].parameters, 50_000);
}

#[test]
fn loaded_network_is_the_one_that_was_installed() {
    let dir = tempdir().unwrap();
    let bag = installed(dir.path()).load("small", Some(&["drums"])).unwrap();
    assert_eq!(bag.members[0].fingerprint(), checkpoint(1).fingerprint());
    assert_eq!(bag.members[0].kwargs, checkpoint(1).kwargs);
    assert_eq!((bag.weights, bag.sources), (None, vec!["drums".to_owned(), "vocals".to_owned()]));
}

#[test]
fn damage_on_disk_is_noticed_before_anything_is_computed() {
    let dir = tempdir().unwrap();
    let store = installed(dir.path());
    let path = dir.path().join("00000001.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    for error in [store.load("small", None).unwrap_err(), store.verify("small").unwrap_err()] {
        assert!(matches!(error, ModelsError::Damaged { .. }), "{error}");
        let end = "installed (values have changed); fetch or import the model again";
        assert!(error.to_string().ends_with(end), "{error}");
    }
    fs::write(&path, &bytes[..1000]).unwrap();
    assert!(matches!(store.load("small", None), Err(ModelsError::NotInstalled { .. })));
}

#[test]
fn damage_to_an_imported_network_is_told_by_its_part() {
    let dir = tempdir().unwrap();
    let store = store(dir.path(), None, None);
    let [weights, manifest] = ["safetensors", "json"].map(|kind| dir.path().join(format!("own.{kind}")));
    let import = || {
        let brought = tempdir().unwrap();
        let path = brought.path().join("own.th");
        fs::write(&path, file(2)).unwrap();
        store.import(&path, Some("own")).unwrap();
        [&weights, &manifest].map(|path| fs::read(path).unwrap())
    };
    let fails = |path: &Path, reason: &str| {
        let sentence = format!("{} is damaged: {reason}; fetch or import the model again", path.display());
        assert_eq!(store.load("own", None).unwrap_err().to_string(), sentence);
        assert_eq!(store.ensure("own", &mut |_| ()).unwrap_err().to_string(), sentence);
        assert_eq!(store.verify("own").unwrap_err().to_string(), sentence);
        let list = store.list().unwrap();
        let status = list.iter().find(|status| status.name == "own");
        assert_eq!(status.map(|status| status.state), path.exists().then_some(ModelState::Damaged));
    };
    let [whole, text] = import();
    fs::write(&weights, &whole[..1000]).unwrap();
    fails(&weights, &format!("it is cut off after 1000 of {} bytes", whole.len()));
    fs::write(&weights, [&whole[..], b"!"].concat()).unwrap();
    fails(&weights, &format!("it has {} bytes instead of {}", whole.len() + 1, whole.len()));
    fs::write(&weights, &whole).unwrap();
    fs::write(&manifest, &text[..20]).unwrap();
    let reason = "it is not a whole manifest (EOF while parsing a string at line 2 column 18)";
    fails(&manifest, reason);
    let other = String::from_utf8(text).unwrap().replace("\"fingerprint\": \"", "\"fingerprint\": \"x");
    fs::write(&manifest, other).unwrap();
    fails(&manifest, "its fingerprint is none");
    import();
    assert!(store.verify("own").is_ok());
}

#[test]
fn a_part_of_an_imported_network_that_is_gone_is_named() {
    let dir = tempdir().unwrap();
    let store = store(dir.path(), None, None);
    store.import(Path::new(TORCH), Some("own")).unwrap();
    let [weights, manifest] = ["safetensors", "json"].map(|kind| dir.path().join(format!("own.{kind}")));
    let load = || store.load("own", None).unwrap_err().to_string();
    let whole = fs::read(&weights).unwrap();
    fs::remove_file(&weights).unwrap();
    assert!(load().contains("own.safetensors is damaged: there is no such file any more"), "{}", load());
    fs::write(&weights, whole).unwrap();
    fs::remove_file(&manifest).unwrap();
    assert!(load().contains(&format!("its manifest {} is missing", manifest.display())), "{}", load());
    fs::remove_file(&weights).unwrap();
    assert!(load().starts_with("unknown model `own`"), "{}", load());
}

#[test]
fn network_under_a_false_name_is_noticed() {
    let dir = tempdir().unwrap();
    let store = installed(dir.path());
    let own = dir.path().join("own.th");
    fs::write(&own, file(2)).unwrap();
    store.import(&own, Some("own")).unwrap();
    for extension in ["json", "safetensors"] {
        let from = dir.path().join(format!("own.{extension}"));
        fs::copy(from, dir.path().join(format!("00000001.{extension}"))).unwrap();
    }
    for error in [store.load("small", None).unwrap_err(), store.verify("small").unwrap_err()] {
        assert!(error.to_string().contains("these are not the weights 00000001"), "{error}");
    }
}

#[test]
fn imported_network_lives_under_its_own_name() {
    let dir = tempdir().unwrap();
    let store = store(dir.path(), None, None);
    store.import(Path::new(TORCH), Some("my-model")).unwrap();
    assert_eq!(store.list().unwrap().last().unwrap().name, "my-model");
    assert_eq!(store.load("my-model", Some(&["vocals"])).unwrap().members[0].tensors.len(), 3);
    assert!(store.verify("my-model").is_ok());
    assert!(store.ensure("my-model", &mut |_| ()).is_ok());
    let error = store.load("my-model", Some(&["piano"])).unwrap_err().to_string();
    assert_eq!(error, "model `my-model` has no stem `piano`, it has drums, vocals");
}

#[test]
fn import_refuses_what_is_not_as_named() {
    let dir = tempdir().unwrap();
    let store = store(dir.path(), None, None);
    let import = |name: Option<&str>| store.import(Path::new(TORCH), name).unwrap_err().to_string();
    assert!(import(Some("small")).starts_with("these are not the weights 00000001: their fingerprint is"));
    assert!(import(Some("00000002")).starts_with("these are not the weights 00000002"));
    assert!(
        import(Some("bag")).contains("unknown model `bag for a single file`, known are 00000002, 00000003")
    );
    assert!(import(None).ends_with("is none of the known models, give it a name"));
    for name in ["", "../x", "A", "a b", "a/b", &"x".repeat(65)] {
        assert!(import(Some(name)).contains("cannot name a model"), "{name}");
    }
    assert!(store.list().unwrap().iter().all(|status| status.state == ModelState::Absent));
}

#[test]
fn import_recognises_a_network_by_the_name_of_its_file() {
    let (dir, brought) = (tempdir().unwrap(), tempdir().unwrap());
    let store = store(dir.path(), None, None);
    let path = brought.path().join("00000002-abcdef01.th");
    fs::write(&path, file(2)).unwrap();
    assert_eq!(store.import(&path, Some("bag")).unwrap().members[0].signature, "00000002");
    fs::write(&path, file(3)).unwrap();
    assert_eq!(store.import(&path, None).unwrap().members[0].signature, "00000003", "content before name");
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let dir = tempdir().unwrap();
    let store = store(dir.path(), None, None);
    for name in ["nothing", "../etc/passwd", ""] {
        let error = store.load(name, None).unwrap_err().to_string();
        assert_eq!(error, format!("unknown model `{name}`, known are small, bag"));
    }
    for own in ["one", "a-second"] {
        store.import(Path::new(TORCH), Some(own)).unwrap();
    }
    fs::write(dir.path().join("one.safetensors"), "damaged").unwrap();
    fs::write(dir.path().join("settings.json"), "{}").unwrap();
    let error = store.load("nothing", None).unwrap_err().to_string();
    assert_eq!(error, "unknown model `nothing`, known are small, bag, a-second, one");
}

#[test]
fn files_that_are_no_weights_are_refused_in_one_sentence() {
    let dir = tempdir().unwrap();
    let store = store(dir.path(), None, None);
    let path = dir.path().join("song.mp3");
    fs::write(&path, b"ID3....").unwrap();
    assert!(store.import(&path, Some("own")).unwrap_err().to_string().starts_with("not a checkpoint"));
    let missing = store.import(&dir.path().join("nothing"), Some("own")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read"), "{missing}");
}
