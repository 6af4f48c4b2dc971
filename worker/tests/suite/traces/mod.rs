//! One upload is one trace, over all processes; and a collector in trouble hurts nobody.

mod collector;

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

/// Has a song separated that is long enough to be divided; gives its job.
async fn separate(site: &Site) -> View {
    let wish = Wish::with(1, 3 * RATE as usize, RATE, Format::Flac(FlacDepth::Bits16));
    let path = wish.path("").replace("&callback=", "");
    let parent = format!("00-{TRACE}-{CLIENT}-01");
    let headers = [("content-type", "audio/wav"), ("traceparent", parent.as_str())];
    let answer = site.http.send(Method::POST, &path, &headers, wish.bytes.into()).await.unwrap();
    let mut view: View = serde_json::from_slice(&answer.body).unwrap();
    let began = Instant::now();
    while view.state != State::Succeeded {
        assert!(began.elapsed() < Duration::from_mins(1) && !view.state.is_terminal(), "{view:?}");
        let answer = site.http.get(&format!("/v2/jobs/{}", view.id)).await.unwrap();
        view = serde_json::from_slice(&answer.body).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    view
}

#[tokio::test]
async fn a_song_is_one_trace_from_its_request_to_its_last_task() {
    let (collector, address) = Collector::start().await;
    let mut site = Arc::new(Servers::start().await).site_in_folder().await;
    site.collector = Some(address);
    let (mut rest, mut worker) = (site.rest(1, "").await, site.worker("one", ""));
    let job = separate(&site).await;
    for program in [&mut rest, &mut worker] {
        assert!(program.stop().await.unwrap().success());
    }

    let spans: Vec<Seen> = collector.spans().into_iter().filter(|span| span.trace == TRACE).collect();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let one = |name: &str| match named(name)[..] {
        [one] => one.clone(),
        ref other => panic!("{name}: {other:?} of {spans:#?}"),
    };
    let (request, accept) = (one("POST /v2/jobs"), one("accept"));
    assert_eq!((request.service.as_str(), request.parent.as_str()), ("msaas-rest", CLIENT));
    assert_eq!(request.attributes["http.response.status_code"], "202");
    assert_eq!(accept.parent, request.id);
    for name in ["queued", "plan", "merge"] {
        let span = one(name);
        assert_eq!((span.service.as_str(), &span.parent), ("msaas-worker", &accept.id), "{name}");
        assert_eq!(span.attributes["job.id"], job.id.to_string(), "{name}");
    }
    let (plan, runs) = (one("plan"), named("span"));
    assert!(runs.len() > 1 && runs.iter().all(|run| run.parent == accept.id), "{runs:?}");
    assert_eq!(named("separate").len(), runs.len());
    assert_eq!(one("decode").parent, plan.id);
    assert_eq!(named("store").len(), job.stems.len());
    assert!(one("queued").times_ns.1 <= one("merge").times_ns.0);
    for span in &spans {
        let known = span.parent == CLIENT || spans.iter().any(|other| other.id == span.parent);
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
        separate(&site).await;
        for program in [&mut rest, &mut worker] {
            let began = Instant::now();
            assert!(program.stop().await.unwrap().success());
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        }
    }
}
