//! Settings: each one a flag, a variable, a default and a sentence.

mod limits;
mod others;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

pub use self::limits::LimitArgs;
pub use self::others::{EditorArgs, GrpcArgs, LinkArgs};
use crate::models::{KNOWN, Model};
pub use common::backends::{KeepArgs, QueueArgs, StoreArgs};
use common::backends::{duration, size};
use common::telemetry::TelemetryArgs;

/// The HTTP interface of the service: takes songs in, queues jobs, serves results.
#[derive(Debug, Clone, Parser)]
#[command(name = "rest", version, args_override_self = true)]
pub struct Config {
    /// Address to listen on.
    #[arg(long, env = "MSAAS_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub address: IpAddr,
    /// Port of the interface.
    #[arg(long, env = "MSAAS_PORT", default_value_t = 5000)]
    pub port: u16,
    /// Port of health and metrics.
    #[arg(long, env = "MSAAS_ADMIN_PORT", default_value_t = 8081)]
    pub admin_port: u16,
    /// What is said of the work, and to whom.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
    /// Where the queue is.
    #[command(flatten)]
    pub queue: QueueArgs,
    /// Where objects are.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Who may ask.
    #[command(flatten)]
    pub auth: AuthArgs,
    /// How much is taken.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Who is told.
    #[command(flatten)]
    pub callbacks: CallbackArgs,
    /// Songs behind links.
    #[command(flatten)]
    pub links: LinkArgs,
    /// Networks that songs may be separated by, the usual one first; one that is not known here with its stems, as
    /// `name=drums+bass+other+vocals`.
    #[arg(long, env = "MSAAS_MODELS", value_name = "NAME", value_delimiter = ',', default_value = KNOWN)]
    pub models: Vec<Model>,
    /// Origins whose pages may call this interface from a browser; none by default, `*` for all.
    #[arg(long, env = "MSAAS_CORS", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors: Vec<String>,
    /// Names under which pages of this server may be reached where no key is shown, beside that of the public address,
    /// names without a dot, names of local networks (as `.local`, `.lan`), and addresses, which always may.
    #[arg(long, env = "MSAAS_HOSTS", value_name = "NAME", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// What the music editor's interface needs beside that.
    #[command(flatten)]
    pub editor: EditorArgs,
    /// The same service by gRPC.
    #[command(flatten)]
    pub grpc: GrpcArgs,
    /// How long things are kept.
    #[command(flatten)]
    pub keep: KeepArgs,
    /// How long connections are still taken after a signal to stop, while `/readyz` says that this server goes: until
    /// whoever sends it clients has heard of that.
    #[arg(long, env = "MSAAS_LINGER", value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub linger: Duration,
    /// How long requests may take to end after that.
    #[arg(long, env = "MSAAS_SHUTDOWN", value_name = "TIME", default_value = "25s", value_parser = duration)]
    pub shutdown: Duration,
}

/// Whether an interface wants a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Everyone is the default tenant, except who shows a known key.
    None,
    /// Every request shows a known key.
    Key,
}

/// Who may ask.
#[derive(Debug, Clone, Args)]
pub struct AuthArgs {
    /// Whether `/v2` and gRPC want a key.
    #[arg(long, env = "MSAAS_AUTH", value_enum, default_value = "none")]
    pub auth: AuthMode,
    /// Whether `/apiv1` and the editor's routes want a key.
    #[arg(long, env = "MSAAS_AUTH_OLD", value_enum, default_value = "none")]
    pub auth_old: AuthMode,
    /// File of keys: a line each of SHA-256 of the key in hexadecimal digits, tenant, and `operator` for those
    /// who may reset the service.
    #[arg(long, env = "MSAAS_API_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Keys as in the file, with `;` between them.
    #[arg(long, env = "MSAAS_API_KEYS", value_name = "KEYS", hide_env_values = true)]
    pub keys: Option<String>,
}

/// Who is told how jobs end.
#[derive(Debug, Clone, Args)]
pub struct CallbackArgs {
    /// Callback addresses that are not checked, as `host:port`; for local development.
    #[arg(long, env = "MSAAS_CALLBACK_ALLOW", value_name = "HOST:PORT", value_delimiter = ',')]
    pub callback_allow: Vec<String>,
    /// Take callback addresses of plain `http` too.
    #[arg(long, env = "MSAAS_CALLBACK_HTTP")]
    pub callback_http: bool,
    /// Secret that signs what is told: `whsec_` and base64, or any text; without one nothing is signed.
    #[arg(long, env = "MSAAS_CALLBACK_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub callback_secret: Option<String>,
    /// Callbacks at once.
    #[arg(long, env = "MSAAS_CALLBACK_TASKS", value_name = "N", default_value_t = 4)]
    pub callback_tasks: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold_without_any_setting() {
        let config = Config::try_parse_from(["rest"]).unwrap();
        assert_eq!((config.port, config.admin_port, config.grpc.grpc_port), (5000, 8081, 50051));
        assert_eq!(config.auth.auth, AuthMode::None);
        assert_eq!(config.limits.upload_bytes, 200 << 20);
    }
}
