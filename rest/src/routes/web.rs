//! The pages for people: the files of the room `web`, which are part of this program.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::digest::hex;
use crate::error::Problem;
use crate::range::names;
use crate::request::{Words, text};

/// Scripts and styles of this server alone; pictures and sounds also from memory, where a key had to be shown for them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file as it is sent.
struct File {
    name: &'static str,
    kind: &'static str,
    etag: String,
    plain: Bytes,
    gzip: Bytes,
}

macro_rules! files {
    ($($name:literal)*) => { [$(($name, include_bytes!(concat!("../../../web/", $name)).as_slice())),*] };
}

/// Packed once, when the first one is asked for.
static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let files = files! {
        "api.js" "app.js" "buffers.js" "card.js" "choice.js" "dom.js" "graph.js" "history.js" "index.html" "key.js"
        "language.js" "mixer.js" "operators.html" "operators.js" "player.js" "row.js" "save.js" "section.js" "song.js" "streams.js"
        "style.css" "waveform.js" "words.js"
    };
    files.into_iter().map(|(name, bytes)| File::new(name, bytes)).collect()
});

impl File {
    fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        let kind = match name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "text/javascript; charset=utf-8",
        };
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let packed = gzip.write_all(bytes).and_then(|()| gzip.finish());
        let plain = Bytes::from_static(bytes);
        // Into memory, which does not fail.
        let gzip = packed.map_or_else(|_| plain.clone(), Bytes::from);
        Self { name, kind, etag: hex(bytes, 16), plain, gzip }
    }

    /// A browser asks each time whether it has changed, and mostly hears that it has not.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let always = [
            // Weak: the same for both ways in which it is sent.
            (header::ETAG, format!("W/\"{}\"", self.etag)),
            (header::CACHE_CONTROL, "no-cache".to_owned()),
            (header::VARY, "accept-encoding".to_owned()),
            (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        ];
        if names(text(headers, "if-none-match"), &self.etag, true) {
            return (StatusCode::NOT_MODIFIED, always).into_response();
        }
        let kind = [(header::CONTENT_TYPE, self.kind)];
        if text(headers, "accept-encoding").split(',').any(|coding| coding.trim() == "gzip") {
            return (always, kind, [(header::CONTENT_ENCODING, "gzip")], self.gzip.clone()).into_response();
        }
        (always, kind, self.plain.clone()).into_response()
    }
}

/// A file by its name.
fn answer(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let file = FILES.iter().find(|file| file.name == name).ok_or_else(Problem::not_found)?;
    Ok(file.answer(headers))
}

/// `GET /`.
pub(super) async fn home(headers: HeaderMap) -> Result<Response, Problem> {
    answer("index.html", &headers)
}

/// `GET /operators`.
pub(super) async fn operators(headers: HeaderMap) -> Result<Response, Problem> {
    answer("operators.html", &headers)
}

/// `GET /web/{file}`.
pub(super) async fn file(Words([name]): Words<1>, headers: HeaderMap) -> Result<Response, Problem> {
    answer(&name, &headers)
}

/// Whether this is of the pages, which everyone may see: what it shows later asks for a key.
pub(crate) fn is_page(path: &str) -> bool {
    path == "/" || path == "/operators" || path.starts_with("/web/")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_room_is_served() {
        let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
        let mut there: Vec<String> = std::fs::read_dir(room)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| [".js", ".css", ".html"].iter().any(|end| name.ends_with(end)))
            .collect();
        there.sort();
        assert_eq!(FILES.iter().map(|file| file.name).collect::<Vec<_>>(), there);
    }

    #[test]
    fn the_page_is_small_and_loads_nothing_from_elsewhere() {
        let bytes: usize = FILES.iter().map(|file| file.gzip.len()).sum();
        assert!(bytes < 150 << 10, "{bytes} bytes");
        for file in FILES.iter() {
            let text = String::from_utf8(file.plain.to_vec()).unwrap();
            // The name of a language of documents is no address.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{}", file.name);
        }
    }
}
