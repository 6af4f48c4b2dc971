//! A song behind a link: this server fetches it, from the public internet alone.
//!
//! Each redirect is a new address, looked at and resolved as the first one was. What comes is bounded as an upload is,
//! in bytes and in time, and goes the same way into the store.

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::Empty;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::source::{Source, too_large};
use crate::config::{LimitArgs, LinkArgs};
use crate::error::{Code, Problem};
use crate::outside::{Guard, Outside, Refusal, Target, Unreached};
use crate::pace::{Paced, TooSlow};

/// Addresses that one link may lead over.
const HOPS: usize = 6;

/// Bytes of the head of an answer.
const HEAD_BYTES: usize = 64 << 10;

/// Ports of web servers below those that anyone may listen on: other services are none of our business.
const WEB_PORTS: [u16; 2] = [80, 443];

/// Brings songs that are behind links.
#[derive(Debug)]
pub(crate) struct Fetcher {
    on: bool,
    guard: Guard,
    outside: Outside,
}

/// A song that begins to come.
pub(crate) struct Fetched {
    body: BodyDataStream,
    /// Moves the bytes; ends with this.
    _connection: AbortOnDropHandle<()>,
}

impl Fetcher {
    pub(crate) fn new(args: &LinkArgs, outside: Outside) -> Self {
        // Songs are no secrets: plain http will do.
        let guard = Guard { allow: args.link_allow.clone(), http: true };
        Self { on: args.links, guard, outside }
    }

    /// Whether links are taken.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Looks at the text of a link, without asking anyone.
    ///
    /// # Errors
    /// [`Code::LinksOff`] and [`Code::InvalidLink`].
    pub(crate) fn look(&self, link: &str) -> Result<Target, Problem> {
        if !self.on {
            return Err(Problem::plain(Code::LinksOff).param("url"));
        }
        let target = self.guard.look(link).map_err(|refusal| refused(&refusal))?;
        if target.port < 1024 && !WEB_PORTS.contains(&target.port) && !target.is_allowed() {
            return Err(refused(&Refusal::Syntax("has a port that is none of a web server")));
        }
        Ok(target)
    }

    /// Follows a link to its file.
    ///
    /// # Errors
    /// Those of [`Fetcher::look`], [`Code::LinkFailed`], [`Code::LinkSlow`], and [`Code::TooLarge`] where the other
    /// server says so.
    pub(crate) async fn open(&self, mut target: Target, limits: &LimitArgs) -> Result<Fetched, Problem> {
        for _ in 0..HOPS {
            let asked = tokio::time::timeout(limits.idle, self.ask(&target)).await;
            let (answer, connection) = asked.map_err(|_| slow())??;
            match next(&answer, &target.url)? {
                Some(further) => target = self.look(further.as_str())?,
                None => return song(answer, connection, limits),
            }
        }
        Err(failed("the link leads on and on"))
    }

    /// The head of the answer of one address, and what moves its body.
    async fn ask(&self, target: &Target) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), Problem> {
        let broken = |error: hyper::Error| failed("no answer came from behind the link").caused_by(error);
        let stream = self.outside.connect(&self.guard, target).await.map_err(|error| match error {
            Unreached::Refused(refusal) => refused(&refusal),
            Unreached::Failed(error) => {
                failed("the server behind the link cannot be reached").caused_by(error)
            }
        })?;
        let request = target.request(Method::GET).header(header::ACCEPT, "*/*");
        let request = request.body(Empty::<Bytes>::new());
        let request = request.map_err(|error| Problem::plain(Code::Internal).caused_by(error))?;
        let shaken = http1::Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(broken)?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // What breaks off is seen in the body.
            connection.await.ok();
        }));
        Ok((sender.send_request(request).await.map_err(broken)?, connection))
    }
}

/// Where a redirect leads to.
fn next(answer: &Response<Incoming>, from: &Url) -> Result<Option<Url>, Problem> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
    let further = location.and_then(|place| from.join(place).ok());
    further.map(Some).ok_or_else(|| failed("the link leads nowhere"))
}

/// The body of an answer, if it can be a song.
fn song(
    answer: Response<Incoming>,
    connection: AbortOnDropHandle<()>,
    limits: &LimitArgs,
) -> Result<Fetched, Problem> {
    if answer.status() != StatusCode::OK {
        return Err(failed(&format!("the server behind the link answered {}", answer.status())));
    }
    if answer.body().size_hint().lower() > limits.upload_bytes {
        return Err(too_large(limits.upload_bytes));
    }
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html")) {
        let why = "the link leads to a web page; what is wanted is the address of the file itself";
        return Err(Problem::new(Code::NotAudio, why).param("url"));
    }
    let body = Body::new(Paced::new(Body::new(answer.into_body()), limits));
    Ok(Fetched { body: body.into_data_stream(), _connection: connection })
}

impl Source for Fetched {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        self.body.try_next().await.map_err(|error| {
            if TooSlow::is_behind(&error) {
                slow()
            } else {
                failed("the file behind the link broke off").caused_by(error)
            }
        })
    }
}

/// One sentence for names that nobody knows and for those of somebody's own network: who asks learns nothing of that.
fn refused(refusal: &Refusal) -> Problem {
    let why = match refusal {
        Refusal::Syntax(why) => format!("the link {why}"),
        Refusal::Unknown | Refusal::NotPublic => {
            "the link leads to no host of the public internet".to_owned()
        }
    };
    Problem::new(Code::InvalidLink, why).param("url")
}

fn failed(why: &str) -> Problem {
    Problem::new(Code::LinkFailed, why).param("url")
}

fn slow() -> Problem {
    Problem::new(Code::LinkSlow, "the file behind the link stood still for too long, or came too slowly")
        .param("url")
}
