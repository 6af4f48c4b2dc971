//! Digests as text.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The first `bytes` of a SHA-256 as hexadecimal digits.
pub(crate) fn hex(of: impl AsRef<[u8]>, bytes: usize) -> String {
    Sha256::digest(of).iter().take(bytes).fold(String::with_capacity(2 * bytes), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}
