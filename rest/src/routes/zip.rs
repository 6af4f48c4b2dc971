//! Results as one archive, streamed: entries are stored as they are, their lengths are known beforehand and their
//! checksums follow them. Memory is a few pieces of one entry, whatever the length.
//!
//! Source: PKWARE APPNOTE 6.3.10, 4.3 and 4.5.3. Lengths and places beyond 4 GiB have zip64 fields.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use common::ObjectKey;
use common::storage::{ByteStream, Store};
use crc32fast::Hasher;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

/// A file of the archive.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Of plain characters.
    pub(super) name: String,
    pub(super) size_bytes: u64,
    pub(super) key: ObjectKey,
}

/// An entry whose bytes have been written.
#[derive(Debug, Clone, Copy)]
struct Placed {
    at: u64,
    crc: u32,
}

/// Largest number in a field of the old format; it says that zip64 has the real one.
const MAX_32: u64 = 0xffff_ffff;
/// Checksum and lengths follow the bytes; names are UTF-8.
const FLAGS: u16 = 1 << 3 | 1 << 11;
/// The first of January 1980.
const DATE: u16 = 1 << 5 | 1;

impl Entry {
    fn is_large(&self) -> bool {
        self.size_bytes >= MAX_32
    }

    /// What stands before the bytes. The lengths stand there too: readers that do not seek need them.
    fn before(&self) -> Vec<u8> {
        let short = if self.is_large() { MAX_32 } else { self.size_bytes } as u32;
        let mut out = Vec::with_capacity(64);
        let version: u16 = if self.is_large() { 45 } else { 20 };
        put(&mut out, &[&0x0403_4b50u32.to_le_bytes(), &version.to_le_bytes(), &FLAGS.to_le_bytes()]);
        put(&mut out, &[&[0; 4], &DATE.to_le_bytes(), &[0; 4], &short.to_le_bytes(), &short.to_le_bytes()]);
        let extra: u16 = if self.is_large() { 20 } else { 0 };
        put(&mut out, &[&(self.name.len() as u16).to_le_bytes(), &extra.to_le_bytes(), self.name.as_bytes()]);
        if self.is_large() {
            let size = self.size_bytes.to_le_bytes();
            put(&mut out, &[&1u16.to_le_bytes(), &16u16.to_le_bytes(), &size, &size]);
        }
        out
    }

    /// What stands behind the bytes.
    fn after(&self, crc: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        put(&mut out, &[&0x0807_4b50u32.to_le_bytes(), &crc.to_le_bytes()]);
        if self.is_large() {
            put(&mut out, &[&self.size_bytes.to_le_bytes(), &self.size_bytes.to_le_bytes()]);
        } else {
            let size = (self.size_bytes as u32).to_le_bytes();
            put(&mut out, &[&size, &size]);
        }
        out
    }

    /// What the directory at the end says.
    fn listed(&self, placed: Placed) -> Vec<u8> {
        let mut extra = Vec::new();
        if self.is_large() {
            put(&mut extra, &[&self.size_bytes.to_le_bytes(), &self.size_bytes.to_le_bytes()]);
        }
        if placed.at >= MAX_32 {
            put(&mut extra, &[&placed.at.to_le_bytes()]);
        }
        if !extra.is_empty() {
            let head = [1u16.to_le_bytes(), (extra.len() as u16).to_le_bytes()].concat();
            extra.splice(0..0, head);
        }
        let short = self.size_bytes.min(MAX_32) as u32;
        let version: u16 = if extra.is_empty() { 20 } else { 45 };
        let mut out = Vec::with_capacity(96);
        put(&mut out, &[&0x0201_4b50u32.to_le_bytes(), &version.to_le_bytes(), &version.to_le_bytes()]);
        put(&mut out, &[&FLAGS.to_le_bytes(), &[0; 4], &DATE.to_le_bytes(), &placed.crc.to_le_bytes()]);
        put(&mut out, &[&short.to_le_bytes(), &short.to_le_bytes(), &(self.name.len() as u16).to_le_bytes()]);
        put(
            &mut out,
            &[&(extra.len() as u16).to_le_bytes(), &[0; 10], &(placed.at.min(MAX_32) as u32).to_le_bytes()],
        );
        put(&mut out, &[self.name.as_bytes(), &extra]);
        out
    }
}

fn put(out: &mut Vec<u8>, fields: &[&[u8]]) {
    for field in fields {
        out.extend_from_slice(field);
    }
}

/// The directory: every entry, and where the directory itself is.
fn directory(entries: &[Entry], placed: &[Placed], at: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for (entry, placed) in entries.iter().zip(placed) {
        out.extend(entry.listed(*placed));
    }
    let (size, count) = (out.len() as u64, entries.len() as u64);
    if at >= MAX_32 || size >= MAX_32 {
        let end = at + size;
        put(&mut out, &[&0x0606_4b50u32.to_le_bytes(), &44u64.to_le_bytes(), &45u16.to_le_bytes()]);
        put(&mut out, &[&45u16.to_le_bytes(), &[0; 8], &count.to_le_bytes(), &count.to_le_bytes()]);
        put(&mut out, &[&size.to_le_bytes(), &at.to_le_bytes()]);
        put(&mut out, &[&0x0706_4b50u32.to_le_bytes(), &[0; 4], &end.to_le_bytes(), &1u32.to_le_bytes()]);
    }
    let count = (count as u16).to_le_bytes();
    put(&mut out, &[&0x0605_4b50u32.to_le_bytes(), &[0; 4], &count, &count]);
    put(
        &mut out,
        &[&(size.min(MAX_32) as u32).to_le_bytes(), &(at.min(MAX_32) as u32).to_le_bytes(), &[0; 2]],
    );
    out
}

/// Length of the whole archive in bytes.
pub(super) fn length(entries: &[Entry]) -> u64 {
    let mut at = 0;
    let mut placed = Vec::new();
    for entry in entries {
        placed.push(Placed { at, crc: 0 });
        at += (entry.before().len() + entry.after(0).len()) as u64 + entry.size_bytes;
    }
    at + directory(entries, &placed, at).len() as u64
}

/// An archive on its way.
struct Writer {
    store: Arc<dyn Store>,
    entries: Vec<Entry>,
    placed: Vec<Placed>,
    at: u64,
    open: Option<Open>,
    ended: bool,
}

/// The entry that is being read.
struct Open {
    body: ByteStream,
    crc: Hasher,
    left: u64,
}

/// The archive as a stream.
pub(super) fn stream(store: Arc<dyn Store>, entries: Vec<Entry>) -> ByteStream {
    let writer = Writer { store, entries, placed: Vec::new(), at: 0, open: None, ended: false };
    stream::try_unfold(writer, async |mut writer: Writer| {
        let piece = writer.next().await?;
        Ok(piece.map(|piece| (piece, writer)))
    })
    .boxed()
}

impl Writer {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(open) = &mut self.open {
            let piece = open.body.try_next().await?;
            return self.piece(piece).map(Some);
        }
        if let Some(entry) = self.entries.get(self.placed.len()) {
            let object = self.store.get(&entry.key, None).await.map_err(io::Error::other)?;
            let before = entry.before();
            self.placed.push(Placed { at: self.at, crc: 0 });
            self.open = Some(Open { body: object.body, crc: Hasher::new(), left: entry.size_bytes });
            self.at += before.len() as u64;
            return Ok(Some(before.into()));
        }
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        Ok(Some(directory(&self.entries, &self.placed, self.at).into()))
    }

    /// A piece of the open entry, or its end.
    fn piece(&mut self, piece: Option<Bytes>) -> io::Result<Bytes> {
        // The length was promised: an object of another one breaks the archive off.
        let wrong = || io::Error::other("a result has another length than its record");
        let open = self.open.as_mut().ok_or_else(wrong)?;
        let out = if let Some(piece) = piece {
            open.left = open.left.checked_sub(piece.len() as u64).ok_or_else(wrong)?;
            open.crc.update(&piece);
            piece
        } else {
            if open.left > 0 {
                return Err(wrong());
            }
            let crc = open.crc.clone().finalize();
            self.open = None;
            let last = self.placed.last_mut().ok_or_else(wrong)?;
            last.crc = crc;
            self.entries.get(self.placed.len() - 1).ok_or_else(wrong)?.after(crc).into()
        };
        self.at += out.len() as u64;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use common::Bucket;

    use super::*;

    fn entry(name: &str, size_bytes: u64) -> Entry {
        Entry { name: name.to_owned(), size_bytes, key: ObjectKey::listed(Bucket::Output, name.to_owned()) }
    }

    #[test]
    fn large_entries_have_the_fields_of_zip64() {
        let (small, large) = (entry("a.wav", 5), entry("b.wav", MAX_32));
        assert_eq!(small.before().len(), 30 + 5);
        assert_eq!(large.before().len(), 30 + 5 + 20);
        assert_eq!(large.after(0).len(), small.after(0).len() + 8);
        let listed = small.listed(Placed { at: MAX_32 + 1, crc: 0 });
        assert_eq!(listed.len(), 46 + 5 + 12);
        let few = directory(std::slice::from_ref(&small), &[Placed { at: 0, crc: 0 }], 100);
        assert_eq!(few.len(), 46 + 5 + 22);
        let far = directory(std::slice::from_ref(&small), &[Placed { at: 0, crc: 0 }], MAX_32);
        assert_eq!(far.len(), few.len() + 56 + 20);
    }
}
