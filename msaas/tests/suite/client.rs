//! The program as a client of a service.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use common::SongHash;
use serde_json::Value;

use crate::network::{Network, STEMS};
use crate::service::{Service, Talking, file_server, json};

const FRAMES: usize = 60_000;

fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_song_that_is_submitted_comes_back_as_the_files_of_a_separation_here() {
    let service = Service::new(Network::Plain);
    let song = service.song("song", FRAMES);
    let options = ["--flac", "--mix", "karaoke:vocals=0,bass=0.5", "--shifts", "1"];
    let paths = service.lines(&[&["submit", "--wait", "-o", "far"], &options[..], &[&song]].concat());
    service.lines(&[&["separate", "-o", "near"], &options[..], &[&song]].concat());
    let names: Vec<_> = STEMS.iter().chain(&["karaoke"]).map(|name| format!("{name}.flac")).collect();
    let far: Vec<_> = names.iter().map(|name| format!("far/htdemucs/song/{name}")).collect();
    assert_eq!(paths, far);
    for name in &names {
        let [far, near] =
            ["far", "near"].map(|dir| bytes(service.path(dir).join("htdemucs/song").join(name)));
        assert!(far == near, "{name}");
    }
}

#[test]
fn a_job_is_submitted_watched_listed_and_fetched_step_by_step() {
    let service = Service::new(Network::Plain);
    let song = service.song("Tune", FRAMES);
    let id = service.submit(&["--stems", "bass,vocals", &song]);
    let watched = service.run(&["watch", &id]);
    assert_eq!(watched.succeeds(), [format!("{id} succeeded")]);
    for said in ["Band - Tune: bass is ready", "Band - Tune: vocals is ready", "Band - Tune: succeeded"] {
        assert!(watched.stderr.lines().any(|line| line == said), "{said}: {}", watched.stderr);
    }
    // The same work is the same job, and its end is told to who comes late.
    assert_eq!(service.submit(&["--stems", "vocals,bass", &song]), id);
    let events: Vec<Value> = service.lines(&["watch", "--json", &id]).iter().map(|line| json(line)).collect();
    let last = &events[events.len() - 1];
    assert_eq!((&last["state"], &last["progress"]["percent"]), (&"succeeded".into(), &100.into()));

    let fetched = service.lines(&["fetch", &id]);
    assert_eq!(
        fetched,
        ["bass", "vocals"].map(|stem| format!("{}/htdemucs/Band - Tune/{stem}.mp3", out(&service)))
    );
    let stem = &last["stems"][1];
    let hash = SongHash::new(separation::hash(&bytes(&fetched[1])[..]).expect("read")).to_string();
    assert_eq!((&stem["name"], stem["sha256"].as_str()), (&"vocals".into(), Some(&*hash)));
    service.run(&["fetch", &id, "flute"]).fails_saying(&["has no flute, only bass, vocals"]);

    let other = service.submit(&["--stems", "drums", &song]);
    service.lines(&["watch", "-q", &other]);
    let songs = service.lines(&["songs"]);
    assert_eq!(songs[0], "Band - Tune");
    assert_eq!(songs[1], format!("  {other}  succeeded  100 %  mp3   drums"));
    assert_eq!(songs[2], format!("  {id}  succeeded  100 %  mp3   bass, vocals"));
    assert_eq!(json(&service.lines(&["songs", "--json"])[0])["jobs"][1]["id"], *id);
    let jobs = service.lines(&["jobs"]);
    assert!(jobs.len() == 2 && jobs[1].starts_with(&*id), "{jobs:?}");
    assert!(jobs[1].contains("0.2 MB") && jobs[1].contains(" s  Band - Tune"), "{}", jobs[1]);
    assert_eq!(service.lines(&["jobs", "--state", "failed"]), [""; 0]);
    assert_eq!(service.lines(&["delete", &other]), [format!("{other} deleted")]);
    assert_eq!(service.lines(&["jobs", "--json"]).len(), 1);
}

fn out(service: &Service) -> String {
    service.path("out").display().to_string()
}

#[test]
fn a_mix_is_made_by_the_server_and_is_that_of_a_separation_here() {
    let service = Service::new(Network::Plain);
    let song = service.song("song", FRAMES);
    let id = service.submit(&["--stems", "drums", &song]);
    let paths = service.lines(&["mix", &id, "vocals=0,drums=1.5", "--format", "wav"]);
    assert_eq!(paths, [format!("{}/htdemucs/Band - song/mix.wav", out(&service))]);
    let options = ["--format", "wav", "--bits", "16", "--mix", "vocals=0,drums=1.5"];
    service.lines(&[&["separate", "-o", "near"], &options[..], &[&song]].concat());
    assert!(bytes(&paths[0]) == bytes(service.path("near/htdemucs/song/mix.wav")));
    service.run(&["mix", &id, "flute=1"]).fails_saying(&["flute"]);
}

#[test]
fn a_song_behind_a_link_is_fetched_by_the_server_and_its_usual_network_is_that_of_the_command_line() {
    let song = bytes(Service::without_workers(&[]).song("Tune", FRAMES));
    let port = file_server(song);
    let link = format!("http://127.0.0.1:{port}/songs/a%20tune.wav?of=the+band");
    let service = Service::of_small(&["--links", "--link-allow", &format!("127.0.0.1:{port}")]);
    let submit = |args: &[&str]| {
        let mut client = service.client(&[&["submit", "--wait"], args].concat());
        // The server's own.
        crate::support::run(client.env("MSAAS_MODEL", ""))
    };
    let ran = submit(&["--stems", "bass", &link]);
    assert_eq!(ran.succeeds(), [format!("{}/small/a%20tune/bass.mp3", out(&service))]);
    let ran = submit(&["--stems", "none", "--mix", "karaoke:vocals=0", &link]);
    assert_eq!(ran.succeeds(), [format!("{}/small/a%20tune/karaoke.mp3", out(&service))]);
    assert_eq!(json(&service.lines(&["jobs", "--json"])[0])["title"], "Tune");
    submit(&["http://127.0.0.1:8000/x.wav"])
        .fails_saying(&["422 invalid_link", "no host of the public internet"]);
    let closed = Service::without_workers(&[]);
    closed.run(&["submit", &link]).fails_saying(&["403 links_off", "takes no songs by link"]);
}

#[test]
fn a_canceled_job_ends_as_canceled() {
    let service = Service::without_workers(&[]);
    let song = service.song("song", FRAMES);
    let id = service.submit(&[&song]);
    assert!(service.lines(&["songs"])[1].ends_with("queued       0 %  mp3"));
    assert_eq!(service.lines(&["cancel", &id]), [format!("{id} canceled")]);
    assert_eq!(service.lines(&["cancel", &id]), [format!("{id} canceled")]);
    let canceled = format!("msaas: job {id} was canceled");
    service.run(&["watch", "-q", &id]).fails_with(1, &[&canceled]);
    service.run(&["fetch", "-q", &id]).fails_with(1, &[&canceled]);
}

#[test]
fn the_menu_separates_lists_downloads_mixes_and_removes() {
    let service = Service::new(Network::Plain);
    service.song("tune", FRAMES);
    let mut menu = service.client(&["menu"]);
    menu.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = menu.spawn().expect("it starts");
    let said = [
        // The first song here, the usual network, two stems, the usual format; and wait.
        "1",
        "1",
        "",
        "bass,vocals",
        "",
        "y",
        // List; something that does not exist; one stem of the song into another folder; a mix of it.
        "2",
        "9",
        "4",
        "1",
        "vocals",
        "elsewhere",
        "5",
        "1",
        "vocals=0",
        // Not all goes when that is not confirmed, and all goes when it is.
        "7",
        "n",
        "2",
        "7",
        "y",
        "2",
        "",
    ];
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all((said.join("\n") + "\n").as_bytes()).expect("heard");
    drop(input);
    let ran = crate::support::ran(child.wait_with_output().expect("it ends"));
    ran.succeeds();
    for file in ["out/htdemucs/tune/bass.mp3", "elsewhere/htdemucs/Band - tune/vocals.mp3"] {
        assert!(service.path(file).is_file(), "{file}: {ran:?}");
    }
    assert!(service.path("out/htdemucs/Band - tune/mix.mp3").is_file(), "{ran:?}");
    let listed = ran.stdout.matches("succeeded  100 %  mp3   bass, vocals").count();
    assert!(listed >= 2 && ran.stdout.contains("9 is none of them"), "{ran:?}");
    assert!(ran.stdout.trim_end().ends_with("7 [leave]:"), "{ran:?}");
    assert_eq!(ran.stdout.matches("there is no song yet").count(), 1, "{ran:?}");
}

#[test]
fn log_lines_of_a_service_are_printed_as_they_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("socket");
    let program = std::env::var("MSAAS_TEST_VALKEY")
        .expect("MSAAS_TEST_VALKEY names a Valkey or Redis server: eval \"$(scripts/servers.sh)\"");
    let mut valkey = std::process::Command::new(program);
    valkey.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket);
    // It says that it is ready before anyone connects.
    let mut valkey = Talking::start(valkey);
    valkey.line_with(&["Ready to accept connections"]);
    let url = format!("unix://{}", socket.display());
    let service = Service::without_workers(&["--redis-url", &url]);
    let mut logs = Talking::start(service.client(&["logs", "--follow", "--redis-url", &url]));
    let id = service.submit(&[&service.song("song", 100)]);
    logs.line_with(&[".serve.info:accepted a job", &format!("job.id={id}")]);
    drop(logs);
    service.lines(&["logs", "--redis-url", &url]);
    assert_eq!(service.lines(&["logs", "--redis-url", &url]), [""; 0]);
    drop(valkey);
    let gone = service.run(&["logs", "--redis-url", &url]);
    gone.fails_saying(&["the queue cannot be used"]);
}
