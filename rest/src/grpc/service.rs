//! One method for each call.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use proto::{
    CancelRequest, DownloadRequest, DownloadResponse, GetRequest, Job, ListRequest, ListResponse,
    SubmitRequest, WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::call::Call;
use super::{convert, download, submit, watch};
use crate::error::{Code, Problem};
use crate::routes::list;
use crate::service::find;
use crate::state::App;

/// The service.
#[derive(Debug, Clone)]
pub(super) struct Separation(pub(super) App);

/// What a client is sent piece by piece.
type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl proto::separation_server::Separation for Separation {
    async fn submit(&self, request: Request<Streaming<SubmitRequest>>) -> Result<Response<Job>, Status> {
        let call = Call::of(&request)?;
        let work = Box::pin(submit::submit(&self.0, call.clone(), request.into_inner()));
        let limit = self.0.config.limits.total;
        let work = async {
            let done = tokio::time::timeout(limit, work).await;
            done.unwrap_or_else(|_| Err(Problem::plain(Code::Timeout)))
        };
        call.answer("Submit", work).await
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Job>, Status> {
        let call = Call::of(&request)?;
        let caller = call.caller.clone();
        let work = async {
            let record = find(&self.0, &caller, &request.get_ref().id).await?;
            Ok(convert::job(&self.0.ledger.view(&record).await?))
        };
        call.answer("Get", work).await
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let call = Call::of(&request)?;
        let caller = call.caller.clone();
        let work = async {
            let asked = request.get_ref();
            let (state, limit) = (convert::state_asked_for(asked.state)?, asked.limit as usize);
            let limit = Some(limit).filter(|limit| *limit > 0);
            let page = list::page(&self.0, &caller, state, limit, &asked.cursor).await?;
            Ok(ListResponse {
                jobs: page.jobs.iter().map(convert::job).collect(),
                next_cursor: page.next_cursor.unwrap_or_default(),
            })
        };
        call.answer("List", work).await
    }

    type WatchStream = Sent<WatchResponse>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let call = Call::of(&request)?;
        let (caller, subject) = (call.caller.clone(), call.subject);
        let work = async {
            let WatchRequest { id, after } = request.get_ref();
            let record = find(&self.0, &caller, id).await?;
            let place = self.0.streams.enter(subject)?;
            Ok(self.send(watch::events(self.0.clone(), record, *after, place)))
        };
        call.answer("Watch", work).await
    }

    type DownloadStream = Sent<DownloadResponse>;

    async fn download(
        &self,
        request: Request<DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let call = Call::of(&request)?;
        let caller = call.caller.clone();
        let work = async { Ok(self.send(download::download(&self.0, &caller, request.get_ref()).await?)) };
        call.answer("Download", work).await
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<Job>, Status> {
        let call = Call::of(&request)?;
        let caller = call.caller.clone();
        let work = async {
            let record = find(&self.0, &caller, &request.get_ref().id).await?;
            self.0.ledger.cancel(&record).await?;
            tracing::info!(job.id = %record.id, "canceled a job");
            Ok(convert::job(&self.0.ledger.view(&record).await?))
        };
        call.answer("Cancel", work).await
    }
}

impl Separation {
    /// Brings a stream to a client that has to take it: one that lets it stand for the longest pause is cut off.
    fn send<T: Send + 'static>(
        &self,
        mut from: impl Stream<Item = Result<T, Status>> + Send + Unpin + 'static,
    ) -> Sent<T> {
        let (sender, receiver) = mpsc::channel(1);
        let longest: Duration = self.0.config.limits.idle;
        self.0.tasks.spawn(async move {
            loop {
                let piece = tokio::select! {
                    piece = from.next() => piece,
                    () = sender.closed() => return,
                };
                let Some(piece) = piece else { return };
                if !matches!(tokio::time::timeout(longest, sender.send(piece)).await, Ok(Ok(()))) {
                    return;
                }
            }
        });
        Box::pin(stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))))
    }
}
