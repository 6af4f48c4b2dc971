//! Keys, tenants, operators, rates.

use axum::body::Body;
use axum::http::Method;
use base64::Engine as _;
use serde_json::json;

use crate::place::Place;
use crate::support::{Answer, Server, hex, song};

crate::place::scenarios! {
    what_is_another_tenants_does_not_exist
    the_older_contract_shows_a_tenant_its_own_tracks
    a_tenant_has_a_quota_of_jobs
    a_tenant_has_a_quota_of_songs_for_later
}

fn keys() -> String {
    format!("{} one operator\n{} two # no\n", hex(b"key-one"), hex(b"key-two")).replace(" # no", "")
}

const ONE: [(&str, &str); 2] = [("authorization", "Bearer key-one"), ("content-type", "audio/mpeg")];
const TWO: [(&str, &str); 2] = [("x-api-key", "key-two"), ("content-type", "audio/mpeg")];

#[tokio::test]
async fn without_a_known_key_there_is_nothing() {
    let server = Place::Memory.with_keys(&["--auth", "key"], &keys()).await;
    for headers in [
        &[][..],
        &[("authorization", "Bearer x")],
        &[("authorization", "Basic key-one")],
        &[("x-api-key", "")],
    ] {
        let answer = server.call(Method::GET, "/v2/jobs", headers, Body::empty()).await.is(401);
        assert_eq!(
            (answer.header("www-authenticate"), answer.json()["code"].as_str()),
            ("Bearer", Some("unauthorized"))
        );
    }
    server.call(Method::GET, "/v2/jobs", &ONE, Body::empty()).await.is(200);
    server.get("/apiv1/queue").await.is(200);
    let closed = Place::Memory.with_keys(&["--auth-old", "key"], &keys()).await;
    closed.get("/apiv1/queue").await.is(401);
    closed.get("/v2/jobs").await.is(200);
}

#[tokio::test]
async fn the_page_is_there_for_whoever_has_no_key_yet() {
    let server = Place::Memory.with_keys(&["--auth", "key", "--auth-old", "key"], &keys()).await;
    for path in ["/", "/operators", "/web/app.js", "/web/style.css"] {
        server.get(path).await.is(200);
    }
    for path in ["/v2/models", "/web", "/webs/app.js", "/docs", "/apiv1/queue"] {
        let status = server.get(path).await.status.as_u16();
        assert!(matches!(status, 401 | 404), "{path}: {status}");
    }
}

async fn what_is_another_tenants_does_not_exist(place: Place) {
    let server = place.with_keys(&["--auth", "key"], &keys()).await;
    let path =
        server.call(Method::POST, "/v2/jobs", &ONE, song(1)).await.is(202).header("location").to_owned();
    let other =
        server.call(Method::POST, "/v2/jobs", &TWO, song(1)).await.is(202).header("location").to_owned();
    assert_ne!(path, other, "work of two tenants is never the same");
    server.work().await;
    for suffix in ["", "/stems/vocals", "/stems.zip", "/events", "/mix?gains=bass", "/stems/bass/peaks"] {
        server.call(Method::GET, &format!("{path}{suffix}"), &TWO, Body::empty()).await.is(404);
    }
    server.call(Method::POST, &format!("{path}/cancel"), &TWO, Body::empty()).await.is(404);
    server.call(Method::DELETE, &path, &TWO, Body::empty()).await.is(404);
    server.call(Method::GET, &path, &ONE, Body::empty()).await.is(200);
    for query in ["", "?state=succeeded"] {
        let list = server.call(Method::GET, &format!("/v2/jobs{query}"), &TWO, Body::empty()).await.json();
        assert_eq!(list["jobs"].as_array().unwrap().len(), 1);
        assert!(other.ends_with(list["jobs"][0]["id"].as_str().unwrap()));
    }
    server.call(Method::POST, "/v2/jobs", &TWO, song(2)).await.is(202);
    let queued = server.call(Method::GET, "/v2/jobs?state=queued", &ONE, Body::empty()).await.json();
    assert_eq!(queued["jobs"], json!([]));
}

async fn the_older_contract_shows_a_tenant_its_own_tracks(place: Place) {
    let server = place.with_keys(&["--auth-old", "key"], &keys()).await;
    let body = json!({ "mp3": base64::engine::general_purpose::STANDARD.encode(song(1)) }).to_string();
    server.call(Method::POST, "/apiv1/separate", &ONE, body).await.is(200);
    let queue = async |headers| server.call(Method::GET, "/apiv1/queue", headers, Body::empty()).await.json();
    assert_eq!(queue(&ONE).await["queue"], json!([hex(&song(1))]));
    assert_eq!(queue(&TWO).await["queue"], json!([]));
    server.work().await;
    let track = format!("/apiv1/track/{}/bass", hex(&song(1)));
    server.call(Method::GET, &track, &ONE, Body::empty()).await.is(200);
    server.call(Method::GET, &track, &TWO, Body::empty()).await.is(404);
    let remove = track.replace("track", "remove");
    server.call(Method::GET, &remove, &TWO, Body::empty()).await.is(200);
    server.call(Method::GET, &track, &ONE, Body::empty()).await.is(200);
    server.call(Method::GET, &remove, &ONE, Body::empty()).await.is(200);
    server.call(Method::GET, &track, &ONE, Body::empty()).await.is(404);
    server.call(Method::GET, &track.replace("bass", "drums"), &ONE, Body::empty()).await.is(200);
}

#[tokio::test]
async fn only_operators_operate() {
    let server = Place::Memory.with_keys(&["--auth", "key"], &keys()).await;
    for path in ["/v2/operations/depth", "/v2/operations/workers", "/v2/operations/dead"] {
        server.call(Method::GET, path, &TWO, Body::empty()).await.is(403);
        server.call(Method::GET, path, &ONE, Body::empty()).await.is(200);
    }
    server.call(Method::POST, "/v2/reset", &TWO, Body::empty()).await.is(403);
}

#[tokio::test]
async fn nobody_without_a_key_operates_where_any_interface_wants_one() {
    for (wanted, open) in [("--auth", "/reset"), ("--auth-old", "/v2/reset")] {
        let server = Place::Memory.with_keys(&[wanted, "key"], &keys()).await;
        server.call(Method::POST, open, &[], Body::empty()).await.is(403);
        server.call(Method::POST, open, &TWO, Body::empty()).await.is(403);
        let done = server.call(Method::POST, open, &ONE, Body::empty()).await.status;
        assert!(done.is_success(), "{open}: {done}");
    }
}

#[tokio::test]
async fn a_flood_is_429_with_the_time_to_wait() {
    let server = Server::with(&["--rate", "1", "--burst", "3"]);
    for _ in 0..3 {
        server.get("/v2/models").await.is(200);
    }
    let answer = server.get("/v2/models").await.is(429);
    assert_eq!((answer.header("retry-after"), answer.json()["code"].as_str()), ("1", Some("rate_limited")));
    assert!(server.get("/apiv1/queue").await.is(429).json()["error"].is_string());
}

#[tokio::test]
async fn a_line_that_a_client_adds_in_front_of_the_proxies_own_hides_nobody() {
    for (written, lies) in
        [(&[("x-forwarded-for", "9.9.9.9")][..], true), (&[("x-forwarded-for", "6.6.6.6, 9.9.9.9")], false)]
    {
        let server = Server::with(&["--rate", "1", "--burst", "3", "--proxies", "1"]);
        for n in 0..4 {
            let lie = format!("6.6.6.{n}");
            let mut headers = if lies { vec![("x-forwarded-for", &*lie)] } else { Vec::new() };
            headers.extend_from_slice(written);
            let answer = server.call(Method::GET, "/v2/models", &headers, Body::empty()).await;
            answer.is(if n < 3 { 200 } else { 429 });
        }
    }
}

async fn a_tenant_has_a_quota_of_jobs(place: Place) {
    let server = place.server(&["--jobs-of-tenant", "1"]).await;
    server.submit("", song(1)).await.is(202);
    let answer = server.submit("", song(2)).await.is(429);
    assert_eq!(answer.json()["code"], "tenant_full");
    assert!(!answer.header("retry-after").is_empty());
    server.submit("", song(1)).await.is(200);
}

async fn a_tenant_has_a_quota_of_songs_for_later(place: Place) {
    let server =
        place.with_keys(&["--songs-of-tenant", "3", "--auth-old", "key", "--auth", "key"], &keys()).await;
    let call = async |method, path: &str, headers: &[(&str, &str)], body: Vec<u8>| {
        server.call(method, path, headers, body).await
    };
    let full = |answer: Answer| {
        let answer = answer.is(429);
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        answer
    };
    assert_eq!(call(Method::GET, "/v2/limits", &ONE, Vec::new()).await.is(200).json()["songs"], 3);
    call(Method::POST, "/music", &ONE, song(1)).await.is(200);
    call(Method::POST, "/music", &ONE, song(1)).await.is(200);
    let upload = call(Method::POST, "/v2/uploads", &ONE, Vec::new()).await.is(201).json();
    call(Method::PUT, upload["url"].as_str().unwrap(), &ONE, song(2)).await.is(204);
    // Under a name of its own it counts as well.
    let own = "/v2/uploads/0123456789ab4def8123456789abcdef";
    call(Method::PUT, own, &ONE, song(3)).await.is(204);
    assert!(full(call(Method::POST, "/music", &ONE, song(4)).await).json().is_string());
    let problem = full(call(Method::POST, "/v2/uploads", &ONE, Vec::new()).await).json();
    assert_eq!(problem["code"], "songs_full");
    full(call(Method::PUT, &own.replace("ef", "ee"), &ONE, song(5)).await);
    call(Method::POST, "/music", &TWO, song(4)).await.is(200);
    // What became a job is not kept for later any more.
    let headers = [ONE[0], ("content-type", "application/json")];
    let body = json!({ "upload": upload["id"] }).to_string();
    call(Method::POST, "/v2/jobs", &headers, body.into_bytes()).await.is(202);
    server.settle().await;
    call(Method::POST, "/music", &ONE, song(4)).await.is(200);
    full(call(Method::POST, "/music", &ONE, song(6)).await);
}

#[test]
fn keys_are_read_from_text_and_nothing_else_is_one() {
    use rest::auth::Keys;
    let keys = Keys::parse(&format!("# mine\n\n{} label_7;{} ops operator", hex(b"a"), hex(b"b"))).unwrap();
    assert_eq!(keys.find("a").unwrap().tenant.as_str(), "label_7");
    assert!(keys.find("b").unwrap().operator && keys.find("c").is_none() && keys.find("").is_none());
    for bad in
        ["x", "x y", &format!("{} A", hex(b"a")), &format!("{} a b", hex(b"a")), &hex(b"a").to_uppercase()]
    {
        let error = Keys::parse(bad).unwrap_err();
        assert!(!error.contains(&hex(b"a")), "what is in the file is not told");
    }
}
