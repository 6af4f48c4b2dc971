//! What `--json` tells programs.

use serde_json::Value;

use crate::network::{Network, STEMS};
use crate::sound::{music, write_wav};
use crate::support::{Place, Ran, run};

/// The events of a run.
fn events(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().expect("a kind")).collect()
}

#[test]
fn a_run_is_told_from_its_start_over_every_segment_to_its_results() {
    let place = Place::new(Network::Tiny);
    let (path, frames) = (place.path("song.wav"), 4_001);
    let mut loud = music(8_000, frames);
    loud.iter_mut().flatten().for_each(|sample| *sample *= 10.0);
    write_wav(&path, &loud, 8_000);
    let options = ["--json", "--format", "wav", "--mix", "song:mixture=1,drums=0,bass=0,other=0,vocals=0"];
    let ran = run(place.separate(options).arg(&path));
    ran.succeeds();
    let events = events(&ran);
    let song = path.to_str().expect("utf-8");
    assert!(events.iter().all(|event| event["song"] == song));
    let (first, last) = (&events[0], &events[events.len() - 1]);
    assert_eq!((&first["event"], &first["model"]), (&"song".into(), &"small".into()));
    assert_eq!((&first["frames"], &first["rate"]), (&frames.into(), &8_000.into()));
    assert_eq!((&last["event"], &last["damaged_packets"]), (&"done".into(), &0.into()));
    let results: Vec<&Value> = events.iter().filter(|event| event["event"] == "result").collect();
    assert_eq!(results.len(), STEMS.len() + 1);
    for (result, stem) in results.iter().zip(STEMS) {
        assert_eq!(result["stem"], stem);
        assert_eq!(result["path"], place.stem("song", &format!("{stem}.wav")).to_str().expect("utf-8"));
        assert_eq!((&result["frames"], &result["rate"]), (&frames.into(), &8_000.into()));
        let gain = result["gain"].as_f64().expect("a gain");
        assert!(gain < 0.7 && gain > 0.0, "{gain}");
    }
    let progress: Vec<&Value> = events.iter().filter(|event| event["event"] == "progress").collect();
    let (begin, end) = (progress[0], progress[progress.len() - 1]);
    assert_eq!((&begin["segments_done"], &begin["eta_s"]), (&0.into(), &Value::Null));
    assert_eq!((&end["percent"], &end["segments_done"]), (&100.0.into(), &end["segments_total"]));
    assert_eq!(progress.len() as u64, end["segments_total"].as_u64().expect("a number") + 1);
}

#[test]
fn failures_and_skipped_songs_are_events_too() {
    let place = Place::new(Network::Tiny);
    write_wav(&place.path("song.wav"), &music(8_000, 500), 8_000);
    let run = |options: &[&str]| run(place.separate(["--json", "--stems", "drums"]).args(options));
    let ran = run(&["missing.wav", "song.wav"]);
    let told = events(&ran);
    assert_eq!(ran.code, Some(1));
    assert_eq!(told[0]["event"], "error");
    assert_eq!(told[0]["song"], "missing.wav");
    assert_eq!(told[0]["message"], "cannot open the file: No such file or directory (os error 2)");
    assert_eq!(told[told.len() - 1]["event"], "done");
    let told = events(&run(&["--skip-existing", "song.wav"]));
    assert_eq!(kinds(&told), ["skipped"]);
    let ran = run(&["--model", "nonsense", "song.wav"]);
    let told = events(&ran);
    assert_eq!((ran.code, kinds(&told)), (Some(1), vec!["error"]));
    assert_eq!(told[0]["song"], Value::Null);
    let told = events(&run(&["missing.wav"]));
    assert_eq!(kinds(&told), ["error"], "an error is told once");
}
