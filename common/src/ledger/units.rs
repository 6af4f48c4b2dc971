//! What workers did, with its figures, as long as the job is there.

use futures_util::TryStreamExt;

use super::{Ledger, Result};
use crate::ids::{JobId, SongHash, Tenant};
use crate::job::{Record, Unit};
use crate::keys::{Bucket, ObjectKey};
use crate::storage::Write;

impl Ledger {
    /// Writes down what was done of a job; done again, the last time counts.
    pub async fn note(&self, record: &Record, unit: &Unit) -> Result<()> {
        let key = ObjectKey::unit(&record.tenant, &record.song, &record.id, unit.number());
        self.write(&key, unit, Write::Replace).await?;
        Ok(())
    }

    /// Song, job and number of everything that was done for a tenant.
    pub async fn units(&self, tenant: &Tenant) -> Result<Vec<(SongHash, JobId, u64)>> {
        let epoch = self.epoch().await?;
        let (prefix, mut units) = (ObjectKey::units_of(tenant), Vec::new());
        let mut keys = self.walk(Bucket::Queue, &prefix);
        while let Some((key, _)) = keys.try_next().await? {
            units.extend(key.as_unit().filter(|(_, job, _)| job.epoch() >= epoch));
        }
        Ok(units)
    }

    /// The unit with this number, and its job.
    pub async fn unit(&self, tenant: &Tenant, number: u64) -> Result<Option<(Record, Unit)>> {
        let units = self.units(tenant).await?;
        let Some((song, job, _)) = units.into_iter().find(|(_, _, other)| *other == number) else {
            return Ok(None);
        };
        let unit = self.read(&ObjectKey::unit(tenant, &song, &job, number)).await?;
        Ok(self.record(&job).await?.zip(unit))
    }
}
