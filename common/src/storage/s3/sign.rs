//! Links that carry their own permission.

use std::fmt::Display;
use std::time::Duration;

use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};

use super::S3;
use super::percent;
use crate::keys::ObjectKey;
use crate::storage::{Result, Signed, StoreError, name};

impl S3 {
    /// A link under the public address.
    pub(super) async fn link(
        &self,
        key: &ObjectKey,
        what: Signed,
        valid: Duration,
        file_name: Option<&str>,
    ) -> Result<String> {
        let (bucket, path) = (self.bucket(key), name::checked(key)?);
        let valid = valid_for(valid)?;
        let put = || self.public.put_object().bucket(bucket).key(path);
        match what {
            Signed::Get => {
                let request = self.public.get_object().bucket(bucket).key(path);
                let named = request.set_response_content_disposition(file_name.map(disposition));
                signed_for(named.presigned(valid).await)
            }
            Signed::Put => signed_for(put().presigned(valid).await),
            Signed::PutExactly { size_bytes } => {
                signed_for(put().content_length(size_bytes as i64).presigned(valid).await)
            }
        }
    }
}

pub(super) fn valid_for(valid: Duration) -> Result<PresigningConfig> {
    PresigningConfig::expires_in(valid)
        .map_err(|error| StoreError::Refused(format!("a link cannot be valid for {valid:?}: {error}")))
}

/// The link in a signed request.
pub(super) fn signed_for<E: Display>(signed: std::result::Result<PresignedRequest, E>) -> Result<String> {
    match signed {
        Ok(request) => Ok(request.uri().to_owned()),
        Err(error) => Err(StoreError::Refused(error.to_string())),
    }
}

/// `Content-Disposition` of a download under a name: plain for old programs, and exactly (RFC 6266).
fn disposition(file_name: &str) -> String {
    let plain = |c: char| {
        let harmless = c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | '%' | '/');
        if harmless { c } else { '_' }
    };
    let name: String = file_name.chars().map(plain).collect();
    format!("attachment; filename=\"{name}\"; filename*=UTF-8''{}", percent(&file_name.replace('/', "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_break_out_of_its_header() {
        let header = disposition("a\"; x=\"\r\nSet-Cookie: é/..\\");
        assert_eq!(
            header,
            "attachment; filename=\"a_; x=___Set-Cookie: __.._\"; \
             filename*=UTF-8''a%22%3B%20x%3D%22%0D%0ASet-Cookie%3A%20%C3%A9_..%5C"
        );
    }
}
