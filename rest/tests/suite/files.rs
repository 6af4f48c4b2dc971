//! Results: whole, in part, all in one, and those that are made later.

use std::io::Read as _;

use axum::body::Body;
use axum::http::Method;
use serde_json::json;

use crate::place::Place;
use crate::support::{Server, hex, pictured, song, tagged};

crate::place::scenarios! {
    parts_of_a_stem_are_what_they_say
    downloads_have_the_title_in_plain_characters
    an_archive_holds_every_stem_as_it_is
    a_mix_that_is_not_there_becomes_a_job_and_then_a_file
    peaks_are_there_with_their_stem
    a_cover_is_that_of_the_song
    a_stem_is_there_as_soon_as_it_is_committed
}

async fn finished(server: &Server, query: &str) -> String {
    let path = server.submit(query, song(1)).await.is(202).header("location").to_owned();
    server.work().await;
    path
}

async fn parts_of_a_stem_are_what_they_say(place: Place) {
    let server = place.server(&[]).await;
    let path = format!("{}/stems/vocals", finished(&server, "").await);
    let whole = server.get(&path).await.is(200);
    let len = whole.body.len();
    assert_eq!(whole.header("etag"), format!("\"{}\"", hex(&whole.body)));
    assert_eq!((whole.header("accept-ranges"), whole.header("content-type")), ("bytes", "audio/mpeg"));
    assert_eq!(server.get(&format!("{path}.mp3")).await.is(200).body, whole.body);
    for (range, part) in [("bytes=0-9", 0..10), ("bytes=10-", 10..len), ("bytes=-7", len - 7..len)] {
        let answer = server.call(Method::GET, &path, &[("range", range)], Body::empty()).await.is(206);
        assert_eq!(answer.body, whole.body.slice(part.clone()));
        assert_eq!(answer.header("content-range"), format!("bytes {}-{}/{len}", part.start, part.end - 1));
        assert_eq!(answer.header("content-length"), part.len().to_string());
    }
    let beyond =
        server.call(Method::GET, &path, &[("range", "bytes=99999999-")], Body::empty()).await.is(416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{len}"));
    let head = server.call(Method::HEAD, &path, &[("range", "bytes=0-9")], Body::empty()).await.is(200);
    assert!(head.body.is_empty() && head.header("content-length") == len.to_string());
    let etag = whole.header("etag");
    for (condition, status) in [(etag, 206), ("\"other\"", 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)] {
        let headers = [("range", "bytes=0-9"), ("if-range", condition)];
        server.call(Method::GET, &path, &headers, Body::empty()).await.is(status);
    }
    server.call(Method::GET, &path, &[("if-none-match", etag)], Body::empty()).await.is(304);
}

async fn downloads_have_the_title_in_plain_characters(place: Place) {
    let server = place.server(&["--s3-public-endpoint", "http://store.test"]).await;
    let nasty = tagged("a\"b/../c\u{202e} Ünder", "x");
    let path = server.submit("", nasty).await.is(202).header("location").to_owned();
    server.work().await;
    let answer = server.get(&format!("{path}/stems/bass")).await.is(200);
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"a-b-c-nder-bass.mp3\"");
    let answer = server.get(&format!("{path}/stems/bass?redirect=1")).await.is(302);
    let url = answer.header("location");
    assert!(url.contains("a-b-c-nder-bass.mp3"), "{url}");
    let whole = server.get(&format!("{path}/stems/bass")).await.body;
    assert_eq!(server.at_store(Method::GET, url, Vec::new()).await.is(200).body, whole);
}

async fn an_archive_holds_every_stem_as_it_is(place: Place) {
    let server = place.server(&[]).await;
    let early = server.submit("?shifts=1", song(1)).await.is(202).header("location").to_owned();
    assert_eq!(server.get(&format!("{early}/stems.zip")).await.is(409).json()["code"], "not_finished");
    let path = finished(&server, "").await;
    let answer = server.get(&format!("{path}/stems.zip")).await.is(200);
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(answer.body.to_vec())).unwrap();
    assert_eq!(archive.len(), 4);
    for name in ["drums", "bass", "other", "vocals"] {
        let mut bytes = Vec::new();
        archive.by_name(&format!("{name}.mp3")).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, server.get(&format!("{path}/stems/{name}")).await.body);
    }
    let head = server.call(Method::HEAD, &format!("{path}/stems.zip"), &[], Body::empty()).await.is(200);
    assert_eq!((head.header("content-length"), head.body.len()), (answer.header("content-length"), 0));
    let headers = [("if-none-match", answer.header("etag"))];
    server.call(Method::GET, &format!("{path}/stems.zip"), &headers, Body::empty()).await.is(304);
}

async fn a_mix_that_is_not_there_becomes_a_job_and_then_a_file(place: Place) {
    let server = place.server(&[]).await;
    let path = finished(&server, "").await;
    let mix = format!("{path}/mix?gains=vocals:1,drums:0.5");
    let later = server.get(&mix).await.is(202);
    assert_ne!(later.header("location"), path);
    assert_eq!(later.json()["options"]["mixes"][0]["gains"], json!({ "drums": 0.5, "vocals": 1.0 }));
    assert_eq!(later.json()["options"]["only_mixes"], true, "nobody asked for its stems");
    assert_eq!(server.get(&mix).await.is(202).header("location"), later.header("location"));
    assert_eq!(server.work().await, 1);
    let ready = server.get(&mix).await.is(200);
    assert!(ready.body.starts_with(b"mix of "));
    for bad in ["", "?gains=", "?gains=flute:1", "?gains=vocals:x", "?gains=vocals:1&format=ogg"] {
        server.get(&format!("{path}/mix{bad}")).await.is(400);
    }
    let asked = finished(&server, "?mix=karaoke%3Ddrums,bass").await;
    let own = server.get(&format!("{asked}/mix?gains=bass,drums:1")).await.is(200);
    assert!(own.body.starts_with(b"karaoke of "));
}

async fn peaks_are_there_with_their_stem(place: Place) {
    let server = place.server(&[]).await;
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    server.get(&format!("{path}/stems/bass/peaks")).await.is(404);
    server.work().await;
    let peaks = server.get(&format!("{path}/stems/bass/peaks")).await.is(200).json();
    assert_eq!(peaks["peaks"], json!([[-1.0, 0.5], [0.0, 0.5], [-0.25, 0.0]]));
    let fewer = server.get(&format!("{path}/stems/bass/peaks?points=2")).await.is(200).json();
    assert_eq!(fewer["peaks"], json!([[-1.0, 0.5], [-0.25, 0.5]]));
    server.get(&format!("{path}/stems/flute/peaks")).await.is(404);
    server.get(&format!("{path}/stems/bass/peaks?points=x")).await.is(400);
    let jobs = server.get("/v2/jobs").await.json()["jobs"].as_array().unwrap().len();
    assert_eq!(jobs, 1, "nothing is made for a drawing");
}

async fn a_cover_is_that_of_the_song(place: Place) {
    let server = place.server(&[]).await;
    let none = finished(&server, "").await;
    assert_eq!(server.get(&format!("{none}/cover")).await.is(404).json()["code"], "not_found");
    let picture = [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 5000]].concat();
    let location = server.submit("", pictured(&picture)).await.is(202).header("location").to_owned();
    let answer = server.get(&format!("{location}/cover")).await.is(200);
    assert_eq!((answer.header("content-type"), &answer.body[..]), ("image/png", &picture[..]));
    let headers = [("if-none-match", answer.header("etag"))];
    server.call(Method::GET, &format!("{location}/cover"), &headers, Body::empty()).await.is(304);
}

async fn a_stem_is_there_as_soon_as_it_is_committed(place: Place) {
    let server = place.server(&[]).await;
    let job = server.submit("", song(1)).await.is(202).json();
    let path = format!("/v2/jobs/{}", job["id"].as_str().unwrap());
    let id = job["id"].as_str().unwrap().parse().unwrap();
    let record = server.app.ledger.record(&id).await.unwrap().unwrap();
    server.get(&format!("{path}/stems/bass")).await.is(404);
    server.result(&record, &"bass".parse().unwrap()).await;
    let stems = server.get(&path).await.is(200).json()["stems"].clone();
    assert_eq!(stems.as_array().unwrap().len(), 1);
    server.get(stems[0]["url"].as_str().unwrap()).await.is(200);
}
