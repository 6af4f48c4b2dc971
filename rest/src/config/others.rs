//! Settings of the interfaces beside the native one.

use std::path::PathBuf;

use clap::Args;
use url::Url;

/// What the music editor's interface needs beside the settings of all.
#[derive(Debug, Clone, Args)]
pub struct EditorArgs {
    /// Address under which clients reach this server, for the links in the editor's answers; without one a link
    /// begins as the request did: `Host`, `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Prefix`.
    #[arg(long, env = "PUBLIC_URL", value_name = "URL", value_parser = web)]
    pub public_url: Option<Url>,
    /// Let pages of any origin call `/music` and `/job`, also pages that were opened as a file; for local development.
    #[arg(long, env = "MSAAS_EDITOR_CORS")]
    pub editor_cors: bool,
    /// Let pages of any origin call `/reset` too.
    #[arg(long, env = "MSAAS_EDITOR_CORS_RESET")]
    pub editor_cors_reset: bool,
}

/// Songs behind links.
#[derive(Debug, Clone, Default, Args)]
pub struct LinkArgs {
    /// Take songs by a link too: this server fetches the file behind it, from the public internet alone.
    #[arg(long, env = "MSAAS_LINKS")]
    pub links: bool,
    /// Hosts of links that are not checked, as `host:port`; for local development.
    #[arg(long, env = "MSAAS_LINK_ALLOW", value_name = "HOST:PORT", value_delimiter = ',')]
    pub link_allow: Vec<String>,
}

/// The same service by gRPC.
#[derive(Debug, Clone, Args)]
pub struct GrpcArgs {
    /// Port of gRPC; 0 for none.
    #[arg(long, env = "MSAAS_GRPC_PORT", value_name = "PORT", default_value_t = 50051)]
    pub grpc_port: u16,
    /// Certificates of this server for gRPC, as PEM; without them it is spoken in clear.
    #[arg(long, env = "MSAAS_GRPC_TLS_CERT", value_name = "FILE", requires = "grpc_tls_key")]
    pub grpc_tls_cert: Option<PathBuf>,
    /// Key of the certificates, as PEM.
    #[arg(long, env = "MSAAS_GRPC_TLS_KEY", value_name = "FILE", requires = "grpc_tls_cert")]
    pub grpc_tls_key: Option<PathBuf>,
}

/// An address of a web server.
fn web(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() {
        Ok(url)
    } else {
        Err("an address is http://host or https://host, with a path where there is one".to_owned())
    }
}
