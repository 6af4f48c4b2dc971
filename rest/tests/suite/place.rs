//! Where a server stands: over a store and a queue in memory, or over real ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::Parser as _;
use common::queue::memory::MemoryQueue;
use common::queue::redis::RedisQueue;
use common::queue::{Clock, Rules};
use common::storage::s3::{S3, S3Config};
use common::testing::{seaweed, valkey};
use rest::Config;

use crate::store::MemoryStore;
use crate::support::{Around, Server};

/// Makes tests of scenarios, functions of a [`Place`]: one in memory for each, `memory::<name>`, and one of all of
/// them in turn over real servers, which take seconds to start.
macro_rules! scenarios {
    ($($name:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::place::Place::Memory).await;
            })*
        }

        #[tokio::test]
        async fn everything_holds_over_real_servers() {
            use futures_util::FutureExt as _;
            let place = crate::place::Place::real();
            let mut broken = Vec::new();
            $(if std::panic::AssertUnwindSafe($name(place.clone())).catch_unwind().await.is_err() {
                broken.push(stringify!($name));
            })*
            assert!(broken.is_empty(), "{broken:?}");
        }
    };
}
pub(crate) use scenarios;

/// Where servers of one test stand.
#[derive(Clone)]
pub(crate) enum Place {
    /// Each over a store and a queue of its own.
    Memory,
    /// Each with its own buckets and its own prefix.
    Real(Arc<Real>),
}

/// `SeaweedFS` and Valkey.
pub(crate) struct Real {
    seaweed: seaweed::Server,
    valkey: valkey::Server,
    made: AtomicU32,
}

impl Place {
    pub(crate) fn real() -> Self {
        let seaweed = seaweed::Server::start();
        let valkey = valkey::Server::start(valkey::Kept::Nothing);
        Self::Real(Arc::new(Real { seaweed, valkey, made: AtomicU32::new(0) }))
    }

    /// A server with settings as on a command line.
    pub(crate) async fn server(&self, args: &[&str]) -> Server {
        self.with_keys(args, "").await
    }

    pub(crate) async fn with_keys(&self, args: &[&str], keys: &str) -> Server {
        let around = match self {
            Self::Memory => in_memory(args),
            Self::Real(real) => real.around().await,
        };
        Server::over(around, args, keys)
    }
}

impl Real {
    async fn around(&self) -> Around {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let config = S3Config {
            queue_bucket: format!("queue-{number}"),
            output_bucket: format!("output-{number}"),
            ..self.seaweed.config()
        };
        let store = S3::new(config).await.unwrap();
        self.seaweed.prepared(&store).await;
        let queue = RedisQueue::open(self.valkey.settings(), Rules::default()).unwrap();
        Around { store: Arc::new(store), queue: Arc::new(queue), memory: None }
    }
}

/// A store and a queue in memory; the store signs addresses where the settings name one for clients.
pub(crate) fn in_memory(args: &[&str]) -> Around {
    let store = Arc::new(MemoryStore::default());
    let signs = config(args).store.s3_public_endpoint.is_some();
    store.signs.store(signs, Ordering::SeqCst);
    let queue = Arc::new(MemoryQueue::new(Rules::default(), Clock::Own));
    Around { store: store.clone(), queue, memory: Some(store) }
}

/// Settings as on a command line, without a limit of requests unless one is named.
pub(crate) fn config(args: &[&str]) -> Config {
    Config::parse_from([&["rest", "--rate", "0"], args].concat())
}
