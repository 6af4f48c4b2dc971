//! The music editor's contract through the whole service, as its page uses it.

#[path = "../../../rest/tests/suite/editor/contract.rs"]
mod contract;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::network::Network;
use crate::service::{PATIENCE, Service};
use crate::sound::{decode, ffmpeg, text};

/// How often the page looks.
const EVERY: Duration = Duration::from_millis(500);

/// A client whose every answer has to be in the contract.
struct Page<'a> {
    service: &'a Service,
    agent: ureq::Agent,
}

impl<'a> Page<'a> {
    fn of(service: &'a Service) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Self { service, agent: config.into() }
    }

    fn call(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let url = format!("{}{path}", self.service.url());
        let answer = match method {
            "GET" => self.agent.get(url).call(),
            _ => self.agent.post(url).content_type("application/octet-stream").send(body),
        };
        let mut answer = answer.expect("an answer");
        let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
        let (status, body) = (answer.status().as_u16(), answer.body_mut().read_to_vec().expect("a body"));
        contract::holds(method, path, status, &kind, &body);
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, &[]);
        assert_eq!(status, 200, "{body}");
        body
    }

    #[track_caller]
    fn post(&self, path: &str, body: &[u8]) -> Value {
        let (status, body) = self.call("POST", path, body);
        assert_eq!(status, 200, "{body}");
        body
    }

    fn submit(&self, song: &str) -> Value {
        self.post("/music", &std::fs::read(song).expect("there"))
    }

    /// Looks until the mix is there; gives all that it saw.
    fn until_mixed(&self, music: &Value) -> Vec<Value> {
        let (end, mut seen) = (Instant::now() + 3 * PATIENCE, Vec::new());
        loop {
            let now = self.get(&format!("/music/{}", music["music_id"]));
            seen.push(now.clone());
            if now["progress"] == 100 {
                return seen;
            }
            assert!(Instant::now() < end && now["final"] == "", "{now}");
            std::thread::sleep(EVERY);
        }
    }

    /// What a link leads to, as a file of this name.
    fn fetch(&self, link: &Value, name: &str) -> std::path::PathBuf {
        let mut answer = self.agent.get(link.as_str().expect("a link")).call().expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"audio/mpeg".parse().expect("a value"))
        );
        let path = self.service.path(name);
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().expect("a body");
        std::fs::write(&path, body).expect("written");
        path
    }
}

/// Names of the instruments of an answer.
fn names(progress: &Value) -> Vec<&str> {
    let instruments = progress["instruments"].as_array().expect("a list");
    instruments.iter().map(|one| one["name"].as_str().expect("text")).collect()
}

#[test]
fn a_song_is_sent_separated_among_spans_mixed_and_mixed_anew() {
    let service = Service::with(Network::Plain, &["--span-segments", "8"]);
    let page = Page::of(&service);
    let song = service.song("Tune", 44_100 * 20);
    let music = page.submit(&song);
    assert_eq!((&music["name"], &music["band"]), (&json!("Tune"), &json!("Band")));
    assert_eq!(page.get("/music"), json!([music]));
    let path = format!("/music/{}", music["music_id"]);
    assert_eq!(page.post(&path, b"[1, 2]"), json!({}));
    let seen = page.until_mixed(&music);
    let percents: Vec<_> = seen.iter().map(|now| now["progress"].as_u64().expect("a number")).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    let done = &seen[seen.len() - 1];
    assert_eq!(names(done), ["drums", "bass"]);

    // The mix is the sum of its instruments, to what MP3 makes of it.
    let [drums, bass, mix] = [
        (&done["instruments"][0]["track"], "drums.mp3"),
        (&done["instruments"][1]["track"], "bass.mp3"),
        (&done["final"], "final.mp3"),
    ]
    .map(|(link, name)| decode(&page.fetch(link, name)).1);
    assert_eq!(mix[0].len(), 44_100 * 20);
    let (mut noise, mut power) = (0.0f64, 0.0f64);
    for ((drums, bass), mix) in drums.iter().flatten().zip(bass.iter().flatten()).zip(mix.iter().flatten()) {
        noise += f64::from(drums + bass - mix).powi(2);
        power += f64::from(*mix).powi(2);
    }
    assert!(noise < power / 20.0, "{noise} beside {power}");

    // 53 segments: seven parts and what joins them.
    let jobs = page.get("/job");
    assert_eq!((jobs.as_array().expect("a list").len(), &jobs), (8, &page.get("/jobs")));
    for job in jobs.as_array().expect("a list") {
        let told = page.get(&format!("/job/{job}"));
        assert_eq!((&told["music_id"], &told["track_id"]), (&music["music_id"], &json!([1, 2])));
        assert!(
            told["time"].as_f64().expect("seconds") > 0.0 && told["size"].as_u64().expect("bytes") > 1000
        );
    }

    // Other tracks make another mix, of the sources that are there.
    page.post(&path, br#"{"instruments": ["Vocals"]}"#);
    let other = page.until_mixed(&music).pop().expect("the last one");
    assert_eq!(names(&other), ["vocals"]);
    assert_ne!(other["final"], done["final"]);
    assert_eq!(page.get("/job").as_array().expect("a list").len(), 9, "one more unit made it");

    assert_eq!(page.post("/reset", b""), json!({}));
    assert_eq!((page.get("/music"), page.get("/job")), (json!([]), json!([])));
    assert_eq!(page.call("GET", &path, &[]).0, 404);
}

#[test]
fn a_song_of_an_hour_is_mixed() {
    let service = Service::with(Network::Hour, &["--keep-sources", "0", "--span-segments", "32"]);
    let (page, song) = (Page::of(&service), service.path("hour.mp3"));
    // Most of the time is LAME's, which is twice as fast with silence, and with 32 kHz instead of 44.1.
    ffmpeg(["-f", "lavfi", "-i", "anullsrc=r=32000:cl=mono", "-t", "3544", "-b:a", "32k", text(&song)]);
    let music = page.submit(text(&song));
    page.post(&format!("/music/{}", music["music_id"]), b"[4]");
    let began = Instant::now();
    let done = page.until_mixed(&music).pop().expect("the last one");
    println!("59:04 were separated and mixed in {:?}", began.elapsed());
    assert_eq!(names(&done), ["vocals"]);
    assert!(page.get("/job").as_array().expect("a list").len() > 3, "it was divided");
    let mix = page.fetch(&done["final"], "final.mp3");
    let probe = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"])
        .arg(mix)
        .output();
    let probed = String::from_utf8(probe.expect("ffprobe").stdout).expect("text");
    let seconds: f64 = probed.trim().parse().expect("seconds");
    assert!((seconds - 3544.0).abs() < 0.1, "{seconds} s");
}
