//! A cluster's worth of processes: Redis by the manifests' own command, and our programs with the variables of their
//! containers. Only addresses and secrets are those of here.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use super::tls::Front;
use super::told::Container;
use crate::processes::{Http, MODEL, Program, Servers};

/// Redis is asked for it; not all of it may stand in an address.
const PASSWORD: &str = "pass/word@1";

pub(super) struct Cluster {
    servers: Servers,
    folder: TempDir,
    redis_port: u16,
    redis: Option<Program>,
}

/// A program as its container has it.
pub(super) struct Pod {
    pub(super) container: Container,
    pub(super) program: Program,
    /// Health and figures.
    pub(super) admin: Http,
    /// Where clients are answered, of `rest`.
    pub(super) clients: Http,
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let (servers, folder) = (Servers::start().await, tempfile::tempdir().unwrap());
        let mut cluster = Self { servers, folder, redis_port: free_port(), redis: None };
        cluster.start_redis();
        cluster
    }

    /// As the stateful set does, with what its volume has.
    pub(super) fn start_redis(&mut self) {
        let container = Container::named("overlay local: StatefulSet/redis: redis");
        let (data, programs) = (self.folder.path().join("data"), self.folder.path().join("programs"));
        for folder in [&data, &programs] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let server = std::env::var("MSAAS_TEST_VALKEY")
            .expect("MSAAS_TEST_VALKEY names a Valkey or Redis server: eval \"$(scripts/servers.sh)\"");
        symlink(server, programs.join("valkey-server")).ok();
        let here = format!("dir {}\nport {}", data.display(), self.redis_port);
        let command: Vec<_> = container.command.iter().map(|word| word.replace("dir /data", &here)).collect();
        let path = format!("{}:/usr/bin:/bin", programs.display());
        let env = [("PATH", path.as_str()), ("REDIS_PASSWORD", PASSWORD)];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.redis = Some(Program::in_container(&command, &BTreeMap::from(env), &self.log("redis")));
    }

    /// Leads to Redis for who speaks TLS.
    pub(super) async fn redis_under_tls(&self) -> Front {
        Front::start(self.folder.path(), self.redis_port).await
    }

    pub(super) fn kill_redis(&mut self) {
        self.redis = None;
    }

    /// The variables of a container, with addresses and secrets of here.
    pub(super) fn env(&self, container: &Container) -> BTreeMap<String, String> {
        let mut env = container.env.clone();
        let (host, port) =
            self.servers.weed.endpoint().trim_start_matches("http://").split_once(':').map(both).unwrap();
        let (access, secret) = self.servers.weed.keys();
        let here = [
            ("REDIS_HOST", "127.0.0.1".to_owned()),
            ("REDIS_PORT", self.redis_port.to_string()),
            ("REDIS_PASSWORD", PASSWORD.to_owned()),
            ("MINIO_HOST", host),
            ("MINIO_PORT", port),
            ("MINIO_ACCESS_KEY", access.to_owned()),
            ("MINIO_SECRET_KEY", secret.to_owned()),
            ("MSAAS_MODEL", MODEL.to_owned()),
            ("MSAAS_MODELS", MODEL.to_owned()),
            ("MSAAS_MODEL_DIR", self.servers.models_dir().display().to_string()),
            ("MSAAS_OUT", self.folder.path().join("stems").display().to_string()),
        ];
        for (name, value) in here {
            // Nothing is added that the container does not have.
            if let Some(there) = env.get_mut(name) {
                *there = value;
            }
        }
        env
    }

    /// Starts the only container of a deployment.
    pub(super) fn pod(&self, name: &str) -> Pod {
        let container = Container::named(&format!("overlay local: Deployment/{name}: {name}"));
        let env = self.env(&container);
        self.pod_with(name, container, env)
    }

    pub(super) fn pod_with(
        &self,
        name: &str,
        container: Container,
        mut env: BTreeMap<String, String>,
    ) -> Pod {
        let (admin, clients) = (free_port(), free_port());
        for (variable, port) in [("MSAAS_ADMIN_PORT", admin), ("MSAAS_PORT", clients), ("MSAAS_GRPC_PORT", 0)]
        {
            env.insert(variable.to_owned(), port.to_string());
        }
        let program = Program::in_container(&container.built(), &env, &self.log(name));
        Pod { container, program, admin: Http::new(admin), clients: Http::new(clients) }
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }
}

impl Pod {
    /// Status and words of a probe's answer; none where nobody answers.
    pub(super) async fn asked(&self, probe: &str) -> Option<(u16, String)> {
        let answer = self.admin.get(self.container.path(probe)).await.ok()?;
        Some((answer.status, String::from_utf8_lossy(&answer.body).trim().to_owned()))
    }

    /// Waits until a probe is answered with this status; gives the words.
    pub(super) async fn until(&mut self, probe: &str, status: u16) -> String {
        let answered = async {
            loop {
                match self.asked(probe).await {
                    Some((answered, words)) if answered == status => return words,
                    _ => assert!(!self.program.has_ended(), "it has ended"),
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_mins(1), answered).await.unwrap()
    }
}

fn both((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The address of Redis behind such a port, with its password.
pub(super) fn redis_under_tls(port: u16) -> String {
    let password = PASSWORD.replace('/', "%2F").replace('@', "%40");
    format!("rediss://:{password}@localhost:{port}/0")
}
