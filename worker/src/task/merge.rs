//! Joins the spans of a song into its results.

use std::io::BufReader;
use std::sync::Arc;

use common::failpoint;
use common::job::Record;
use common::keys::ObjectKey;
use common::queue::Outcome;
use common::storage::Store;
use demucs::{Mixture, SpanSums};
use tokio::runtime::Handle;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::files::Place;
use super::plan::{engine, names_of, order, prepare, room_for};
use super::results::{Origin, publish};
use super::span::read;
use super::{Failed, Tools, blocking};
use crate::lease::Lease;

pub(crate) async fn perform(tools: &Arc<Tools>, lease: &Lease, record: &Record) -> Result<Outcome, Failed> {
    let claim = lease.claim().clone();
    let layout = read(&claim.part)?;
    let loaded = engine(tools, lease, &record.options.model).await?;
    let rate = loaded.engine().rate();
    let (song, _room) = tools.songs.decoded(tools, lease, record, rate).await?;
    let mut order = order(record, loaded.engine().sources(), song.rate(), layout.keep)?;
    let sources = names_of(loaded.engine().sources())?;
    let decoded = (song.file_frames() as u64, song.rate());
    prepare(tools, lease, record, &mut order).await?;
    let _room_of_results = room_for(tools, lease, &song, &order, &loaded).await?;
    let spans = loaded.engine().spans(song.frames(), &order.request(), layout.segments)?;
    let (beat, here, job) = (lease.beat().clone(), Arc::clone(tools), record.id);
    let runtime = Handle::current();
    let sealed = blocking(move || {
        let _span = tracing::info_span!("join").entered();
        let fetch = beat.clone();
        let mut sums = move |index: usize| {
            fetch.tick();
            failpoint::reach("merge.midway");
            let key = ObjectKey::span(&job, claim.task.plan, index as u32);
            Ok(match here.sums.take(&key) {
                Some(file) => SpanSums::read_from(&mut BufReader::new(Place::new(file)?))?,
                None => sums_at(&**here.ledger.store(), &key, &runtime)?,
            })
        };
        let mut watch = |_| beat.tick();
        let joint = demucs::Joint { loudness: layout.loudness, spans: &spans, sums: &mut sums };
        let sealed = separation::merge(loaded.engine(), song, &order, joint, beat.stop(), &mut watch);
        sealed.map_err(|error| beat.ended().map_or_else(|| error.into(), Failed::Ended))
    })
    .await?;
    let origin = Origin { sources, song: decoded, engine: tools.engines.fingerprint() };
    publish(tools, lease, record, origin, sealed).await
}

/// Reads what a span stored as it comes. Blocks; for a thread that may.
fn sums_at(store: &dyn Store, key: &ObjectKey, runtime: &Handle) -> std::io::Result<SpanSums> {
    let object = runtime.block_on(store.get(key, None)).map_err(std::io::Error::other)?;
    let bytes = SyncIoBridge::new_with_handle(StreamReader::new(object.body), runtime.clone());
    SpanSums::read_from(&mut BufReader::new(bytes))
}
