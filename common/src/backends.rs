//! The queue and the store that the settings name; every program of the service has the same ones.
//!
//! Names of older deployments are understood: `REDIS_HOST`, `REDIS_PORT` (a number, or `tcp://host:port` as
//! Kubernetes injects it), `MINIO_HOST`, `MINIO_PORT`, `MINIO_ACCESS_KEY`, `MINIO_SECRET_KEY`, and for the last
//! two `MINIO_ROOT_USER`, `MINIO_ROOT_PASSWORD`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::ledger::{Keep, Ledger};
use crate::queue::memory::MemoryQueue;
use crate::queue::redis::{RedisQueue, Settings};
use crate::queue::{Clock, Queue, QueueError, Rules};
use crate::storage::fs::Folder;
use crate::storage::s3::{AccessKeys, S3, S3Config, percent};
use crate::storage::{Store, StoreError};

/// How long things are kept; every program of a service is told the same.
#[derive(Debug, Clone, Copy, Args)]
pub struct KeepArgs {
    /// How long results are kept after a job was accepted.
    #[arg(long, env = "MSAAS_KEEP_RESULTS", value_name = "TIME", default_value = "7d", value_parser = duration)]
    pub keep_results: Duration,
    /// How long separated sources are kept, losslessly, so that other formats and mixes of a song need no second
    /// separation; 0 keeps none.
    #[arg(long, env = "MSAAS_KEEP_SOURCES", value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub keep_sources: Duration,
}

impl From<KeepArgs> for Keep {
    fn from(args: KeepArgs) -> Self {
        Self { results: args.keep_results, sources: args.keep_sources, ..Self::default() }
    }
}

/// A time as a number with `s`, `m`, `h` or `d`; seconds without.
///
/// # Errors
/// A sentence for anything else.
pub fn duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match &text[end..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err("a time is a number with s, m, h or d".to_owned()),
    };
    let number: u64 = text[..end].parse().map_err(|_| "a time begins with a number".to_owned())?;
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

/// A length as a number with `k`, `M` or `G` (of 1024, also as `Gi` and `GiB`); bytes without.
///
/// # Errors
/// A sentence for anything else.
pub fn size(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match text[end..].trim_end_matches('B').trim_end_matches('i') {
        "" => 1,
        "k" | "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err("a length is a number with k, M or G".to_owned()),
    };
    let number: u64 = text[..end].parse().map_err(|_| "a length begins with a number".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "the length is too large".to_owned())
}

/// Why there is no ledger.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The address of Redis cannot be read.
    #[error("the address of Redis cannot be used: {0}")]
    Queue(#[from] QueueError),
    /// The store cannot be reached, or does not keep its promises.
    #[error("the object store cannot be used: {0}")]
    Store(#[from] StoreError),
}

/// How often the store is tried before a program gives up: pods start in any order.
const TRIES: u32 = 30;
/// Between two tries.
const TRY_EVERY: Duration = Duration::from_secs(2);

/// The ledger over the queue and the store that the settings name; none where it was time to stop first.
///
/// # Errors
/// [`BackendError`].
pub async fn ledger(
    queue: &QueueArgs,
    store: &StoreArgs,
    keep: Keep,
    stop: &CancellationToken,
) -> Result<Option<Ledger>, BackendError> {
    let queue = self::queue(queue, queue.rules())?;
    for tried in 1.. {
        match self::store(store).await {
            Ok(store) => {
                let ledger = Ledger::new(store, queue, keep);
                if let Err(error) = ledger.restore_epoch().await {
                    // Every sweep says it again.
                    tracing::warn!(%error, "the queue does not know of resets yet");
                }
                return Ok(Some(ledger));
            }
            Err(error) if tried == TRIES => return Err(error),
            Err(error) => tracing::warn!(%error, "the store is tried again"),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(TRY_EVERY) => {}
        }
    }
    Ok(None)
}

/// The queue: Redis where one is named, otherwise in memory, for a service of a single process.
///
/// # Errors
/// [`BackendError::Queue`].
pub fn queue(args: &QueueArgs, rules: Rules) -> Result<Arc<dyn Queue>, BackendError> {
    let Some(url) = args.url() else {
        return Ok(Arc::new(MemoryQueue::new(rules, Clock::Own)));
    };
    Ok(Arc::new(RedisQueue::open(Settings { url, ..Settings::default() }, rules)?))
}

/// The store, prepared: S3 where one is named, otherwise a folder.
///
/// # Errors
/// [`BackendError::Store`].
pub async fn store(args: &StoreArgs) -> Result<Arc<dyn Store>, BackendError> {
    let store: Arc<dyn Store> = match args.endpoint() {
        None => Arc::new(Folder::new(&args.store_dir)),
        Some(endpoint) => {
            let keys = args
                .credentials()
                .map(|(access, secret)| AccessKeys { access_key: access.into(), secret_key: secret.into() });
            let config = S3Config {
                endpoint: Some(endpoint),
                public_endpoint: args.s3_public_endpoint.clone(),
                region: args.s3_region.clone(),
                keys,
                queue_bucket: args.queue_bucket.clone(),
                output_bucket: args.output_bucket.clone(),
                ..S3Config::default()
            };
            Arc::new(S3::new(config).await?)
        }
    };
    store.prepare().await?;
    Ok(store)
}

/// Where the queue is: in memory unless a Redis is named.
#[derive(Debug, Clone, Args)]
pub struct QueueArgs {
    /// Redis, as `redis://[user:password@]host[:port][/database]`; `rediss://` speaks TLS.
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub redis_url: Option<String>,
    /// Host of Redis, where no URL is given.
    #[arg(long, env = "REDIS_HOST", value_name = "HOST")]
    pub redis_host: Option<String>,
    /// Port of Redis, or `tcp://host:port`.
    #[arg(long, env = "REDIS_PORT", value_name = "PORT", default_value = "6379")]
    pub redis_port: String,
    /// Password of Redis, where no URL is given.
    #[arg(long, env = "REDIS_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub redis_password: Option<String>,
    /// Seconds for which a task stays with a worker that has done nothing; the same in every program.
    #[arg(long, env = "MSAAS_LEASE", value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub lease: u64,
}

impl QueueArgs {
    /// How the queue treats tasks.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules { lease: Duration::from_secs(self.lease), ..Rules::default() }
    }

    /// Address of Redis; none where the queue is in memory.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        if self.redis_url.is_some() {
            return self.redis_url.clone();
        }
        let (host, port) = host_and_port(self.redis_host.as_deref(), &self.redis_port)?;
        let password = self.redis_password.as_deref().filter(|password| !password.is_empty());
        let user = password
            .map(|password| format!(":{}@", percent(password).replace('/', "%2F")))
            .unwrap_or_default();
        Some(format!("redis://{user}{host}:{port}/0"))
    }
}

/// Where objects are: in a folder unless an S3 is named.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// Folder for objects, where no S3 is named.
    #[arg(long, env = "MSAAS_STORE_DIR", value_name = "DIR", default_value = "msaas-store")]
    pub store_dir: PathBuf,
    /// Address of an S3, as `http://host:port`.
    #[arg(long, env = "MSAAS_S3_ENDPOINT", value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Address of the S3 as clients reach it, for signed addresses; none are given out without it.
    #[arg(long, env = "MSAAS_S3_PUBLIC_ENDPOINT", value_name = "URL")]
    pub s3_public_endpoint: Option<String>,
    /// Host of the S3, where no address is given.
    #[arg(long, env = "MINIO_HOST", value_name = "HOST")]
    pub s3_host: Option<String>,
    /// Port of the S3, or `tcp://host:port`.
    #[arg(long, env = "MINIO_PORT", value_name = "PORT", default_value = "9000")]
    pub s3_port: String,
    /// Region of the S3.
    #[arg(long, env = "MSAAS_S3_REGION", value_name = "REGION", default_value = "us-east-1")]
    pub s3_region: String,
    /// Access key of the S3.
    #[arg(long, env = "MINIO_ACCESS_KEY", value_name = "KEY", hide_env_values = true)]
    pub s3_access_key: Option<String>,
    /// Secret key of the S3.
    #[arg(long, env = "MINIO_SECRET_KEY", value_name = "KEY", hide_env_values = true)]
    pub s3_secret_key: Option<String>,
    /// Access key under its other name.
    #[arg(long, env = "MINIO_ROOT_USER", hide = true, hide_env_values = true)]
    pub s3_root_user: Option<String>,
    /// Secret key under its other name.
    #[arg(long, env = "MINIO_ROOT_PASSWORD", hide = true, hide_env_values = true)]
    pub s3_root_password: Option<String>,
    /// Bucket of uploads, records and intermediates.
    #[arg(long, env = "MSAAS_QUEUE_BUCKET", value_name = "NAME", default_value = "queue")]
    pub queue_bucket: String,
    /// Bucket of results.
    #[arg(long, env = "MSAAS_OUTPUT_BUCKET", value_name = "NAME", default_value = "output")]
    pub output_bucket: String,
}

impl StoreArgs {
    /// Address of the S3; none where objects are in a folder.
    #[must_use]
    pub fn endpoint(&self) -> Option<String> {
        if self.s3_endpoint.is_some() {
            return self.s3_endpoint.clone();
        }
        let (host, port) = host_and_port(self.s3_host.as_deref(), &self.s3_port)?;
        Some(format!("http://{host}:{port}"))
    }

    /// Access key and secret key, if both are known.
    #[must_use]
    pub fn credentials(&self) -> Option<(String, String)> {
        let access = self.s3_access_key.clone().or_else(|| self.s3_root_user.clone())?;
        let secret = self.s3_secret_key.clone().or_else(|| self.s3_root_password.clone())?;
        Some((access, secret))
    }
}

/// What a pair of host and port means, where the port may be `tcp://host:port`, as Kubernetes sets it for a
/// service of the same name. A host that is named wins.
fn host_and_port(host: Option<&str>, port: &str) -> Option<(String, String)> {
    match port.strip_prefix("tcp://") {
        Some(both) => {
            let (injected, port) = both.rsplit_once(':')?;
            Some((host.unwrap_or(injected).to_owned(), port.to_owned()))
        }
        None => Some((host?.to_owned(), port.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lengths_have_units() {
        assert_eq!(duration("90").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("7d").unwrap(), Duration::from_hours(168));
        assert!(duration("d").is_err() && duration("5x").is_err());
        assert_eq!(size("200M").unwrap(), 200 << 20);
        assert_eq!((size("1GiB").unwrap(), size("1Gi").unwrap()), (1 << 30, 1 << 30));
        assert!(size("99999999999999999999G").is_err() && size("5x").is_err());
    }

    #[test]
    fn a_password_of_any_letters_gets_into_the_address_of_redis_and_an_empty_one_does_not() {
        let args = |password: &str| QueueArgs {
            redis_url: None,
            redis_host: Some("redis".to_owned()),
            redis_port: "6379".to_owned(),
            redis_password: Some(password.to_owned()),
            lease: 60,
        };
        assert_eq!(args("").url().as_deref(), Some("redis://redis:6379/0"));
        assert_eq!(args("p/@:é 1").url().as_deref(), Some("redis://:p%2F%40%3A%C3%A9%201@redis:6379/0"));
        let named = QueueArgs { redis_url: Some("redis://other".to_owned()), ..args("secret") };
        assert_eq!(named.url().as_deref(), Some("redis://other"));
    }

    #[test]
    fn older_names_of_redis_and_minio_are_understood() {
        let both = |host, port| host_and_port(host, port).map(|(host, port)| format!("{host}:{port}"));
        assert_eq!(both(None, "6379"), None);
        assert_eq!(both(Some("redis"), "6379").as_deref(), Some("redis:6379"));
        assert_eq!(both(None, "tcp://10.0.0.1:6379").as_deref(), Some("10.0.0.1:6379"));
        assert_eq!(both(Some("redis"), "tcp://10.0.0.1:6380").as_deref(), Some("redis:6380"));
    }
}
