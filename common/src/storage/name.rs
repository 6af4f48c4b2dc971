//! Which keys are good in every store.

use super::{Result, StoreError};
use crate::keys::ObjectKey;

/// Longest key in bytes, of S3.
const MAX_KEY_BYTES: usize = 1024;

/// Longest part between slashes in bytes, of most file systems.
const MAX_PART_BYTES: usize = 255;

/// The path of a key that is good in every store.
///
/// # Errors
/// [`StoreError::Refused`] for any other.
pub(super) fn checked(key: &ObjectKey) -> Result<&str> {
    match fault_of(key.path()) {
        None => Ok(key.path()),
        Some(fault) => Err(StoreError::Refused(format!("a key {fault}: {:?}", key.path()))),
    }
}

/// Whether a text may be a key.
pub(super) fn is_good(path: &str) -> bool {
    fault_of(path).is_none()
}

fn fault_of(path: &str) -> Option<&'static str> {
    if path.len() > MAX_KEY_BYTES {
        return Some("has at most 1024 bytes");
    }
    if path.contains(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Some("has no control characters");
    }
    if path.contains('\\') {
        // SeaweedFS takes it for a slash.
        return Some("has no backslash");
    }
    path.split('/').find_map(|part| match part {
        "" => Some("has no empty part, so none is empty and none begins or ends with a slash"),
        "." | ".." => Some("has no part . or .."),
        _ if part.len() > MAX_PART_BYTES => Some("has at most 255 bytes between slashes"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_lead_elsewhere_are_refused() {
        for bad in
            ["", "/", "/etc/passwd", "a/", "a//b", ".", "..", "../a", "a/..", "a/./b", "a\0b", "a\nb", "a\\b"]
        {
            assert!(!is_good(bad), "{bad:?}");
        }
        assert!(!is_good(&"a".repeat(256)));
        assert!(!is_good(&"abc/".repeat(300)));
    }

    #[test]
    fn plain_and_awkward_keys_are_good() {
        for good in ["a", "a/b.mp3", "...", ".a", "a b+c%2F", "ü/日本", &"a".repeat(255)] {
            assert!(is_good(good), "{good:?}");
        }
    }
}
