//! Files that have no name: nothing of them remains, however the worker ends.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use audio::MediaSource;
use bytes::Bytes;
use common::keys::ObjectKey;
use common::ledger::Ledger;
use common::storage::StoreError;
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;

use super::Failed;
use crate::lease::Beat;
use crate::settings::Settings;

/// Bytes that are read at a time.
pub(super) const PIECE_BYTES: usize = 1 << 18;

/// An empty file in `dir`, or in the system's folder for such things.
pub(crate) fn temporary(dir: Option<&Path>) -> std::io::Result<File> {
    dir.map_or_else(tempfile::tempfile, tempfile::tempfile_in)
}

/// A file without a name of an object's bytes; none where there is no object. Each piece renews the lease.
pub(super) async fn fetch(
    ledger: &Ledger,
    key: &ObjectKey,
    settings: &Settings,
    beat: &Beat,
) -> Result<Option<File>, Failed> {
    let object = match ledger.store().get(key, None).await {
        Ok(object) => object,
        Err(StoreError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let file = temporary(settings.temp_dir.as_deref())?;
    let mut out = tokio::fs::File::from_std(file.try_clone()?);
    let mut body = object.body;
    while let Some(piece) = body.next().await {
        out.write_all(&piece?).await?;
        beat.tick();
        if let Some(ended) = beat.ended() {
            return Err(Failed::Ended(ended));
        }
    }
    out.flush().await?;
    Ok(Some(file))
}

/// A file's bytes from where it is, read on threads that may block.
pub(super) fn pieces<R: Read + Send + 'static>(
    file: R,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    futures_util::stream::try_unfold(file, |file| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut file = file;
            let mut piece = vec![0; PIECE_BYTES];
            let n = file.read(&mut piece)?;
            piece.truncate(n);
            Ok::<_, std::io::Error>((file, piece))
        });
        let (file, piece) = read.await.map_err(std::io::Error::other)??;
        Ok(if piece.is_empty() { None } else { Some((Bytes::from(piece), file)) })
    })
}

/// A file that is read at a place of its own, whoever else reads the same one.
#[derive(Debug)]
pub(crate) struct Place {
    file: Arc<File>,
    at: u64,
    len: u64,
}

impl Place {
    /// At the start of a file that does not grow any more.
    pub(crate) fn new(file: Arc<File>) -> std::io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, at: 0, len })
    }
}

impl Read for Place {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read_at(bytes, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Place {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl MediaSource for Place {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len)
    }
}
