//! Pages in browsers that ask for what cannot be undone, their own and others'.

use axum::body::Body;
use axum::http::Method;

use crate::place::Place;
use crate::support::{Server, hex, song};

/// Status of a reset that is asked for with these headers.
async fn reset(args: &[&str], headers: &[(&str, &str)]) -> u16 {
    let server = Server::with(args);
    server.call(Method::POST, "/v2/reset", headers, Body::empty()).await.status.as_u16()
}

/// Headers of a page that calls where it came from.
fn own<'a>(host: &'a str, origin: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![("host", host), ("origin", origin)]
}

#[tokio::test]
async fn a_name_that_was_led_here_does_not_make_a_page_our_own() {
    for (host, origin) in [
        ("evil.example", "http://evil.example"),
        ("evil.example:5000", "http://evil.example:5000"),
        ("localhost.evil.example", "http://localhost.evil.example"),
        ("127.0.0.1.evil.example", "http://127.0.0.1.evil.example"),
    ] {
        assert_eq!(reset(&[], &own(host, origin)).await, 403, "{host}");
        assert_eq!(
            reset(&["--public-url", "https://music.example"], &own(host, origin)).await,
            403,
            "{host}"
        );
        let forged = [own(host, origin), vec![("x-forwarded-host", host)]].concat();
        assert_eq!(reset(&[], &forged).await, 403, "{host}");
        let forged = [own(host, origin), vec![("x-forwarded-host", "localhost")]].concat();
        assert_eq!(reset(&[], &forged).await, 403, "{host}");
    }
    let by_site = [("host", "evil.example"), ("sec-fetch-site", "same-origin")];
    assert_eq!(reset(&[], &by_site).await, 403);
    assert_eq!(reset(&[], &[("host", "evil.example")]).await, 200, "no page");
    // Nor may such a page stop or delete what is there.
    let server = Server::new();
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    let headers = own("evil.example", "http://evil.example");
    let cancel = format!("{path}/cancel");
    server.call(Method::POST, &cancel, &headers, Body::empty()).await.is(403);
    server.call(Method::DELETE, &path, &headers, Body::empty()).await.is(403);
    server.call(Method::DELETE, &path, &own("rest", "http://rest"), Body::empty()).await.is(204);
}

#[tokio::test]
async fn our_own_page_works_wherever_it_is_reached() {
    for (host, origin) in [
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("192.168.1.7", "http://192.168.1.7"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("[fd00::7]", "http://[fd00::7]"),
        ("rest:5000", "http://rest:5000"),
        ("studio", "https://studio"),
        ("rest.music.svc:5000", "http://rest.music.svc:5000"),
        ("rest.music.svc.cluster.local", "http://rest.music.svc.cluster.local"),
        ("studio.local:5000", "http://studio.local:5000"),
        ("Studio.LAN", "http://studio.lan"),
    ] {
        assert_eq!(reset(&[], &own(host, origin)).await, 200, "{host}");
        let typed = [("host", host), ("sec-fetch-site", "none")];
        assert_eq!(reset(&[], &typed).await, 200, "{host}");
    }
    let named = own("music.example:8443", "https://music.example:8443");
    assert_eq!(reset(&[], &named).await, 403);
    assert_eq!(reset(&["--hosts", "other.example,Music.example"], &named).await, 200);
    assert_eq!(reset(&["--public-url", "https://music.example:8443/stems"], &named).await, 200);
}

#[tokio::test]
async fn our_own_page_works_behind_proxies() {
    let by_proxy = [
        ("host", "10.0.0.7:5000"),
        ("x-forwarded-host", "music.example"),
        ("x-forwarded-proto", "https"),
        ("origin", "https://music.example"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(reset(&[], &by_proxy).await, 200, "a proxy that says what it was asked for");
    assert_eq!(reset(&[], &by_proxy[..4]).await, 200);
    let other = [&by_proxy[..3], &[("origin", "https://evil.example")]].concat();
    assert_eq!(reset(&[], &other).await, 403);
    let silent = own("10.0.0.7:5000", "https://music.example");
    assert_eq!(reset(&[], &silent).await, 403, "a proxy that does not");
    assert_eq!(reset(&["--public-url", "https://music.example/"], &silent).await, 200);
    assert_eq!(
        reset(&["--public-url", "https://music.example/"], &own("a.b.example", "https://music.example"))
            .await,
        200
    );
}

#[tokio::test]
async fn pages_of_origins_that_are_named_may_and_others_may_not() {
    let page =
        [("host", "localhost:5000"), ("origin", "https://studio.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(reset(&[], &page).await, 403);
    assert_eq!(reset(&["--cors", "https://studio.example/"], &page).await, 200);
    assert_eq!(reset(&["--cors", "https://other.example"], &page).await, 403);
    assert_eq!(reset(&["--cors", "*"], &page).await, 403, "all are none that was named");
    // What the page may do elsewhere is for CORS to say.
    let server = Server::with(&["--cors", "*"]);
    let path = server.submit("", song(1)).await.is(202).header("location").to_owned();
    server.call(Method::DELETE, &path, &page, Body::empty()).await.is(204);
}

#[tokio::test]
async fn who_shows_a_key_may_come_by_any_name() {
    let keys = format!("{} one operator\n", hex(b"key-one"));
    let server = Place::Memory.with_keys(&["--auth", "key"], &keys).await;
    let page = [own("music.example", "https://music.example"), vec![("x-api-key", "key-one")]].concat();
    server.call(Method::POST, "/v2/reset", &page, Body::empty()).await.is(200);
    let other = [own("music.example", "https://evil.example"), vec![("x-api-key", "key-one")]].concat();
    server.call(Method::POST, "/v2/reset", &other, Body::empty()).await.is(403);
}
