//! One upload is one trace, over all processes; and a collector in trouble hurts nobody.

mod collector;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audio::{FlacDepth, Format};
use common::job::View;
use common::queue::State;
use hyper::Method;
use tokio::net::TcpListener;

use self::collector::{Collector, Seen};
use crate::chaos::songs::Wish;
use crate::processes::{RATE, Servers, Site};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

/// Sends a song of so many seconds; gives its job.
async fn send(site: &Site, seconds: usize) -> View {
    let wish = Wish::with(1, seconds * RATE as usize, RATE, Format::Flac(FlacDepth::Bits16));
    let path = wish.path("").replace("&callback=", "");
    let parent = format!("00-{TRACE}-{CLIENT}-01");
    let headers = [("content-type", "audio/wav"), ("traceparent", parent.as_str())];
    let answer = site.http.send(Method::POST, &path, &headers, wish.bytes.into()).await.unwrap();
    assert_eq!(answer.status, 202, "{:?}", answer.body);
    serde_json::from_slice(&answer.body).unwrap()
}

/// Looks at a job until something holds.
async fn until(site: &Site, mut view: View, holds: impl Fn(&View) -> bool) -> View {
    let began = Instant::now();
    while !holds(&view) {
        assert!(began.elapsed() < Duration::from_mins(1) && !view.state.is_terminal(), "{view:?}");
        let answer = site.http.get(&format!("/v2/jobs/{}", view.id)).await.unwrap();
        view = serde_json::from_slice(&answer.body).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    view
}

fn succeeded(view: &View) -> bool {
    view.state == State::Succeeded
}

/// What one trace tells.
struct Told(Vec<Seen>);

impl Told {
    fn named(&self, name: &str) -> Vec<&Seen> {
        self.0.iter().filter(|span| span.name == name).collect()
    }

    fn one(&self, name: &str) -> &Seen {
        match self.named(name)[..] {
            [one] => one,
            ref other => panic!("{name}: {other:?} of {:#?}", self.0),
        }
    }

    /// The processes of all spans of a name.
    fn processes(&self, name: &str) -> BTreeSet<&str> {
        self.named(name).iter().map(|span| span.process.as_str()).collect()
    }
}

#[tokio::test]
async fn a_song_is_one_trace_from_its_request_to_its_stems_over_three_processes() {
    let (collector, address) = Collector::start().await;
    let mut site = Arc::new(Servers::start().await).site_in_folder().await;
    site.collector = Some(address);
    // One worker begins and is asked to end among the spans, another one goes on and merges.
    let (mut rest, mut first) = (site.rest(1, "").await, site.worker("first", ""));
    let job = send(&site, 60).await;
    let job = until(&site, job, |view| view.progress.segments_done > 0).await;
    assert!(first.stop().await.unwrap().success());
    let mut second = site.worker("second", "");
    let job = until(&site, job, succeeded).await;
    for program in [&mut rest, &mut second] {
        assert!(program.stop().await.unwrap().success());
    }

    let told = Told(collector.spans().into_iter().filter(|span| span.trace == TRACE).collect());
    let (request, accept) = (told.one("POST /v2/jobs"), told.one("accept"));
    assert_eq!((request.service.as_str(), request.parent.as_str()), ("msaas-rest", CLIENT));
    assert_eq!(request.attributes["http.response.status_code"], "202");
    assert_eq!((&accept.parent, &told.one("receive").parent), (&request.id, &request.id));
    let (queued, plan, merge, runs) =
        (told.one("queued"), told.one("plan"), told.one("merge"), told.named("span"));
    for span in [&[queued, plan, merge][..], &runs].concat() {
        assert_eq!((span.service.as_str(), &span.parent), ("msaas-worker", &accept.id), "{span:?}");
        assert_eq!(span.attributes["job.id"], job.id.to_string(), "{span:?}");
    }
    assert!(queued.times_ns.1 <= plan.times_ns.1 && plan.times_ns.1 <= merge.times_ns.0);
    assert!(runs.iter().all(|run| run.times_ns.1 <= merge.times_ns.0));
    assert!(told.named("decode").iter().any(|decode| decode.parent == plan.id));
    assert_eq!(told.named("store").len(), job.stems.len());
    assert!(told.named("store").iter().all(|store| store.parent == merge.id));
    assert_eq!(told.one("join").parent, merge.id);

    let (of_rest, of_first, of_second) = (&request.process, &plan.process, &merge.process);
    assert_eq!(BTreeSet::from([of_rest, of_first, of_second]).len(), 3, "three processes");
    assert_eq!(told.processes("span"), BTreeSet::from([of_first.as_str(), of_second.as_str()]));
    assert_eq!(told.processes("store"), BTreeSet::from([of_second.as_str()]));
    for span in &told.0 {
        let known = span.parent == CLIENT || told.0.iter().any(|other| other.id == span.parent);
        assert!(known && span.times_ns.0 <= span.times_ns.1, "{span:?}");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_or_never_answers_hurts_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let servers = Arc::new(Servers::start().await);
    // Port 1 is nobody's.
    for address in ["127.0.0.1:1".to_owned(), silent.local_addr().unwrap().to_string()] {
        let mut site = servers.site_in_folder().await;
        site.collector = Some(format!("http://{address}"));
        let (mut rest, mut worker) = (site.rest(1, "").await, site.worker("one", ""));
        let job = send(&site, 3).await;
        until(&site, job, succeeded).await;
        for program in [&mut rest, &mut worker] {
            let began = Instant::now();
            assert!(program.stop().await.unwrap().success());
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        }
    }
}
