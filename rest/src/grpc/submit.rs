//! A song that comes in pieces, on the same way into the store as one that comes by HTTP.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use proto::submit_request::Part;
use proto::{Job, Order, SubmitRequest};
use tonic::Streaming;

use super::call::{Call, broken};
use super::convert;
use crate::asked::Asked;
use crate::error::{Code, Problem};
use crate::pace::Patience;
use crate::service::{Wish, accept_upload};
use crate::state::App;
use crate::upload::{Source, receive};

pub(super) async fn submit(
    app: &App,
    call: Call,
    messages: Streaming<SubmitRequest>,
) -> Result<Job, Problem> {
    let _place = app.admission.enter(app).await?;
    let limits = &app.config.limits;
    let mut pieces = Pieces { messages, patience: Patience::new(limits), first: None };
    let Order { options, callback, url } = pieces.order().await?;
    let options = convert::options(options.unwrap_or_default(), &app.models)?;
    let (options, callback) = Asked::of(options, callback).checked(app)?;
    let received = match url {
        None => receive(app, &mut pieces, limits.upload_bytes).await?,
        Some(url) => {
            let mut fetched = app.fetcher.open(app.fetcher.look(&url)?, limits).await?;
            receive(app, &mut fetched, limits.upload_bytes).await?
        }
    };
    let wish = Wish { tenant: call.caller.tenant, options, callback, request_id: call.id };
    let accepted = accept_upload(app, received, &wish).await?;
    let view = if accepted.deduplicated {
        app.ledger.view(&accepted.record).await?
    } else {
        app.ledger.view_of_new(&accepted.record).await?
    };
    Ok(Job { deduplicated: accepted.deduplicated, ..convert::job(&view) })
}

/// The messages of a client.
struct Pieces {
    messages: Streaming<SubmitRequest>,
    patience: Patience,
    /// Read already, in search of what is asked for.
    first: Option<Bytes>,
}

impl Pieces {
    /// What is asked for, if the client begins with that.
    async fn order(&mut self) -> Result<Order, Problem> {
        match self.part().await? {
            Some(Part::Order(order)) => Ok(order),
            Some(Part::Chunk(bytes)) => {
                self.first = Some(bytes);
                Ok(Order::default())
            }
            None => Ok(Order::default()),
        }
    }

    /// The next message, if the client is not too slow.
    async fn part(&mut self) -> Result<Option<Part>, Problem> {
        let Self { messages, patience, .. } = self;
        let mut message = pin!(messages.message());
        let message = poll_fn(|cx| {
            if let Poll::Ready(message) = message.as_mut().poll(cx) {
                return Poll::Ready(Some(message));
            }
            patience.poll_end(cx).map(|()| None)
        });
        let slow = || Problem::new(Code::Timeout, "the upload stood still for too long, or was too slow");
        let message = message.await.ok_or_else(slow)?.map_err(|status| broken(&status))?;
        let Some(message) = message else { return Ok(None) };
        let bytes = if let Some(Part::Chunk(bytes)) = &message.part { bytes.len() } else { 0 };
        self.patience.moved(bytes);
        message.part.map(Some).ok_or_else(|| Problem::new(Code::InvalidRequest, "a message has no part"))
    }
}

impl Source for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        if let Some(bytes) = self.first.take() {
            return Ok(Some(bytes));
        }
        match self.part().await? {
            Some(Part::Chunk(bytes)) => Ok(Some(bytes)),
            Some(Part::Order(_)) => {
                Err(Problem::new(Code::InvalidRequest, "what is asked for comes before the song"))
            }
            None => Ok(None),
        }
    }
}
