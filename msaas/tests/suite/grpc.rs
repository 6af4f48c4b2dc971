//! gRPC, by a client that is not ours: `scripts/grpc_client.py`, which knows the service by reflection alone.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::SongHash;
use tags::Container;

use crate::network::Network;
use crate::service::{PATIENCE, Service, file_server};
use crate::support::run;

/// Runs checks of the client; they fail with a sentence.
#[track_caller]
fn checks(service: &Service, args: &[&str]) -> Vec<String> {
    let python = std::env::var_os("MSAAS_TEST_PYTHON").map(PathBuf::from);
    let python = python.expect("MSAAS_TEST_PYTHON: eval \"$(scripts/servers.sh)\"");
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/grpc_client.py");
    let mut command = Command::new(python);
    command.arg(client).arg(format!("localhost:{}", service.grpc_port())).args(args);
    let ran = run(&mut command);
    ran.succeeds().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_song_is_submitted_watched_and_downloaded_and_errors_have_their_codes() {
    let service = Service::new(Network::Plain);
    let (song, other) = (service.song("Tune", 60_000), service.song("Other", 44_100 * 30));
    checks(&service, &["health", "scenario", &song, "errors", "cancel", &other]);
}

#[test]
fn a_song_behind_a_link_is_fetched() {
    let source = Service::without_workers(&[]);
    let song = source.song("Tune", 60_000);
    let port = file_server(std::fs::read(&song).expect("written"));
    let service = Service::without_workers(&["--links", "--link-allow", &format!("127.0.0.1:{port}")]);
    checks(&service, &["link", &format!("http://127.0.0.1:{port}/tune.wav"), &song]);
}

#[test]
fn a_hundred_mebibytes_need_no_memory() {
    let service = Service::without_workers(&[]);
    let song = service.path("large.mp3");
    let mut frame = vec![7; 417];
    frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x64]);
    std::fs::write(&song, frame.repeat((100 << 20) / frame.len() + 1)).expect("written");
    let mut file = std::fs::File::open(&song).expect("there");
    assert_eq!(tags::sniff(&mut file).expect("a song").container, Container::Mp3);
    let hash =
        SongHash::new(separation::hash(&mut std::fs::File::open(&song).expect("there")).expect("read"));
    let id = service.id().to_string();
    let song = song.to_str().expect("utf-8");
    let lines = checks(&service, &["memory", song, &hash.to_string(), &id]);
    println!("{}", lines.join("\n"));
}

#[test]
fn keys_are_asked_for_as_on_http() {
    let digest = SongHash::new(separation::hash(&b"key-one"[..]).expect("read"));
    let service = Service::without_workers(&["--auth", "key", "--keys", &format!("{digest} one")]);
    checks(&service, &["keys", "key-one", "health"]);
}

#[test]
fn connections_are_as_many_as_the_settings_say() {
    let service = Service::without_workers(&["--connections", "1"]);
    let connect = || TcpStream::connect(("127.0.0.1", service.grpc_port())).expect("the system takes it");
    let (mut first, mut second) = (connect(), connect());
    // A server of HTTP/2 speaks first.
    let mut word = [0; 9];
    first.read_exact(&mut word).expect("it has the place");
    second.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
    assert_eq!(second.read(&mut word).expect_err("it has none").kind(), ErrorKind::WouldBlock);
    drop(first);
    second.set_read_timeout(Some(PATIENCE)).expect("set");
    second.read_exact(&mut word).expect("now it has");
}

#[test]
fn with_a_certificate_it_is_spoken_under_tls_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let [key, certificate] =
        ["key", "certificate"].map(|name| folder.path().join(name).to_str().expect("utf-8").to_owned());
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]);
    run(openssl.args(["-keyout", &key, "-out", &certificate])).succeeds();
    let service = Service::without_workers(&["--grpc-tls-cert", &certificate, "--grpc-tls-key", &key]);
    checks(&service, &["tls", &certificate]);
}
