//! What the editor's clients know by numbers: songs that are kept for later, and what workers did.

use super::{GONE, ObjectKey};
use crate::ids::{JobId, SongHash, Tenant};

/// Prefix of the songs that the editor keeps.
pub const MUSIC: &str = "music/";

impl ObjectKey {
    /// A song that the editor keeps, under a name of its own among those that need the song.
    #[must_use]
    pub fn music(tenant: &Tenant, song: &SongHash, hold: &JobId) -> Self {
        Self::queue(format!("{}{song}/{hold}", Self::music_of(tenant)))
    }

    /// Prefix of all songs that the editor keeps for a tenant.
    #[must_use]
    pub fn music_of(tenant: &Tenant) -> String {
        format!("{MUSIC}{tenant}/")
    }

    /// Prefix of those of them whose hash has this [number](SongHash::number), and of hardly any others.
    #[must_use]
    pub fn music_numbered(tenant: &Tenant, number: u64) -> String {
        format!("{}{}", Self::music_of(tenant), beginning(number))
    }

    /// Prefix of the marks of songs with this [number](SongHash::number) whose results' time was over.
    #[must_use]
    pub fn gone_numbered(tenant: &Tenant, number: u64) -> String {
        format!("{GONE}{tenant}/{}", beginning(number))
    }

    /// What a worker did of a job in one go.
    #[must_use]
    pub fn unit(tenant: &Tenant, song: &SongHash, job: &JobId, number: u64) -> Self {
        Self::queue(format!("{}{number:014x}", Self::units_of_job(tenant, song, job)))
    }

    /// Prefix of all units of a tenant's jobs.
    #[must_use]
    pub fn units_of(tenant: &Tenant) -> String {
        format!("units/{tenant}/")
    }

    /// Prefix of all units of a job.
    #[must_use]
    pub fn units_of_job(tenant: &Tenant, song: &SongHash, job: &JobId) -> String {
        format!("{}{song}/{job}/", Self::units_of(tenant))
    }

    /// The song, the job and the number of a unit, if this is one.
    #[must_use]
    pub fn as_unit(&self) -> Option<(SongHash, JobId, u64)> {
        let mut parts = self.path.strip_prefix("units/")?.split('/').skip(1);
        let (song, job) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some((song, job, u64::from_str_radix(parts.next()?, 16).ok()?))
    }
}

/// How a hash with this [number](SongHash::number) begins: 52 of its 53 bits.
fn beginning(number: u64) -> String {
    format!("{:013x}", number >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;

    #[test]
    fn a_song_is_found_by_its_number() {
        let (tenant, job) = (Tenant::default_tenant(), JobId::from_parts(Epoch(7), 3));
        let song: SongHash = "0123456789abcdef".repeat(4).parse().unwrap();
        assert_eq!(song.number(), 0x0123_4567_89ab_cdef >> 11);
        let prefix = ObjectKey::music_numbered(&tenant, song.number());
        assert_eq!(prefix, "music/default/0123456789abc");
        assert!(ObjectKey::music(&tenant, &song, &job).path().starts_with(&prefix));
        let gone = ObjectKey::gone_numbered(&tenant, song.number());
        assert!(ObjectKey::gone(&tenant, &song).path().starts_with(&gone));
        assert_eq!(ObjectKey::unit(&tenant, &song, &job, 7).as_unit(), Some((song, job, 7)));
    }
}
