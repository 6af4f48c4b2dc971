//! Chunks of WAV, RF64 and AIFF files, and the texts in them.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use crate::skip::read_at;
use crate::{Result, Tags, id3, text};

/// Chunks that a file may have; real files have about five.
const MAX_CHUNKS: usize = 1024;

/// Bytes read of one text chunk.
const MAX_TEXT_BYTES: u64 = 1 << 16;

/// Bytes read of one `ID3v2` tag: the largest cover and its company.
pub(crate) const MAX_TAG_BYTES: u64 = 40 << 20;

/// A chunk's name, and where its body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) id: [u8; 4],
    pub(crate) body: Range<u64>,
}

/// The chunks of the file that starts at `start`; those beyond its end are left out.
pub(crate) fn chunks<R: Read + Seek>(reader: &mut R, start: u64, len: u64) -> Result<Vec<Chunk>> {
    let form = read_at::<4, _>(reader, start, len)?.unwrap_or_default();
    let mut wide_data = None;
    let mut found = Vec::new();
    let mut at = start + 12;
    while let Some(head) = read_at::<8, _>(reader, at, len)?.filter(|_| found.len() < MAX_CHUNKS) {
        let id = [head[0], head[1], head[2], head[3]];
        let size = [head[4], head[5], head[6], head[7]];
        let size = if &form == b"FORM" { u32::from_be_bytes(size) } else { u32::from_le_bytes(size) };
        let body = at + 8;
        if &id == b"ds64" && &form != b"RIFF" {
            wide_data = read_at::<8, _>(reader, body + 8, len)?.map(u64::from_le_bytes);
        }
        let size = match wide_data {
            Some(wide) if &id == b"data" && size == u32::MAX => wide,
            _ => u64::from(size),
        };
        let end = body.saturating_add(size);
        found.push(Chunk { id, body: body..end.min(len) });
        at = end.saturating_add(size & 1);
    }
    Ok(found)
}

/// The tags of a WAV or AIFF file: an `ID3v2` chunk first, then the formats' own texts.
pub(crate) fn read<R: Read + Seek>(reader: &mut R, start: u64, len: u64) -> Result<Tags> {
    let chunks = chunks(reader, start, len)?;
    let mut tags = Tags::default();
    for chunk in chunks.iter().filter(|chunk| matches!(&chunk.id, b"id3 " | b"ID3 ")) {
        tags.fill_from(id3::decode(&bytes(reader, &chunk.body, MAX_TAG_BYTES)?));
    }
    for chunk in chunks {
        let mut found = Tags::default();
        match &chunk.id {
            b"LIST" => found = info(&bytes(reader, &chunk.body, MAX_TEXT_BYTES)?),
            b"NAME" => found.title = plain(&bytes(reader, &chunk.body, MAX_TEXT_BYTES)?),
            b"AUTH" => found.artist = plain(&bytes(reader, &chunk.body, MAX_TEXT_BYTES)?),
            _ => continue,
        }
        tags.fill_from(found);
    }
    Ok(tags)
}

/// The body of a `LIST` chunk.
fn info(body: &[u8]) -> Tags {
    let mut tags = Tags::default();
    let Some(mut rest) = body.strip_prefix(b"INFO") else { return tags };
    while let Some((head, next)) = rest.split_at_checked(8) {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let value = &next[..size.min(next.len())];
        match &head[..4] {
            b"INAM" => tags.title = plain(value),
            b"IART" => tags.artist = plain(value),
            b"IPRD" => tags.album = plain(value),
            _ => {}
        }
        rest = next.get(size + size % 2..).unwrap_or_default();
    }
    tags
}

/// UTF-8, or Latin-1 where it is not.
fn plain(raw: &[u8]) -> Option<String> {
    let latin = || raw.iter().map(|byte| char::from(*byte)).collect();
    text::tidy(&String::from_utf8(raw.to_vec()).unwrap_or_else(|_| latin()))
}

/// The first bytes of `range`, at most `max`.
pub(crate) fn bytes<R: Read + Seek>(reader: &mut R, range: &Range<u64>, max: u64) -> Result<Vec<u8>> {
    reader.seek(SeekFrom::Start(range.start))?;
    let mut bytes = Vec::new();
    reader.by_ref().take(range.end.saturating_sub(range.start).min(max)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
