//! Those who send songs, and do not always want them in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::job::View;
use common::{Epoch, JobId};
use hyper::Method;
use tokio::time::sleep;

use super::book::{Book, Fate};
use super::songs::{Dice, Turn};
use crate::processes::{Answer, Http};

/// Wait after an outage.
const AGAIN: Duration = Duration::from_millis(200);

/// Sends one wish after the other, as long as not too many of them are unfinished.
pub(crate) async fn send(
    book: Arc<Book>,
    http: Http,
    hooks_port: u16,
    next: Arc<AtomicUsize>,
    backlog: usize,
) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= book.wishes.len() {
            return;
        }
        loop {
            let (_, left, ended) = book.counts();
            if left - ended < backlog && number < book.horizon.load(Ordering::Relaxed) {
                break;
            }
            sleep(AGAIN).await;
        }
        let Some(job) = accepted(&book, http, hooks_port, number).await else { continue };
        match book.wishes[number].turn {
            Turn::Nothing => {}
            turn => drop(tokio::spawn(later(Arc::clone(&book), http, job, number, turn))),
        }
    }
}

/// Does what a wish has in store for its job, after a while that depends on the number alone.
async fn later(book: Arc<Book>, http: Http, job: JobId, number: usize, turn: Turn) {
    sleep(Duration::from_millis(Dice::new(number as u64).below(4000) as u64)).await;
    if turn == Turn::Cancel {
        cancel(&book, http, job).await;
    } else {
        delete(&book, http, job).await;
    }
}

/// Sends a song until there is an answer; gives its job.
pub(crate) async fn accepted(book: &Book, http: Http, hooks_port: u16, number: usize) -> Option<JobId> {
    let wish = &book.wishes[number];
    let path = wish.path(&format!("http://127.0.0.1:{hooks_port}/{number}"));
    let key = format!("song-{number}");
    let keyed = AtomicBool::new(number.is_multiple_of(2));
    let answer = until_answered(|| async {
        let mut headers = vec![("content-type", "audio/wav")];
        if keyed.load(Ordering::Relaxed) {
            headers.push(("idempotency-key", &key));
        }
        let answer = http.send(Method::POST, &path, &headers, Bytes::from(wish.bytes.clone())).await;
        if answer.as_ref().map_or(true, Answer::is_outage) {
            book.again.fetch_add(1, Ordering::Relaxed);
        }
        let answer = answer?;
        if answer.status == 409 {
            // A request that died with its server has the key still: the song itself is enough to know it by.
            keyed.store(false, Ordering::Relaxed);
            return Err("the key is in use".to_owned());
        }
        Ok(answer)
    })
    .await;
    if let (200 | 202, Ok(view)) = (answer.status, serde_json::from_slice::<View>(&answer.body)) {
        book.accepted(view.id, number);
        return Some(view.id);
    }
    book.violation(format!("song {number} was answered {} {:?}", answer.status, answer.body));
    None
}

async fn until_answered<F: Future<Output = Result<Answer, String>>>(ask: impl Fn() -> F) -> Answer {
    loop {
        match ask().await {
            Ok(answer) if !answer.is_outage() => return answer,
            _ => sleep(AGAIN).await,
        }
    }
}

/// Stops a job.
pub(crate) async fn cancel(book: &Book, http: Http, job: JobId) {
    let path = format!("/v2/jobs/{job}/cancel");
    let before = book.before(&job);
    let answer = until_answered(|| http.send(Method::POST, &path, &[], Bytes::new())).await;
    match (answer.status, serde_json::from_slice::<View>(&answer.body)) {
        (200, Ok(view)) if view.state.is_terminal() => book.saw(&before, &view),
        (404, _) => book.missed(&job),
        _ => book.violation(format!("{job}: cancel was answered {} {:?}", answer.status, answer.body)),
    }
}

/// Removes a job.
pub(crate) async fn delete(book: &Book, http: Http, job: JobId) {
    book.fate(&job, Fate::Going);
    let path = format!("/v2/jobs/{job}");
    let answer = until_answered(|| http.send(Method::DELETE, &path, &[], Bytes::new())).await;
    match answer.status {
        204 | 404 => book.fate(&job, Fate::Gone),
        status => book.violation(format!("{job}: its removal was answered {status} {:?}", answer.body)),
    }
}

/// Resets the whole service.
pub(crate) async fn reset(book: &Book, http: Http) {
    book.reset(book.next_epoch(), Fate::Going);
    let answer = until_answered(|| http.send(Method::POST, "/v2/reset", &[], Bytes::new())).await;
    let said = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
    match said["epoch"].as_u64() {
        Some(epoch) => {
            book.reset(Epoch(epoch as u32), Fate::Gone);
            book.say(&format!("reset: epoch {epoch}"));
        }
        None => book.violation(format!("the reset was answered {} {:?}", answer.status, answer.body)),
    }
}
