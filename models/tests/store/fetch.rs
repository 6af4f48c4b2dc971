//! Getting weights from sources.

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use models::{FetchEvent, ModelState, ModelStore, WEIGHTS_LICENCE};
use tempfile::tempdir;

use crate::host::{Answer, Host};
use crate::network::{checkpoint, config, ensure, file, store};

const OFFICIAL: &str = "/00000001.th";
const HUB: &str = "/owner/Model/resolve/main/00000001.safetensors";

#[test]
fn model_is_fetched_once_and_the_licence_shown_before() {
    let host = Host::start(&[(OFFICIAL, vec![Answer::File(file(1))])]);
    let dir = tempdir().unwrap();
    let store = store(dir.path(), Some(host.url()), None);
    let (installed, events) = ensure(&store, "small");
    assert_eq!(installed.unwrap().members[0].fingerprint, checkpoint(1).fingerprint());
    assert_eq!(events[0], WEIGHTS_LICENCE);
    assert_eq!(events[1], format!("fetching 00000001 from {}/00000001.th", host.url()));
    assert_eq!(events[2], "installed 00000001, 0.2 MB");
    let (again, events) = ensure(&store, "small");
    assert!(again.is_ok() && events.is_empty(), "{events:?}");
    assert_eq!(host.requests().len(), 1);
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["00000001.json", "00000001.lock", "00000001.safetensors"]);
}

#[test]
fn cut_connection_is_continued_where_it_ended() {
    let file = file(1);
    let answers =
        vec![Answer::Cut(file.clone(), 70_000), Answer::Cut(file.clone(), 50_000), Answer::File(file)];
    let host = Host::start(&[(OFFICIAL, answers)]);
    let dir = tempdir().unwrap();
    let (installed, events) = ensure(&store(dir.path(), Some(host.url()), None), "small");
    assert!(installed.is_ok(), "{events:?}");
    let ranges: Vec<_> =
        host.requests().into_iter().map(|request| (request.range, request.if_range)).collect();
    let range = |from: u32| (Some(format!("bytes={from}-")), Some("\"v1\"".to_owned()));
    assert_eq!(ranges, [(None, None), range(70_000), range(120_000)]);
}

#[test]
fn download_of_an_earlier_run_is_continued() {
    let dir = tempdir().unwrap();
    let first = Host::start(&[(OFFICIAL, vec![Answer::Cut(file(1), 70_000), Answer::Status(404)])]);
    let (failed, _) = ensure(&store(dir.path(), Some(first.url()), None), "small");
    assert!(failed.unwrap_err().contains("not found there (404)"));
    assert_eq!(fs::metadata(dir.path().join("00000001.th.part")).unwrap().len(), 70_000);

    let second = Host::start(&[(OFFICIAL, vec![Answer::File(file(1))])]);
    let mut progress = Vec::new();
    let store = store(dir.path(), Some(second.url()), None);
    let outcome = store.ensure("small", &mut |event| {
        if let FetchEvent::Progress { bytes, .. } = event {
            progress.push(bytes);
        }
    });
    assert!(outcome.is_ok());
    assert_eq!(second.requests()[0].range.as_deref(), Some("bytes=70000-"));
    assert_eq!(progress, [70_000, file(1).len() as u64]);
}

#[test]
fn host_without_ranges_starts_over_and_succeeds() {
    let answers = vec![Answer::Cut(file(1), 70_000), Answer::Whole(file(1))];
    let host = Host::start(&[(OFFICIAL, answers)]);
    let dir = tempdir().unwrap();
    assert!(ensure(&store(dir.path(), Some(host.url()), None), "small").0.is_ok());
}

#[test]
fn wrong_content_is_thrown_away_and_the_next_source_asked() {
    let mut wrong = file(1);
    wrong[150_000] ^= 1;
    let official = Host::start(&[(OFFICIAL, vec![Answer::File(wrong)])]);
    let hub = Host::start(&[(HUB, vec![Answer::File(file(1))])]);
    let dir = tempdir().unwrap();
    let (installed, events) = ensure(&store(dir.path(), Some(official.url()), Some(hub.url())), "small");
    assert!(installed.is_ok());
    let refused = format!("{}/00000001.th: wrong checksum, the file is not the expected one", official.url());
    assert!(events.contains(&refused), "{events:?}");
    assert!(!dir.path().join("00000001.th.part").exists());
    assert_eq!(official.requests().len(), 1);
}

#[test]
fn beginning_that_was_wrong_from_an_earlier_run_is_replaced() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("00000001.th.part"), [7; 1000]).unwrap();
    let host = Host::start(&[(OFFICIAL, vec![Answer::File(file(1))])]);
    let (installed, events) = ensure(&store(dir.path(), Some(host.url()), None), "small");
    assert!(installed.is_ok(), "{events:?}");
    assert!(events.iter().any(|event| event.starts_with("wrong checksum after continuing")), "{events:?}");
    assert_eq!(host.requests().len(), 2);
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let files = Host::start(&[("/elsewhere", vec![Answer::File(file(1))])]);
    let official = Host::start(&[(OFFICIAL, vec![Answer::Redirect(OFFICIAL.to_owned())])]);
    let hub = Host::start(&[(HUB, vec![Answer::Redirect(format!("{}/elsewhere", files.url()))])]);
    let dir = tempdir().unwrap();
    let (installed, events) = ensure(&store(dir.path(), Some(official.url()), Some(hub.url())), "small");
    assert!(installed.is_ok());
    assert!(events.iter().any(|event| event.ends_with("more than 5 redirects")), "{events:?}");
    assert_eq!(official.requests().len(), 6);
}

#[test]
fn source_that_does_not_have_it_is_passed_over() {
    let official = Host::start(&[]);
    let hub = Host::start(&[(HUB, vec![Answer::File(file(1))])]);
    let dir = tempdir().unwrap();
    let (installed, events) = ensure(&store(dir.path(), Some(official.url()), Some(hub.url())), "small");
    assert_eq!(installed.unwrap().members[0].origin, format!("{}{HUB}", hub.url()));
    assert!(events.iter().any(|event| event.ends_with("not found there (404)")), "{events:?}");
    assert_eq!(official.requests().len(), 1, "not found is not tried again");
}

#[test]
fn error_names_every_source_and_its_reason() {
    let official = Host::start(&[]);
    // A port that nobody listens on any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dir = tempdir().unwrap();
    let (failed, _) =
        ensure(&store(dir.path(), Some(official.url()), Some(format!("http://{gone}"))), "small");
    let text = failed.unwrap_err();
    assert!(text.starts_with("no source gave the weights 00000001: "), "{text}");
    assert!(text.contains("404") && text.to_lowercase().contains("refused"), "{text}");
}

#[test]
fn silent_host_does_not_hold_up_the_next_source() {
    let official = Host::start(&[(OFFICIAL, vec![Answer::Hang])]);
    let hub = Host::start(&[(HUB, vec![Answer::File(file(1))])]);
    let dir = tempdir().unwrap();
    let begin = Instant::now();
    let (installed, events) = ensure(&store(dir.path(), Some(official.url()), Some(hub.url())), "small");
    assert!(installed.is_ok());
    assert!(events.iter().any(|event| event.contains("no answer in time")), "{events:?}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn connection_that_falls_silent_is_taken_up_again() {
    let host = Host::start(&[(OFFICIAL, vec![Answer::Stall(file(1), 90_000), Answer::File(file(1))])]);
    let dir = tempdir().unwrap();
    let (installed, events) = ensure(&store(dir.path(), Some(host.url()), None), "small");
    assert!(installed.is_ok(), "{events:?}");
    assert_eq!(host.requests()[1].range.as_deref(), Some("bytes=90000-"));
}

#[test]
fn busy_host_is_asked_again() {
    let host =
        Host::start(&[(OFFICIAL, vec![Answer::Status(503), Answer::Status(429), Answer::File(file(1))])]);
    let dir = tempdir().unwrap();
    let (installed, events) = ensure(&store(dir.path(), Some(host.url()), None), "small");
    assert!(installed.is_ok());
    assert_eq!(events.iter().filter(|event| event.starts_with("the host is busy")).count(), 2, "{events:?}");
}

#[test]
fn host_that_stays_busy_is_given_up() {
    let host = Host::start(&[(OFFICIAL, vec![Answer::Status(500)])]);
    let dir = tempdir().unwrap();
    let (failed, _) = ensure(&store(dir.path(), Some(host.url()), None), "small");
    assert!(failed.unwrap_err().contains("the host is busy (500)"));
    assert_eq!(host.requests().len(), 3);
}

#[test]
fn file_of_another_size_is_refused_before_it_is_read() {
    let official = Host::start(&[(OFFICIAL, vec![Answer::File(vec![0; 5_000_000])])]);
    let hub = Host::start(&[(HUB, vec![Answer::Whole(file(1)[..1000].to_vec())])]);
    let dir = tempdir().unwrap();
    let (failed, _) = ensure(&store(dir.path(), Some(official.url()), Some(hub.url())), "small");
    let text = failed.unwrap_err();
    assert_eq!(text.matches(&format!("the file there does not have {} bytes", file(1).len())).count(), 2);
}

#[test]
fn folder_that_cannot_be_written_is_an_error_of_its_own() {
    let host = Host::start(&[(OFFICIAL, vec![Answer::File(file(1))])]);
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let store = store(&dir.path().join("file/models"), Some(host.url()), None);
    let (failed, _) = ensure(&store, "small");
    assert!(failed.unwrap_err().starts_with("cannot make the folder"));
    assert!(host.requests().is_empty());
    let taken = ModelStore::open(config(&dir.path().join("file"), None, None));
    assert!(taken.unwrap_err().to_string().starts_with("cannot use as a folder"));
}

#[test]
fn offline_store_asks_nobody() {
    let host = Host::start(&[(OFFICIAL, vec![Answer::File(file(1))])]);
    let dir = tempdir().unwrap();
    let mut config = config(dir.path(), Some(host.url()), None);
    config.offline = true;
    let (failed, events) = ensure(&ModelStore::open(config.clone()).unwrap(), "small");
    assert_eq!(failed.unwrap_err(), "weights 00000001 are not installed and cannot be fetched offline");
    assert!(events.is_empty() && host.requests().is_empty());

    let folder = tempdir().unwrap();
    fs::write(folder.path().join("00000001.safetensors"), file(1)).unwrap();
    config.local = Some(folder.path().to_owned());
    let (installed, events) = ensure(&ModelStore::open(config).unwrap(), "small");
    assert!(installed.is_ok() && !events.iter().any(|event| event == WEIGHTS_LICENCE), "{events:?}");
}

#[test]
fn local_folder_comes_first_but_a_wrong_file_there_does_not_win() {
    let host = Host::start(&[(OFFICIAL, vec![Answer::File(file(1))])]);
    let (dir, folder) = (tempdir().unwrap(), tempdir().unwrap());
    fs::write(folder.path().join("00000001.th"), file(2)).unwrap();
    fs::write(folder.path().join("00000001.safetensors"), file(3)).unwrap();
    let mut config = config(dir.path(), Some(host.url()), None);
    config.local = Some(folder.path().to_owned());
    let (installed, events) = ensure(&ModelStore::open(config).unwrap(), "small");
    assert!(installed.is_ok());
    assert!(events.iter().any(|event| event.contains("wrong checksum, the file is not what its name says")));
    assert!(events.iter().any(|event| event.contains("these are not the weights 00000001")), "{events:?}");
    assert_eq!(host.requests().len(), 1);
}

#[test]
fn two_at_once_download_once() {
    let host = Host::start(&[(OFFICIAL, vec![Answer::File(file(1))])]);
    let dir = tempdir().unwrap();
    let together = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = store(dir.path(), Some(host.url()), None);
                together.wait();
                assert!(ensure(&store, "small").0.is_ok());
            });
        }
    });
    assert_eq!(host.requests().len(), 1);
}

#[test]
fn one_stem_of_a_bag_fetches_one_network() {
    let paths =
        [("/00000002.th", vec![Answer::File(file(2))]), ("/00000003.th", vec![Answer::File(file(3))])];
    let host = Host::start(&paths);
    let dir = tempdir().unwrap();
    let store = store(dir.path(), Some(host.url()), None);
    store.ensure_for("bag", Some(&["vocals"]), &mut |_| ()).unwrap();
    assert_eq!(host.requests().len(), 1);
    assert_eq!(store.list().unwrap()[1].state, ModelState::Partial);
    let bag = store.load("bag", Some(&["vocals"])).unwrap();
    assert_eq!(bag.weights, Some(vec![vec![0.0, 1.0]]));
    assert_eq!(bag.fingerprints, [checkpoint(3).fingerprint()]);
    let missing = store.load("bag", None).unwrap_err().to_string();
    assert!(missing.starts_with("model `bag` is not installed: 1 of its weights are missing"), "{missing}");

    store.ensure("bag", &mut |_| ()).unwrap();
    assert_eq!(host.requests().len(), 2, "what is there is not fetched again");
    assert_eq!(store.load("bag", None).unwrap().members.len(), 2);
}

#[test]
fn fetching_anew_replaces_what_is_installed() {
    let host = Host::start(&[(OFFICIAL, vec![Answer::File(file(1))])]);
    let dir = tempdir().unwrap();
    let store = store(dir.path(), Some(host.url()), None);
    store.ensure("small", &mut |_| ()).unwrap();
    let path = dir.path().join("00000001.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    store.fetch("small", &mut |_| ()).unwrap();
    assert!(store.verify("small").is_ok());
}
