//! Which engine a task gets, and when a network makes room for another one.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use common::ModelName;

use crate::bench::{Bench, small};

#[tokio::test]
async fn tasks_go_to_the_device_with_the_least_to_do() {
    let bench = Bench::new().await;
    let engines = bench.wide_engines();
    engines.warm_up(&small()).unwrap();
    let get = || engines.get(&small(), &mut || ()).unwrap();
    let same = |a: &worker::Held, b: &worker::Held| std::ptr::eq(a.engine(), b.engine());
    let (first, second, third) = (get(), get(), get());
    assert!(!same(&first, &second) && same(&first, &third));
    drop(second);
    let fourth = get();
    assert!(!same(&first, &fourth));
    assert!(first.segment_s().unwrap_or_default() > 0.0 && first.engine().batch() == 4);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!((engines.songs_at_once(), bench.engines().songs_at_once()), (cores.max(2), 1));
}

#[tokio::test]
async fn another_network_comes_when_nobody_uses_the_one_that_is_loaded() {
    let bench = Bench::new().await;
    bench.install("other", 8);
    let (engines, other) = (bench.engines(), "other".parse::<ModelName>().unwrap());
    let first = engines.get(&small(), &mut || ()).unwrap();
    let (got, gets) = channel();
    std::thread::scope(|scope| {
        let ask = |model: ModelName| {
            let (engines, got) = (engines.clone(), got.clone());
            scope.spawn(move || got.send((model.clone(), engines.get(&model, &mut || ()).unwrap())).unwrap());
        };
        ask(other.clone());
        let patience = Duration::from_millis(300);
        assert!(matches!(gets.recv_timeout(patience), Err(RecvTimeoutError::Timeout)));
        // Who comes for the old one now has to wait for the new one: else it would never have its turn.
        ask(small());
        assert!(matches!(gets.recv_timeout(patience), Err(RecvTimeoutError::Timeout)));
        drop(first);
        let (model, held) = gets.recv().unwrap();
        assert_eq!(model, other);
        assert!(matches!(gets.recv_timeout(patience), Err(RecvTimeoutError::Timeout)));
        drop(held);
        assert_eq!(gets.recv().unwrap().0, small());
    });
}
