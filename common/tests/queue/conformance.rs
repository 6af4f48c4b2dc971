//! Both kinds of queue pass the same checks.

use common::queue::conformance::{Bench, CHECKS, rules};
use common::testing::valkey::Server;

use crate::bench::{altered, memory, unaltered};

async fn all_hold(fresh: impl Fn() -> Bench) {
    let mut broken = Vec::new();
    for (name, check) in CHECKS {
        if let Err(error) = check(&fresh()).await {
            broken.push(format!("{name}: {error}"));
        }
    }
    assert!(broken.is_empty(), "{} of {} checks fail:\n{}", broken.len(), CHECKS.len(), broken.join("\n"));
}

#[tokio::test]
async fn the_queue_in_memory_passes_all_checks() {
    all_hold(|| memory(rules())).await;
}

#[tokio::test]
async fn the_queue_in_redis_passes_all_checks() {
    let server = Server::shared();
    all_hold(|| altered(&server, &unaltered)).await;
}
