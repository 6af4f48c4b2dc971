//! What kind of file a key names.

/// Media type of an object by the extension of its key; what a browser needs in order to play a download.
pub(super) fn type_of(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("mp3") => "audio/mpeg",
        Some("wav") => "audio/wav",
        Some("flac") => "audio/flac",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
