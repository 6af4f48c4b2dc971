//! How much is taken, and how long things may last.

use std::time::Duration;

use clap::Args;
use common::queue::Room;

use super::{duration, size};

/// How much is taken.
#[derive(Debug, Clone, Args)]
pub struct LimitArgs {
    /// Largest upload.
    #[arg(long, env = "MSAAS_UPLOAD_BYTES", value_name = "BYTES", default_value = "200M", value_parser = size)]
    pub upload_bytes: u64,
    /// Largest request to `/apiv1/separate`, whose upload is base64 text.
    #[arg(long, env = "MSAAS_BASE64_BYTES", value_name = "BYTES", default_value = "280M", value_parser = size)]
    pub base64_bytes: u64,
    /// Uploads at once; further ones are answered 503.
    #[arg(long, env = "MSAAS_UPLOADS", value_name = "N", default_value_t = 64)]
    pub uploads: usize,
    /// Jobs that may wait or run, of all tenants.
    #[arg(long, env = "MSAAS_JOBS", value_name = "N", default_value_t = 10_000)]
    pub jobs: u64,
    /// Jobs that may wait or run, of one tenant.
    #[arg(long, env = "MSAAS_JOBS_OF_TENANT", value_name = "N", default_value_t = 5_000)]
    pub jobs_of_tenant: u64,
    /// Songs of one tenant that are kept for later: the editor's, and uploads without a job.
    #[arg(long, env = "MSAAS_SONGS_OF_TENANT", value_name = "N", default_value_t = 5_000)]
    pub songs_of_tenant: usize,
    /// Longest estimated wait at which jobs are still taken; 0 for any.
    #[arg(long, env = "MSAAS_MAX_WAIT", value_name = "TIME", default_value = "0", value_parser = duration)]
    pub max_wait: Duration,
    /// Seconds of audio that the workers together separate in a second, for estimates of the wait.
    #[arg(long, env = "MSAAS_SPEED", value_name = "FACTOR", default_value_t = 2.0)]
    pub speed: f64,
    /// Connections at once, of HTTP and as many of gRPC; further ones wait. Fewer where the system allows fewer open files.
    #[arg(long, env = "MSAAS_CONNECTIONS", value_name = "N", default_value_t = 8192)]
    pub connections: usize,
    /// Streams of events of one key or address at once; 0 for any number.
    #[arg(long, env = "MSAAS_STREAMS", value_name = "N", default_value_t = 64)]
    pub streams: usize,
    /// Time for the headers of a request, and for the next request on a connection.
    #[arg(long = "header-time", env = "MSAAS_HEADER_TIME", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub header: Duration,
    /// Longest pause inside a body, in either direction.
    #[arg(long = "idle-time", env = "MSAAS_IDLE_TIME", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub idle: Duration,
    /// Bytes for each second that a client keeps this server waiting, in either direction; who owes more than the
    /// longest pause is cut off. 0 for any number.
    #[arg(long, env = "MSAAS_SLOWEST", value_name = "BYTES", default_value = "4k", value_parser = size)]
    pub slowest: u64,
    /// Longest time from a request to the head of its answer, uploads included.
    #[arg(long = "total-time", env = "MSAAS_TOTAL_TIME", value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub total: Duration,
    /// Requests a second of one key or address; 0 for any number.
    #[arg(long, env = "MSAAS_RATE", value_name = "N", default_value_t = 100)]
    pub rate: u32,
    /// Requests of one key or address that may come at once.
    #[arg(long, env = "MSAAS_BURST", value_name = "N", default_value_t = 400)]
    pub burst: u32,
    /// Proxies in front of this server that name the client's address in `X-Forwarded-For`.
    #[arg(long, env = "MSAAS_PROXIES", value_name = "N", default_value_t = 0)]
    pub proxies: usize,
}

impl LimitArgs {
    /// How many jobs may wait, as the queue wants it.
    #[must_use]
    pub fn room(&self) -> Room {
        Room { jobs: self.jobs, jobs_of_tenant: self.jobs_of_tenant }
    }
}
