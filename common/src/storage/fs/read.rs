//! Reading files.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::meta;
use crate::storage::{ByteStream, Object};

/// Bytes that are read at once.
const READ_BYTES: u64 = 256 << 10;

/// Opens a file for reading. Whoever replaces or removes it meanwhile gives the name to another one; this one stays.
pub(super) fn open(path: &Path, range: Option<Range<u64>>) -> io::Result<Object> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let meta = meta(&found);
    let wanted = range.unwrap_or(0..meta.size_bytes);
    let start = wanted.start.min(meta.size_bytes);
    let range = start..wanted.end.clamp(start, meta.size_bytes);
    Ok(Object { meta, body: bytes_of(Arc::new(file), range.clone()), range })
}

fn bytes_of(file: Arc<File>, range: Range<u64>) -> ByteStream {
    stream::try_unfold((file, range), |(file, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let length = READ_BYTES.min(range.end - range.start);
        let (reader, at) = (Arc::clone(&file), range.start);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; length as usize];
            reader.read_exact_at(&mut bytes, at).map(|()| Bytes::from(bytes))
        });
        let bytes = read.await.map_err(io::Error::other)??;
        Ok(Some((bytes, (file, range.start + length..range.end))))
    })
    .boxed()
}
