//! The music editor's contract, to the letter: every answer is held against its document.

mod contract;
mod faults;
mod guards;

use axum::body::Body;
use axum::http::Method;
use common::Bucket;
use serde_json::{Value, json};

use crate::place::Place;
use crate::support::{Answer, Server, hex, song, tagged};

crate::place::scenarios! {
    a_song_is_kept_until_its_tracks_are_asked_for
    every_form_of_an_upload_is_taken
    a_song_that_is_sent_twice_at_once_is_one_song
    tracks_are_asked_for_in_every_form
    an_instrument_has_its_link_before_the_mix_is_there
    other_tracks_make_another_mix_and_old_links_stay
    units_of_work_have_their_figures
    a_song_that_a_job_of_another_interface_needs_outlives_it
    a_reset_removes_everything
    a_song_whose_time_is_over_is_gone
    a_song_whose_job_was_stopped_says_so
}

const HOST: (&str, &str) = ("host", "music.test");

/// A request of the contract, whose answer has to be in it.
async fn call(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let headers = [&[HOST], headers].concat();
    let answer = server.call(method.parse().unwrap(), path, &headers, body).await;
    let kind = answer.header("content-type").to_owned();
    contract::holds(method, path, answer.status.as_u16(), &kind, &answer.body);
    answer
}

async fn get(server: &Server, path: &str) -> Value {
    call(server, "GET", path, &[], "").await.is(200).json()
}

/// Sends a song; gives its number.
async fn submit(server: &Server, song: Vec<u8>) -> u64 {
    let music = call(server, "POST", "/music", &[("content-type", "application/octet-stream")], song).await;
    music.is(200).json()["music_id"].as_u64().unwrap()
}

async fn process(server: &Server, music: u64, tracks: &Value) -> Answer {
    call(server, "POST", &format!("/music/{music}"), &[], tracks.to_string()).await
}

/// What a link of an answer leads to.
async fn follow(server: &Server, link: &Value) -> Answer {
    server.get(link.as_str().unwrap().strip_prefix("http://music.test").unwrap()).await
}

/// A form of these parts, each with a file name or without.
fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        let file = file.map_or_else(String::new, |file| format!("; filename=\"{file}\""));
        body.extend(format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
        body.extend_from_slice(bytes);
        body.extend(b"\r\n");
    }
    [&body[..], b"--x--\r\n"].concat()
}

const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=x");

async fn a_song_is_kept_until_its_tracks_are_asked_for(place: Place) {
    let server = place.server(&[]).await;
    assert_eq!(get(&server, "/music").await, json!([]));
    let dust = tagged("Another One Bites the Dust", "Queen");
    let music = call(&server, "POST", "/music", &[], dust.clone()).await.is(200).json();
    let id = music["music_id"].as_u64().unwrap();
    assert_eq!(id, u64::from_str_radix(&hex(&dust)[..16], 16).unwrap() >> 11);
    assert_eq!((&music["name"], &music["band"]), (&json!("Another One Bites the Dust"), &json!("Queen")));
    let tracks = [("drums", 1), ("bass", 2), ("other", 3), ("vocals", 4)];
    let tracks = tracks.map(|(name, track_id)| json!({ "name": name, "track_id": track_id }));
    assert_eq!(music["tracks"], json!(tracks));
    let plain = submit(&server, song(2)).await;
    let list = get(&server, "/music").await;
    assert_eq!((&list[0], &list[1]["music_id"]), (&music, &json!(plain)), "in the order in which they came");
    assert_eq!((&list[1]["name"], &list[1]["band"]), (&json!("unknown_song"), &json!("unknown_band")));
    assert_eq!(server.work().await, 0, "nothing is separated that nobody asks for");
    let nothing = json!({ "progress": 0, "instruments": [], "final": "" });
    assert_eq!(get(&server, &format!("/music/{id}")).await, nothing);
    assert_eq!(get(&server, "/job").await, json!([]));
    // A sweep takes nothing of it, and the same song again is the same.
    server.app.ledger.sweep_expired().await.unwrap();
    assert_eq!(submit(&server, dust).await, id);
    assert_eq!(get(&server, "/music").await.as_array().unwrap().len(), 2);

    assert_eq!(process(&server, id, &json!([2, 4])).await.is(200).json(), json!({}));
    assert_eq!(get(&server, &format!("/music/{id}")).await, nothing);
    assert_eq!(server.work().await, 1);
    let done = get(&server, &format!("/music/{id}")).await;
    assert_eq!(done["progress"], 100);
    let instruments = done["instruments"].as_array().unwrap();
    assert_eq!(instruments.iter().map(|one| &one["name"]).collect::<Vec<_>>(), ["bass", "vocals"]);
    for (name, link) in
        [("bass", &instruments[0]["track"]), ("vocals", &instruments[1]["track"]), ("final", &done["final"])]
    {
        let file = follow(&server, link).await.is(200);
        assert_eq!(file.header("content-type"), "audio/mpeg");
        assert!(file.body.starts_with(format!("{name} of ").as_bytes()));
    }
}

async fn every_form_of_an_upload_is_taken(place: Place) {
    let server = place.server(&[]).await;
    let id = submit(&server, song(1)).await;
    for kind in ["audio/mpeg", "application/x-www-form-urlencoded", "text/plain", ""] {
        let answer = call(&server, "POST", "/music", &[("content-type", kind)], song(1)).await.is(200);
        assert_eq!(answer.json()["music_id"], id, "{kind}");
    }
    for parts in [
        form(&[("body", Some("a.mp3"), &song(1))]),
        form(&[("file", Some("../../etc/passwd"), &song(1))]),
        form(&[("music_file", None, &song(1))]),
        form(&[("title", None, b"what ever"), ("music_file", Some("a.mp3"), &song(1))]),
        form(&[("other", Some("a.mp3"), &song(1)), ("submit", None, b"")]),
    ] {
        assert_eq!(call(&server, "POST", "/music", &[FORM], parts).await.is(200).json()["music_id"], id);
    }
    assert_eq!(get(&server, "/music").await.as_array().unwrap().len(), 1);
    // One that streams.
    let large = submit(&server, song(3).repeat(20)).await;
    assert_eq!(get(&server, "/music").await[1]["music_id"], large);
    server.settle().await;
    assert!(server.paths(Bucket::Queue, "incoming/").await.is_empty());
}

async fn a_song_that_is_sent_twice_at_once_is_one_song(place: Place) {
    let server = place.server(&[]).await;
    let send = || submit(&server, song(1));
    let (one, two, three) = tokio::join!(send(), send(), send());
    assert_eq!((one, two), (three, three));
    assert_eq!(get(&server, "/music").await.as_array().unwrap().len(), 1);
    process(&server, one, &json!([1])).await.is(200);
    assert_eq!(
        submit(&server, song(1)).await,
        one,
        "sent once more it has not forgotten what it was asked for"
    );
    assert_eq!(server.work().await, 1);
    assert_eq!(get(&server, &format!("/music/{one}")).await["progress"], 100);
}

async fn tracks_are_asked_for_in_every_form(place: Place) {
    let server = place.server(&[]).await;
    let id = submit(&server, song(1)).await;
    for tracks in [
        json!([1, 4]),
        json!(["drums", "vocals"]),
        json!({ "instruments": ["drums", "vocals"] }),
        json!({ "instruments": [1, "4"] }),
        json!({ "tracks": [4, 1, 4] }),
        json!({ "tracks": [{ "name": "drums", "track_id": 1 }, { "name": "vocals" }] }),
    ] {
        process(&server, id, &tracks).await.is(200);
    }
    assert_eq!(server.work().await, 1, "all of them are the same");
    let instruments = get(&server, &format!("/music/{id}")).await["instruments"].clone();
    let names: Vec<&Value> = instruments.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["drums", "vocals"]);
}

async fn an_instrument_has_its_link_before_the_mix_is_there(place: Place) {
    let server = place.server(&[]).await;
    let id = submit(&server, song(1)).await;
    process(&server, id, &json!([1, 2])).await.is(200);
    let (claim, token) = server.claim_plan().await;
    let record = server.app.ledger.record(&claim.task.job).await.unwrap().unwrap();
    server.queue.progress(claim.task, token, 10, 10).await.unwrap();
    let path = format!("/music/{id}");
    let before = get(&server, &path).await;
    assert_eq!((&before["progress"], &before["instruments"]), (&json!(99), &json!([])));
    for (n, stem) in ["drums", "bass"].into_iter().enumerate() {
        server.result(&record, &stem.parse().unwrap()).await;
        let now = get(&server, &path).await;
        assert_eq!((&now["progress"], &now["final"]), (&json!(99), &json!("")));
        assert_eq!(now["instruments"].as_array().unwrap().len(), n + 1);
        let link = now["instruments"].as_array().unwrap().iter().find(|one| one["name"] == stem).unwrap();
        follow(&server, &link["track"]).await.is(200);
    }
    server.result(&record, &"final".parse().unwrap()).await;
    let mixed = get(&server, &path).await;
    assert_eq!(mixed["progress"], 99, "at its end it is at its end");
    follow(&server, &mixed["final"]).await.is(200);
}

async fn other_tracks_make_another_mix_and_old_links_stay(place: Place) {
    let server = place.server(&[]).await;
    let (id, path) = {
        let id = submit(&server, song(1)).await;
        (id, format!("/music/{id}"))
    };
    let mut links = Vec::new();
    for tracks in [json!([1]), json!([1, 2, 3, 4]), json!([1])] {
        process(&server, id, &tracks).await.is(200);
        server.work().await;
        let done = get(&server, &path).await;
        let count = tracks.as_array().unwrap().len();
        assert_eq!((&done["progress"], done["instruments"].as_array().unwrap().len()), (&json!(100), count));
        links.push(done["final"].clone());
    }
    assert_ne!(links[0], links[1]);
    assert_eq!(links[0], links[2], "what was asked for before is there already");
    for link in &links {
        let path = link.as_str().unwrap().strip_prefix("http://music.test").unwrap();
        let part = server.call(Method::GET, path, &[("range", "bytes=0-4")], Body::empty()).await.is(206);
        assert_eq!(&part.body[..], b"final");
        server.call(Method::HEAD, path, &[], Body::empty()).await.is(200);
        let same = [("if-none-match", part.header("etag"))];
        server.call(Method::GET, path, &same, Body::empty()).await.is(304);
        // The number of another song does not lead there.
        let other = path.replace(&id.to_string(), "7");
        assert_eq!(server.get(&other).await.is(404).json(), "Track not found.");
    }
}

async fn units_of_work_have_their_figures(place: Place) {
    let server = place.server(&[]).await;
    let id = submit(&server, song(1)).await;
    process(&server, id, &json!([2, 3])).await.is(200);
    let other = submit(&server, song(2)).await;
    process(&server, other, &json!([4])).await.is(200);
    // Of a song that the editor does not have.
    server.submit("", song(3)).await.is(202);
    server.work().await;
    for (list, one) in [("/job", "/job"), ("/jobs", "/jobs")] {
        let jobs = get(&server, list).await;
        assert_eq!(jobs.as_array().unwrap().len(), 2);
        let mut seen = Vec::new();
        for job in jobs.as_array().unwrap() {
            let told = get(&server, &format!("{one}/{job}")).await;
            assert_eq!((&told["job_id"], told["size"].as_u64().unwrap() > 1000), (job, true));
            seen.push((told["music_id"].as_u64().unwrap(), told["track_id"].clone()));
        }
        seen.sort_by_key(|(music, _)| *music != id);
        assert_eq!(seen, [(id, json!([2, 3])), (other, json!(4))]);
    }
    let missing = call(&server, "GET", "/job/7", &[], "").await.is(404);
    assert_eq!(missing.json(), "Job not found.");
}

async fn a_song_that_a_job_of_another_interface_needs_outlives_it(place: Place) {
    let server = place.server(&[]).await;
    let id = submit(&server, song(1)).await;
    let job = server.submit("?stems=bass", song(1)).await.is(202).header("location").to_owned();
    server.work().await;
    server.call(Method::DELETE, &job, &[], Body::empty()).await.is(204);
    // The bytes are still there for the editor.
    process(&server, id, &json!(["vocals"])).await.is(200);
    assert_eq!(server.work().await, 1);
    assert_eq!(get(&server, &format!("/music/{id}")).await["progress"], 100);
}

async fn a_reset_removes_everything(place: Place) {
    let server = place.server(&[]).await;
    let done = submit(&server, song(1)).await;
    process(&server, done, &json!([1])).await.is(200);
    server.work().await;
    let link = get(&server, &format!("/music/{done}")).await["final"].clone();
    let running = submit(&server, song(2)).await;
    process(&server, running, &json!([1])).await.is(200);
    let (claim, token) = server.claim_plan().await;
    submit(&server, song(3)).await;
    assert_eq!(call(&server, "POST", "/reset", &[], "").await.is(200).json(), json!({}));
    let mut left = server.all_paths().await;
    left.retain(|path| !path.starts_with("pending/") && !path.starts_with("epoch/"));
    assert!(left.is_empty(), "{left:?}");
    assert_eq!((get(&server, "/music").await, get(&server, "/job").await), (json!([]), json!([])));
    assert_eq!(follow(&server, &link).await.status, 404);
    call(&server, "GET", &format!("/music/{done}"), &[], "").await.is(404);
    let fence = server.queue.progress(claim.task, token, 1, 2).await.unwrap();
    assert_eq!(fence, common::queue::Fence::Canceled, "who works on it hears that it is over");
    assert_eq!(submit(&server, song(1)).await, done, "and it begins anew");
    process(&server, done, &json!([1])).await.is(200);
    assert_eq!(server.work().await, 1);
}

async fn a_song_whose_time_is_over_is_gone(place: Place) {
    let server = place.server(&["--keep-results", "0"]).await;
    let id = submit(&server, song(1)).await;
    assert_eq!(get(&server, "/music").await, json!([]));
    // Times of the store are whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    server.app.ledger.sweep_expired().await.unwrap();
    let path = format!("/music/{id}");
    for method in [Method::GET, Method::POST] {
        assert!(server.call(method, &path, &[], "[1]").await.is(410).json().is_string());
    }
    let mut left = server.all_paths().await;
    left.retain(|path| !path.starts_with("gone/"));
    assert!(left.is_empty(), "{left:?}");
    server.get("/music/7").await.is(404);
}

async fn a_song_whose_job_was_stopped_says_so(place: Place) {
    let server = place.server(&[]).await;
    let id = submit(&server, song(1)).await;
    let path = format!("/music/{id}");
    // A member of our own, which the contract's document does not have.
    let error = async || server.get(&path).await.is(200).json()["error"].clone();
    assert_eq!(error().await, Value::Null);
    process(&server, id, &json!([1])).await.is(200);
    assert_eq!(error().await, Value::Null);
    let job = server.get("/v2/jobs").await.json()["jobs"][0]["id"].as_str().unwrap().to_owned();
    server.post(&format!("/v2/jobs/{job}/cancel")).await.is(200);
    assert_eq!(error().await, "canceled");
    server.call(Method::DELETE, &format!("/v2/jobs/{job}"), &[], "").await;
    assert_eq!(error().await, "canceled", "what was deleted does not go on either");
    process(&server, id, &json!([1])).await.is(200);
    assert_eq!(error().await, Value::Null);
    server.work().await;
    assert_eq!(get(&server, &path).await["progress"], 100);
}
