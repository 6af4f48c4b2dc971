//! Which engine a task gets, and when a network makes room for another one.

use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;

use common::ModelName;
use common::job::Options;
use worker::{EngineError, Settings};

use crate::bench::{Bench, held, small, song};

/// Longer than anything takes that does not wait.
const PATIENCE: Duration = Duration::from_millis(300);

fn other() -> ModelName {
    "other".parse().unwrap()
}

fn same(a: &worker::Held, b: &worker::Held) -> bool {
    std::ptr::eq(a.engine(), b.engine())
}

async fn waits<T>(future: impl Future<Output = T>) -> bool {
    tokio::time::timeout(PATIENCE, future).await.is_err()
}

#[tokio::test]
async fn tasks_go_to_the_device_with_the_least_to_do() {
    let bench = Bench::new().await;
    let engines = bench.wide_engines();
    engines.warm_up(&small()).unwrap();
    let get = async || held(&engines, &small()).await;
    let (first, second, third) = (get().await, get().await, get().await);
    assert!(!same(&first, &second) && same(&first, &third));
    drop(second);
    let fourth = get().await;
    assert!(!same(&first, &fourth));
    assert!(first.segment_s().unwrap_or_default() > 0.0 && first.engine().batch() == 4);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!((engines.songs_at_once(), bench.engines().songs_at_once()), (cores.clamp(2, 16), 1));
}

#[tokio::test]
async fn another_network_comes_when_nobody_uses_the_one_that_is_loaded() {
    let bench = Bench::new().await;
    bench.install("other", 8);
    let engines = bench.engines();
    let first = held(&engines, &small()).await;
    let ask = |model: ModelName| {
        let engines = engines.clone();
        tokio::spawn(async move { held(&engines, &model).await })
    };
    let mut others = [ask(other()), ask(other())];
    assert!(waits(&mut others[0]).await);
    // Who comes for the old one now has to wait for the new one: else it would never have its turn.
    let mut last = ask(small());
    assert!(waits(&mut last).await);
    drop(first);
    let [one, two] = others;
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert!(same(&one, &two), "all that want it come in with it");
    assert!(waits(&mut last).await);
    drop((one, two));
    last.await.unwrap();
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_all_as_it_was() {
    let bench = Bench::new().await;
    bench.install("other", 8);
    let engines = bench.engines();
    let first = held(&engines, &small()).await;
    assert!(waits(engines.turn(&other())).await);
    let second = held(&engines, &small()).await;
    assert!(same(&first, &second));
    let address = std::ptr::from_ref(first.engine());
    drop((first, second));
    // It is free now, but not wanted any more.
    drop(engines.turn(&other()).await);
    let turn = engines.turn(&other()).await;
    let unwanted = engines.enter(turn, &mut || ControlFlow::Break(()));
    assert!(matches!(unwanted, Err(EngineError::Unwanted)), "{unwanted:?}");
    assert!(std::ptr::eq(held(&engines, &small()).await.engine(), address));
    held(&engines, &other()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_waits_for_a_network_hears_of_its_end_and_of_the_workers() {
    let bench = Bench::patient().await;
    bench.install("other", 8);
    let first = bench.submit(bench.store_song(song(2_000_000)).await).await;
    let worker = bench.worker_of_songs(Settings { songs_at_once: 3, ..bench.settings() });
    bench.in_work(std::slice::from_ref(&first)).await;
    let mut waiting = Vec::new();
    for frames in [3000, 3001] {
        let hash = bench.store_song(song(frames)).await;
        waiting.push(bench.submit_to(other(), hash, Options::default()).await);
    }
    let until = async |active| {
        let end = tokio::time::Instant::now() + Duration::from_mins(1);
        while bench.ledger.queue().depth().await.unwrap().active != active {
            assert!(tokio::time::Instant::now() < end, "{active} tasks are never in hand");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    until(3).await;
    bench.ledger.cancel(&waiting[0]).await.unwrap();
    until(2).await;
    let view = bench.ledger.view(&first).await.unwrap();
    assert!(!view.state.is_terminal(), "the song ended too soon: {view:?}");
    worker.stop().await;
    assert_eq!(bench.attempts().await, [1, 1]);
    assert!(!bench.ledger.view(&first).await.unwrap().state.is_terminal());
}
