//! What the program says as a client when a server, or what was asked, is not as it should be.

use std::process::Stdio;

use common::SongHash;

use crate::service::{Service, json};
use crate::support::run;

#[test]
fn what_a_server_refuses_is_one_sentence() {
    let service = Service::without_workers(&["--upload-bytes", "100k"]);
    let unknown = format!("0-{}", "0".repeat(32));
    let missing = [&unknown, "answered 404 not_found: There is no such thing (request "];
    for command in ["watch", "fetch", "cancel", "delete"] {
        service.run(&[command, &unknown]).fails_saying(&missing);
    }
    let long = service.song("song", 60_000);
    service.run(&["submit", &long]).fails_saying(&["the file has 0.2 MB", "takes 0.1 MB"]);
    let short = service.song("short", 100);
    service.run(&["submit", "-n", "large", &short]).fails_saying(&["no network large, only small, htdemucs"]);
    service.run(&["submit", "--vbr", "0", &short]).fails_saying(&["constant bit rates only"]);
    let callback = service.run(&["submit", "--callback", "http://10.0.0.1/", &short]);
    callback.fails_saying(&["short.wav: ", "answered 422 invalid_callback"]);
    std::fs::write(service.path("text.mp3"), "no song at all, only words").expect("written");
    service.run(&["submit", "text.mp3"]).fails_saying(&["text.mp3: "]);
    assert_eq!(service.lines(&["jobs"]), [""; 0]);

    let events = service.run(&["watch", "--json", &unknown]);
    assert_eq!((events.code, &json(&events.stdout)["event"]), (Some(1), &"error".into()));
}

#[test]
fn a_bad_song_among_others_does_not_stop_them() {
    let service = Service::without_workers(&[]);
    std::fs::write(service.path("bad.mp3"), "words").expect("written");
    let good = service.song("good", 100);
    let ran = service.run(&["submit", "-q", "bad.mp3", &good]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(1), 1), "{ran:?}");
    assert!(ran.stderr.ends_with("msaas: 1 of 2 songs failed\n"), "{}", ran.stderr);
    assert_eq!(service.lines(&["songs"])[0], "Band - good");
}

#[test]
fn a_server_that_is_not_there_is_one_sentence() {
    let mut service = Service::without_workers(&[]);
    let song = service.song("song", 100);
    service.kill();
    let unknown = format!("0-{}", "0".repeat(32));
    let sentence = format!("{} cannot be reached: ", service.url());
    for args in [&["watch", &unknown][..], &["submit", &song], &["songs"], &["fetch", &unknown]] {
        service.run(args).fails_saying(&[&sentence]);
    }
    service.run(&["songs", "--server", "no address"]).fails_saying(&["no address is no address of a server"]);
}

#[test]
fn a_key_is_shown_to_the_server() {
    let digest = SongHash::new(separation::hash(&b"secret"[..]).expect("read"));
    let service = Service::without_workers(&["--auth", "key", "--keys", &format!("{digest} band")]);
    let mut with_key = service.client(&["jobs"]);
    run(with_key.env("MSAAS_KEY", "secret")).succeeds();
    let refused = ["answered 401 unauthorized: A valid key is needed (request "];
    service.run(&["jobs"]).fails_saying(&refused);
    service.run(&["jobs", "--key", "another"]).fails_saying(&refused);
    let reset = service.run(&["reset", "--yes", "--key", "secret"]);
    reset.fails_saying(&["answered 403 forbidden: The key does not allow this"]);
}

#[test]
fn a_reset_is_not_done_unasked() {
    let service = Service::without_workers(&[]);
    service.submit(&[&service.song("song", 100)]);
    service.run(&["reset"]).fails_saying(&["reset removes all songs and stems", "say --yes"]);
    assert_eq!(service.lines(&["jobs"]).len(), 1);
    assert_eq!(service.lines(&["reset", "--yes"]), [format!("{} is empty", service.url())]);
    assert_eq!(service.lines(&["jobs"]), [""; 0]);
}

#[test]
fn the_server_can_be_named_as_older_clients_do() {
    let service = Service::without_workers(&[]);
    let mut old = service.client(&["jobs"]);
    old.env_remove("MSAAS_SERVER").env("REST", format!("127.0.0.1:{}", service.port()));
    run(&mut old).succeeds();
}

#[test]
fn started_bare_without_a_terminal_it_shows_its_help() {
    let service = Service::without_workers(&[]);
    let ran = run(service.client(&[]).stdin(Stdio::null()));
    assert_eq!((ran.code, &*ran.stdout), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: msaas <COMMAND>") && ran.stderr.contains("submit"), "{}", ran.stderr);
}
