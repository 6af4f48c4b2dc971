//! Where an S3 store is and how its client behaves.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use secrecy::{ExposeSecret, SecretString};

use crate::keys::Bucket;
use crate::storage::{Result, StoreError};

/// Time to reach the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest pause between two tries of a request.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// How long a body may stand still on its way.
const STALLED_AFTER: Duration = Duration::from_secs(20);

/// Settings of an S3 store.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// Address of the server, with `http://` or `https://`; without one, Amazon's of the region.
    pub endpoint: Option<String>,
    /// Address under which clients outside reach the server, for signed links; without one, `endpoint`.
    pub public_endpoint: Option<String>,
    /// Region that requests are signed for; servers other than Amazon's mostly take any.
    pub region: String,
    /// Keys; without, the usual chain: `AWS_ACCESS_KEY_ID`, profile, web identity, container, instance.
    pub keys: Option<AccessKeys>,
    /// Name of [`Bucket::Queue`].
    pub queue_bucket: String,
    /// Name of [`Bucket::Output`].
    pub output_bucket: String,
    /// Time from the beginning of a request to the beginning of its answer, the body sent in between.
    pub answer_timeout: Duration,
    /// Tries of one request, at least 1.
    pub tries: u32,
}

/// A pair of keys.
#[derive(Debug, Clone)]
pub struct AccessKeys {
    /// Name of the pair.
    pub access_key: SecretString,
    /// What signs.
    pub secret_key: SecretString,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            public_endpoint: None,
            region: "us-east-1".to_owned(),
            keys: None,
            queue_bucket: "queue".to_owned(),
            output_bucket: "output".to_owned(),
            answer_timeout: Duration::from_mins(2),
            tries: 4,
        }
    }
}

impl S3Config {
    /// Real name of a bucket.
    #[must_use]
    pub fn name_of(&self, bucket: Bucket) -> &str {
        match bucket {
            Bucket::Queue => &self.queue_bucket,
            Bucket::Output => &self.output_bucket,
        }
    }

    /// The client for requests, and the one that signs links for outside.
    pub(super) async fn clients(&self) -> Result<(Client, Client)> {
        for endpoint in [&self.endpoint, &self.public_endpoint].into_iter().flatten() {
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                let sentence =
                    format!("the address {endpoint:?} begins neither with http:// nor with https://");
                return Err(StoreError::Refused(sentence));
            }
        }
        let common = self.common().await;
        let at = |endpoint: Option<&String>| {
            let mut builder = common.clone();
            builder.set_endpoint_url(endpoint.cloned());
            Client::from_conf(builder.build())
        };
        let public = self.public_endpoint.as_ref().or(self.endpoint.as_ref());
        Ok((at(self.endpoint.as_ref()), at(public)))
    }

    async fn common(&self) -> Builder {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let region = Region::new(self.region.clone());
        let credentials = if let Some(keys) = &self.keys {
            let (access, secret) = (keys.access_key.expose_secret(), keys.secret_key.expose_secret());
            SharedCredentialsProvider::new(Credentials::new(access, secret, None, None, "configuration"))
        } else {
            let provider = ProviderConfig::without_region()
                .with_region(Some(region.clone()))
                .with_http_client(http.clone());
            SharedCredentialsProvider::new(
                DefaultCredentialsChain::builder().configure(provider).build().await,
            )
        };
        aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region)
            .credentials_provider(credentials)
            .http_client(http)
            .force_path_style(true)
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .read_timeout(self.answer_timeout)
                    .build(),
            )
            .retry_config(
                RetryConfig::standard().with_max_attempts(self.tries.max(1)).with_max_backoff(MAX_BACKOFF),
            )
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled().grace_period(STALLED_AFTER).build(),
            )
            // Checksums in trailers are unknown to several servers. The signature covers a SHA-256 of the body.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
    }
}
