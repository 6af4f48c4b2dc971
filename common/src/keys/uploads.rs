//! Whose an upload is that has no job yet.

use uuid::Uuid;

use super::ObjectKey;
use crate::ids::Tenant;

/// Prefix of the marks of whose uploads are.
pub const UPLOADS: &str = "uploads/";

impl ObjectKey {
    /// The mark of a tenant's upload.
    #[must_use]
    pub fn upload_of(tenant: &Tenant, upload: Uuid) -> Self {
        Self::queue(format!("{}{}", Self::uploads_of(tenant), upload.simple()))
    }

    /// Prefix of the marks of a tenant's uploads.
    #[must_use]
    pub fn uploads_of(tenant: &Tenant) -> String {
        format!("{UPLOADS}{tenant}/")
    }

    /// Which upload this is the mark of, if it is one.
    #[must_use]
    pub fn as_upload(&self) -> Option<Uuid> {
        self.path.strip_prefix(UPLOADS)?.split_once('/')?.1.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_its_upload_and_no_job() {
        let (tenant, upload) = (Tenant::default_tenant(), Uuid::from_u128(7));
        let mark = ObjectKey::upload_of(&tenant, upload);
        assert!(mark.path().starts_with(&ObjectKey::uploads_of(&tenant)));
        assert_eq!((mark.as_upload(), mark.job_id()), (Some(upload), None));
        assert_eq!(ObjectKey::incoming(upload).as_upload(), None);
    }
}
