//! Clients of a service whose connections break, and which is killed.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::network::{Network, STEMS};
use crate::service::{PATIENCE, Service, Talking};
use crate::support::tree;

/// Stands before a service and lets each of its first connections break after so many bytes of answers.
struct Breaking {
    port: u16,
    /// The values of `Range` that were asked for.
    ranges: Arc<Mutex<Vec<String>>>,
}

impl Breaking {
    fn before(service: &Service, connections: usize, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (port, to) = (listener.local_addr().expect("its number").port(), service.port());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&ranges);
        std::thread::spawn(move || {
            for (i, client) in listener.incoming().enumerate() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let left = if i < connections { bytes } else { usize::MAX };
                let (up, down) = (client.try_clone().expect("cloned"), server.try_clone().expect("cloned"));
                let heard = Arc::clone(&heard);
                std::thread::spawn(move || pass(up, server, usize::MAX, |text| hear(&heard, text)));
                std::thread::spawn(move || pass(down, client, left, |_| ()));
            }
        });
        Self { port, ranges }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn ranges(&self) -> Vec<String> {
        self.ranges.lock().expect("no panic").clone()
    }
}

/// Passes bytes on until an end, or until so many have gone.
fn pass(mut from: TcpStream, mut to: TcpStream, mut left: usize, hear: impl Fn(&str)) {
    let mut piece = [0; 4096];
    while left > 0 {
        let most = piece.len().min(left);
        let n = match from.read(&mut piece[..most]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Ok(n) if n > 0 => n,
            _ => break,
        };
        hear(&String::from_utf8_lossy(&piece[..n]));
        if to.write_all(&piece[..n]).is_err() {
            break;
        }
        left -= n;
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn hear(ranges: &Mutex<Vec<String>>, text: &str) {
    let found =
        text.lines().filter_map(|line| line.to_lowercase().strip_prefix("range: ").map(str::to_owned));
    ranges.lock().expect("no panic").extend(found);
}

/// A service, and a job on it with one stem of about 1 MB.
fn with_stem() -> (Service, String) {
    let service = Service::new(Network::Plain);
    let song = service.song("song", 250_000);
    let id = service.submit(&["--stems", "vocals", "--format", "wav", "--bits", "16", &song]);
    service.lines(&["watch", "-q", &id]);
    (service, id)
}

/// Parts that lie in a folder of the place.
fn parts(service: &Service, folder: &str) -> Vec<(PathBuf, u64)> {
    let dir = service.path(folder);
    if !dir.is_dir() {
        return Vec::new();
    }
    tree(&dir).into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "part")).collect()
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_broke_off() {
    let (service, id) = with_stem();
    service.lines(&["fetch", "-o", "whole", &id]);
    let breaking = Breaking::before(&service, 3, 200_000);
    let ran = service.run(&["fetch", "-o", "cut", "--server", &breaking.url(), &id]);
    ran.succeeds();
    assert!(ran.stderr.contains("broke off"), "{}", ran.stderr);
    assert_eq!(tree(&service.path("cut")), tree(&service.path("whole")), "nothing else lies there");
    let [cut, whole] = ["cut", "whole"].map(|dir| service.path(dir).join("htdemucs/Band - song/vocals.wav"));
    assert!(std::fs::read(cut).expect("there") == std::fs::read(whole).expect("there"));
    let ranges = breaking.ranges();
    assert!(ranges.len() >= 2 && ranges.iter().all(|range| range != "bytes=0-"), "{ranges:?}");
}

#[test]
fn a_fetch_that_is_killed_shows_nothing_and_the_next_one_goes_on() {
    let (service, id) = with_stem();
    let breaking = Breaking::before(&service, usize::MAX, 300_000);
    let mut fetch = Talking::start(service.client(&["fetch", "-o", "cut", "--server", &breaking.url(), &id]));
    let end = Instant::now() + PATIENCE;
    while !parts(&service, "cut").iter().any(|(_, length)| *length > 0) {
        assert!(Instant::now() < end, "nothing came");
        std::thread::sleep(Duration::from_millis(5));
    }
    fetch.child.kill().expect("killed");
    fetch.child.wait().expect("it was there");
    let left = parts(&service, "cut");
    let files = tree(&service.path("cut")).into_iter().filter(|(_, length)| *length > 0);
    assert_eq!(files.collect::<Vec<_>>(), left, "only a part");
    let direct = Breaking::before(&service, 0, 0);
    let path = service.lines(&["fetch", "-o", "cut", "--server", &direct.url(), &id]);
    assert_eq!(path, ["cut/htdemucs/Band - song/vocals.wav"]);
    assert_eq!(direct.ranges(), [format!("bytes={}-", left[0].1)]);
    let fetched = tree(&service.path("cut"));
    // What is there is not fetched again; what was changed is, and a part with wrong bytes is thrown away.
    let again = Breaking::before(&service, 0, 0);
    service.lines(&["fetch", "-o", "cut", "--server", &again.url(), &id]);
    let file = service.path(&path[0]);
    let good = std::fs::read(&file).expect("there");
    std::fs::write(service.path("cut").join(&left[0].0), vec![7; 1000]).expect("written");
    std::fs::write(&file, "other").expect("written");
    service.lines(&["fetch", "-o", "cut", "--server", &again.url(), &id]);
    assert_eq!(again.ranges(), ["bytes=1000-"]);
    assert!(std::fs::read(&file).expect("there") == good && tree(&service.path("cut")) == fetched);
}

#[test]
fn bytes_that_were_not_promised_are_not_shown() {
    let (service, id) = with_stem();
    let store = service.path("store");
    let is_stem = |path: &PathBuf| path.ends_with("vocals.wav");
    let (stem, length) = tree(&store).into_iter().find(|(path, _)| is_stem(path)).expect("stored");
    std::fs::write(store.join(stem), vec![7; length as usize]).expect("written");
    service.run(&["fetch", "-q", "-o", "bad", &id]).fails_saying(&["has not the promised checksum"]);
    assert!(!service.path("bad").exists());
}

#[test]
fn a_song_survives_the_death_of_the_service_and_who_watches_it_sees_its_end() {
    let mut service = Service::with(Network::Plain, &["--span-segments", "2"]);
    let song = service.song("song", 44_100 * 20);
    let id = service.submit(&["--flac", &song]);
    let mut watch = service.client(&["watch", "--json", &id]);
    watch.stderr(Stdio::piped());
    let mut watch = Talking::start(watch);
    watch.line_with(&[r#""event":"progress""#, r#""state":"running""#]);
    service.kill();
    let said = watch.child.stderr.take().expect("a pipe");
    service.restart();
    let last = watch.lines.by_ref().map(|line| line.expect("text")).last().expect("it goes on");
    assert!(last.contains(r#""state":"succeeded""#), "{last}");
    assert!(watch.child.wait().expect("it ends").success());
    let said = std::io::read_to_string(said).expect("text");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.ends_with("; trying again\n"), "{said}");
    let far = service.lines(&["fetch", "-o", "far", &id]);
    let near = service.lines(&["separate", "--flac", "-o", "near", &song]);
    assert_eq!(far.len(), STEMS.len());
    for (far, near) in far.iter().zip(&near) {
        let [far, near] = [far, near].map(|path| std::fs::read(service.path(path)).expect("there"));
        assert!(far == near, "other bytes");
    }
}

#[test]
fn a_submission_with_wait_survives_the_death_of_the_service_too() {
    let mut service = Service::with(Network::Plain, &["--span-segments", "2"]);
    let song = service.song("song", 44_100 * 20);
    let command = service.client(&["submit", "--wait", "-q", "--stems", "vocals", &song]);
    let mut submit = Talking::start(command);
    let end = Instant::now() + PATIENCE;
    while !service.lines(&["jobs", "--json"]).iter().any(|job| job.contains(r#""state":"running""#)) {
        assert!(Instant::now() < end, "it does not begin");
    }
    service.kill();
    service.restart();
    let path = submit.lines.next().expect("a path").expect("text");
    assert!(service.path(&path).is_file(), "{path}");
    assert!(submit.child.wait().expect("it ends").success());
}

#[test]
fn who_stops_watching_does_not_stop_the_job() {
    let service = Service::without_workers(&[]);
    let id = service.submit(&[&service.song("song", 100)]);
    let mut watch = Talking::start({
        let mut watch = service.client(&["watch", "--json", &id]);
        watch.stderr(Stdio::piped());
        watch
    });
    watch.line_with(&[&id]);
    let pid = watch.child.id().to_string();
    let kill = std::process::Command::new("kill").args(["-INT", &pid]).status();
    assert!(kill.expect("kill").success());
    let status = watch.child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130));
    let mut said = String::new();
    watch.child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!(said.trim(), format!("msaas: the job goes on: msaas watch {id}"));
    assert!(service.lines(&["jobs"])[0].contains("queued"));
}
