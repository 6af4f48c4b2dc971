//! An `ID3v2.3` tag: the version that every player reads. Source: id3.org, "ID3 tag version 2.3.0".

use crate::{Error, Result, Tags};

/// Bytes of the tag's own header.
const HEADER_BYTES: usize = 10;

/// A tag with the four things we write; no bytes for no tags.
pub(crate) fn encode(tags: &Tags) -> Result<Vec<u8>> {
    if tags.is_empty() {
        return Ok(Vec::new());
    }
    let mut tag = b"ID3\x03\0\0\0\0\0\0".to_vec();
    for (id, text) in [(*b"TIT2", &tags.title), (*b"TPE1", &tags.artist), (*b"TALB", &tags.album)] {
        if let Some(text) = text {
            let mut body = vec![1, 0xff, 0xfe];
            body.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
            frame(&mut tag, id, &[&body]);
        }
    }
    if let Some(cover) = &tags.cover {
        // Latin-1, media type, "front cover", empty description.
        frame(&mut tag, *b"APIC", &[&[0], cover.mime.as_bytes(), &[0, 3, 0], &cover.bytes]);
    }
    if tag.len() - HEADER_BYTES >= 1 << 28 {
        return Err(Error::Malformed { container: "mp3", reason: "its tag would pass 256 mib" });
    }
    set_size(&mut tag);
    Ok(tag)
}

/// Fills a tag up with `rest` zero bytes, which readers skip; makes an empty one where there is none.
pub(crate) fn pad(tag: &mut Vec<u8>, rest: usize) {
    let size = tag.len() + rest;
    if tag.is_empty() && size >= HEADER_BYTES {
        tag.extend(b"ID3\x03\0\0\0\0\0\0");
    }
    tag.resize(size, 0);
    if size >= HEADER_BYTES {
        set_size(tag);
    }
}

fn frame(tag: &mut Vec<u8>, id: [u8; 4], parts: &[&[u8]]) {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    tag.extend(id);
    tag.extend((size as u32).to_be_bytes());
    tag.extend([0, 0]);
    for part in parts {
        tag.extend(*part);
    }
}

fn set_size(tag: &mut [u8]) {
    let size = tag.len() - HEADER_BYTES;
    for (i, byte) in tag[6..HEADER_BYTES].iter_mut().enumerate() {
        *byte = (size >> (7 * (3 - i))) as u8 & 0x7f;
    }
}
