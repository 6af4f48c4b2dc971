//! Queues ready to be checked.

use std::sync::Arc;

use common::queue::conformance::{Bench, rules};
use common::queue::memory::MemoryQueue;
use common::queue::redis::{RedisQueue, Settings};
use common::queue::{Clock, Rules};
use common::testing::valkey::Server;

/// When the clocks of all tests begin.
pub(crate) const BEGIN_MS: u64 = 1_700_000_000_000;

pub(crate) fn unaltered(_: &str, text: String) -> String {
    text
}

pub(crate) fn memory(rules: Rules) -> Bench {
    let clock = Clock::manual(BEGIN_MS);
    let queue = Arc::new(MemoryQueue::new(rules, clock.clone()));
    let entrance = queue.clone();
    let by_hand = Box::new(move |entry: String| {
        entrance.push_by_hand(&entry);
        Box::pin(std::future::ready(())) as _
    });
    Bench { queue, clock, by_hand }
}

pub(crate) fn redis(
    settings: Settings,
    rules: Rules,
    clock: Clock,
    alter: &dyn Fn(&str, String) -> String,
) -> Bench {
    let queue = Arc::new(RedisQueue::open_altered(settings.clone(), rules, clock.clone(), alter).unwrap());
    let client = redis::Client::open(settings.url).unwrap();
    let by_hand = Box::new(move |entry: String| {
        let (client, entrance) = (client.clone(), settings.entrance.clone());
        Box::pin(async move {
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            redis::cmd("RPUSH").arg(entrance).arg(entry).exec_async(&mut connection).await.unwrap();
        }) as _
    });
    Bench { queue, clock, by_hand }
}

/// A queue with altered scripts, as the checks want it.
pub(crate) fn altered(server: &Server, alter: &dyn Fn(&str, String) -> String) -> Bench {
    redis(server.settings(), rules(), Clock::manual(BEGIN_MS), alter)
}
