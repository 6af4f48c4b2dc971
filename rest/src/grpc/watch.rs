//! What happens to a job, as it happens.

use common::job::Record;
use futures_util::{Stream, StreamExt as _, stream};
use proto::WatchResponse;
use proto::watch_response::Kind;
use tonic::Status;

use super::convert;
use crate::follow::{Follower, Told, What};
use crate::limits::Place;
use crate::state::App;

/// Events after number `after` until the job has ended, or for an hour; clients go on from there.
pub(super) fn events(
    app: App,
    record: Record,
    after: u64,
    place: Place,
) -> impl Stream<Item = Result<WatchResponse, Status>> + Send + Unpin + 'static {
    let follower = Follower::new(app, record, after, place);
    let told = stream::unfold(follower, async |mut follower| Some((follower.next().await?, follower)));
    // Whether the connection lives is asked below this.
    Box::pin(told.filter_map(async |told| {
        match told {
            Told::Happened(happened) => Some(Ok(WatchResponse {
                number: happened.number.unwrap_or(0),
                kind: match happened.what {
                    What::Snapshot => Kind::Snapshot,
                    What::State => Kind::State,
                    What::Progress => Kind::Progress,
                    What::Stem => Kind::Stem,
                }
                .into(),
                stem: happened.stem.map(|stem| stem.to_string()).unwrap_or_default(),
                job: Some(convert::job(&happened.view)),
            })),
            Told::StillHere => None,
        }
    }))
}
