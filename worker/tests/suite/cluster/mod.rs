//! The programs as chart and manifests start them, and the questions that a cluster asks them.

mod settings;
mod site;
mod tls;
mod told;

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

use self::site::{Cluster, Pod};
use self::told::Container;
use crate::bench::song;
use crate::processes::MODEL;

const READY: &str = "readinessProbe";
const ALIVE: &str = "livenessProbe";
const STARTED: &str = "startupProbe";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_alive_but_neither_started_nor_ready_before_its_network_has_run() {
    let cluster = Cluster::start().await;
    // A store that takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let container = Container::named("overlay local: Deployment/worker: worker");
    let mut env = cluster.env(&container);
    env.insert("MINIO_PORT".to_owned(), silent.local_addr().unwrap().port().to_string());
    let mut worker = cluster.pod_with("worker", container, env);
    assert_eq!(worker.until(ALIVE, 200).await, "ok");
    for probe in [STARTED, READY] {
        let (status, why) = worker.asked(probe).await.unwrap();
        assert_eq!((status, why.as_str()), (503, "the network is not loaded yet"), "{probe}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_is_not_ready_but_alive_and_gives_its_task_back_though_redis_was_away() {
    let mut cluster = Cluster::start().await;
    let (mut rest, mut worker) = (cluster.pod("rest"), cluster.pod("worker"));
    rest.until(STARTED, 200).await;
    rest.until(READY, 200).await;
    worker.until(STARTED, 200).await;
    worker.until(READY, 200).await;

    let path = format!("/v2/jobs?model={MODEL}&format=wav");
    let body = Bytes::from(song(8000 * 120));
    let sent = rest.clients.send(Method::POST, &path, &[("content-type", "audio/wav")], body).await.unwrap();
    let job = sent.header("location").to_owned();
    assert_eq!(sent.status, 202);
    let state = async |clients: &crate::processes::Http| -> Value {
        serde_json::from_slice::<Value>(&clients.get(&job).await.unwrap().body).unwrap()["state"].clone()
    };
    while state(&rest.clients).await == "queued" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.kill_redis();
    for pod in [&rest, &worker] {
        assert_eq!(pod.asked(ALIVE).await.unwrap().0, 200, "without Redis");
    }
    // Results go on.
    for pod in [&rest, &worker] {
        assert_eq!(pod.asked(READY).await.unwrap().0, 200, "without Redis");
    }

    let (asked, grace) = (Instant::now(), Duration::from_secs(worker.container.grace_s));
    worker.program.terminate();
    assert_eq!(worker.until(READY, 503).await, "stopping");
    assert_eq!(worker.asked(ALIVE).await.unwrap().0, 200, "while it stops");
    cluster.start_redis();
    assert!(worker.program.ended().await.unwrap().success());
    assert!(asked.elapsed() < grace, "{:?}", asked.elapsed());

    // What it had goes to the next one, which is not made to wait for the lease of one that is gone.
    let mut next = cluster.pod("worker");
    next.until(READY, 200).await;
    let done = async {
        loop {
            let state = state(&rest.clients).await;
            if state != "queued" && state != "running" {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_mins(5), done).await.unwrap(), "succeeded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_is_not_ready_at_once_and_takes_connections_for_a_while() {
    let cluster = Cluster::start().await;
    let mut rest = cluster.pod("rest");
    rest.until(READY, 200).await;
    let (asked, grace) = (Instant::now(), Duration::from_secs(rest.container.grace_s));
    rest.program.terminate();
    assert_eq!(rest.until(READY, 503).await, "stopping");
    assert_eq!(rest.asked(ALIVE).await.unwrap().0, 200);
    assert_eq!(rest.clients.get("/").await.unwrap().status, 200, "who has not heard of it yet");
    assert!(rest.program.ended().await.unwrap().success());
    let took = asked.elapsed();
    assert!(took > Duration::from_secs(4) && took < grace, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_of_the_autoscaler_are_what_waits_and_what_runs() {
    let cluster = Cluster::start().await;
    let mut rest = cluster.pod("rest");
    rest.until(READY, 200).await;
    let figures = told::figures();
    let read = async || -> Vec<String> {
        let told = rest.admin.get("/metrics").await.unwrap();
        let told = String::from_utf8_lossy(&told.body).into_owned();
        let value = |figure: &String| told.lines().find_map(|line| line.strip_prefix(figure.as_str()));
        figures.iter().map(|figure| value(figure).unwrap_or("is not there").trim().to_owned()).collect()
    };
    // In their order: what waits, what runs.
    assert_eq!(figures.len(), 2, "{figures:?}");
    assert_eq!(read().await, ["0", "0"]);
    let path = format!("/v2/jobs?model={MODEL}&format=wav");
    let body = Bytes::from(song(8000 * 120));
    rest.clients.send(Method::POST, &path, &[("content-type", "audio/wav")], body).await.unwrap();
    // Servers ask the queue for it now and then.
    let until = async |place: usize| {
        let reached = async {
            while read().await[place] != "1" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), reached).await.unwrap();
    };
    until(0).await;
    let _worker = cluster.pod("worker");
    until(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_charts_test_separates_its_clip_and_the_reader_of_logs_prints_what_all_said() {
    let cluster = Cluster::start().await;
    let (mut rest, mut worker) = (cluster.pod("rest"), cluster.pod("worker"));
    rest.until(READY, 200).await;
    worker.until(READY, 200).await;

    separates_its_clip(&cluster, &rest);

    let reader = Container::named("overlay local: Deployment/logs: logs");
    let mut command = reader.built();
    // It goes on for ever.
    assert_eq!(command.pop().as_deref(), Some("--follow"));
    let said = Command::new(&command[0]).args(&command[1..]).env_clear().envs(cluster.env(&reader)).output();
    let said = String::from_utf8(said.unwrap().stdout).unwrap();
    for role in [".rest.info:", ".worker.info:"] {
        assert!(said.contains(role), "{role} is not in {said}");
    }
}

/// Runs the chart's test against an interface.
fn separates_its_clip(cluster: &Cluster, rest: &Pod) {
    let test = Container::named("chart with values-local: Pod/test-separate: separate");
    let mut env = cluster.env(&test);
    env.insert("MSAAS_SERVER".to_owned(), format!("http://127.0.0.1:{}", rest.clients.port()));
    let clip = told::file("helm/music-separation/files/clip.mp3").display().to_string();
    let command: Vec<_> = test.built().iter().map(|word| word.replace("/clip/clip.mp3", &clip)).collect();
    let done = Command::new(&command[0]).args(&command[1..]).env_clear().envs(&env).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for stem in crate::processes::STEMS {
        let file = format!("{}/{MODEL}/clip/{stem}.mp3", env["MSAAS_OUT"]);
        assert!(std::fs::metadata(&file).unwrap().len() > 1000, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_want_tls_whose_certificate_only_a_file_vouches_for() {
    let cluster = Cluster::start().await;
    let front = cluster.redis_under_tls().await;
    let pod = |name: &str| {
        let container = Container::named(&format!("overlay local: Deployment/{name}: {name}"));
        let mut env = cluster.env(&container);
        env.retain(|variable, _| !variable.starts_with("REDIS"));
        env.insert("REDIS_URL".to_owned(), site::redis_under_tls(front.port));
        env.insert("SSL_CERT_FILE".to_owned(), front.certificate.display().to_string());
        cluster.pod_with(name, container, env)
    };
    let (mut rest, mut worker) = (pod("rest"), pod("worker"));
    rest.until(READY, 200).await;
    worker.until(READY, 200).await;
    separates_its_clip(&cluster, &rest);
}
