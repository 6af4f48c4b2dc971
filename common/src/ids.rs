//! Names of songs, jobs and tenants. Parsed once at the edge; what holds one is known to be well formed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is no identifier of the kind it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what}")]
pub struct InvalidId {
    /// What it should have been.
    pub what: &'static str,
}

/// Declares a name that is a SHA-256: 64 lowercase hexadecimal digits as text.
macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps a digest.
            #[must_use]
            pub const fn new(digest: [u8; 32]) -> Self {
                Self(digest)
            }

            /// The digest.
            #[must_use]
            pub fn bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                from_hex(text).map(Self).ok_or(InvalidId { what: $what })
            }
        }
    };
}

digest!(
    /// SHA-256 of a song's bytes as they were uploaded.
    SongHash,
    "song hash"
);
digest!(
    /// SHA-256 of a song's hash and the canonical options of a job: the same work has the same key.
    JobKey,
    "job key"
);

impl SongHash {
    /// Its first 53 bits, for clients that know a song by a number: as many as every reader of JSON keeps whole.
    #[must_use]
    pub fn number(&self) -> u64 {
        number(&self.0)
    }
}

/// The first 53 bits of a digest.
pub(crate) fn number(digest: &[u8; 32]) -> u64 {
    digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte)) >> 11
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(digest)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Counts the resets of a whole service; part of every job's name, so that nothing of an earlier one comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Epoch(pub u32);

/// Name of a job, unique for ever: the epoch it was made in and a time-ordered random part, `3-0198...`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId {
    epoch: Epoch,
    unique: Uuid,
}

impl JobId {
    /// A new name; later ones sort after earlier ones.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, unique: Uuid::now_v7() }
    }

    /// A name with a given unique part, the same for the same arguments.
    #[must_use]
    pub fn from_parts(epoch: Epoch, unique: u128) -> Self {
        Self { epoch, unique: Uuid::from_u128(unique) }
    }

    /// Its unique part; later names have higher ones within an epoch.
    #[must_use]
    pub fn unique(&self) -> u128 {
        self.unique.as_u128()
    }

    /// When it was made, in milliseconds since 1970 by the clock of the machine that made it; 0 where the name
    /// does not say.
    #[must_use]
    pub fn made_ms(&self) -> u64 {
        self.unique.get_timestamp().map_or(0, |time| {
            let (seconds, nanos) = time.to_unix();
            seconds.saturating_mul(1000).saturating_add(u64::from(nanos) / 1_000_000)
        })
    }

    /// The epoch it was made in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch.0, self.unique.simple())
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId { what: "job id" };
        let (epoch, unique) = text.split_once('-').ok_or_else(|| invalid.clone())?;
        let id = Self {
            epoch: Epoch(epoch.parse().map_err(|_| invalid.clone())?),
            unique: Uuid::try_parse(unique).map_err(|_| invalid.clone())?,
        };
        // One spelling each: a name is compared as text in keys and lists.
        if id.to_string() == text { Ok(id) } else { Err(invalid) }
    }
}

/// Declares a name of a few plain characters, harmless in keys, paths and headers.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
                if (1..=32).contains(&text.len()) && text.bytes().all(plain) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { what: $what })
                }
            }
        }
    };
}

word!(
    /// A client's name space: nothing of one tenant is seen by another. 1 to 32 of `a-z 0-9 _`.
    Tenant,
    "tenant"
);
word!(
    /// A stem or a mix as it is named in results: `vocals`, `no_vocals`. 1 to 32 of `a-z 0-9 _`.
    StemName,
    "stem"
);

word!(
    /// A network as the registry names it: `htdemucs`. 1 to 32 of `a-z 0-9 _`.
    ModelName,
    "model"
);

impl ModelName {
    /// The network of requests that name none.
    #[must_use]
    pub fn htdemucs() -> Self {
        Self("htdemucs".to_owned())
    }
}

impl StemName {
    /// Everything but this stem.
    #[must_use]
    pub fn without(&self) -> Self {
        Self(format!("no_{}", self.0))
    }
}

impl Tenant {
    /// The tenant of requests without a key.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self("default".to_owned())
    }
}

/// As text in JSON, parsed on the way in.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
as_text!(SongHash, JobKey, JobId, Tenant, StemName, ModelName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_song_hash_has_one_spelling() {
        let text = "00ff".repeat(16);
        assert_eq!(text.parse::<SongHash>().unwrap().to_string(), text);
        for bad in ["", "00FF", &"00FF".repeat(16), &"0g".repeat(32), &"é".repeat(32), &"0".repeat(63)] {
            assert!(bad.parse::<SongHash>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_job_id_has_one_spelling_and_keeps_its_epoch() {
        let id = JobId::new(Epoch(7));
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        assert_eq!(id.epoch(), Epoch(7));
        assert_eq!(serde_json::from_str::<JobId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        for bad in ["", "7", "7-", "07-0198aa", "../7-x", &id.to_string().to_uppercase(), &format!("+{id}")] {
            assert!(bad == id.to_string() || bad.parse::<JobId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tenant_cannot_lead_to_another_folder() {
        assert!("label_7".parse::<Tenant>().is_ok());
        for bad in ["", "..", "a/b", "A", "é", &"a".repeat(33)] {
            assert!(bad.parse::<Tenant>().is_err(), "{bad}");
        }
    }
}
