//! Vorbis comment and picture blocks of a FLAC file. Source: RFC 9639, sections 8.6 and 8.8.

use std::io::{Read, Seek, SeekFrom, Write};

use crate::write::{CoverFate, cover_fate, replace_front};
use crate::{Cover, Error, Result, Tags};

const PADDING: u8 = 1;
const COMMENT: u8 = 4;
const PICTURE: u8 = 6;

/// Largest body of a metadata block.
const MAX_BLOCK_BYTES: usize = (1 << 24) - 1;

/// Blocks that a file may have before its audio; real files have about five.
const MAX_BLOCKS: usize = 1024;

/// Replaces comment and picture of the FLAC stream that starts at byte `start`; other blocks stay.
pub(crate) fn write<F: Read + Write + Seek>(file: &mut F, start: u64, tags: &Tags) -> Result<CoverFate> {
    let (mut blocks, audio) = other_blocks(file, start)?;
    blocks.push((COMMENT, comment(tags)));
    let picture = tags.cover.as_ref().map(picture).filter(|body| body.len() <= MAX_BLOCK_BYTES);
    let fits = picture.is_some();
    blocks.extend(picture.map(|body| (PICTURE, body)));
    // A padding block closes the list, so that left-over room has a place to go.
    blocks.push((PADDING, vec![0; 1024]));
    let mut head = b"fLaC".to_vec();
    let last = blocks.len() - 1;
    for (i, (kind, body)) in blocks.iter().enumerate() {
        head.push(kind | if i == last { 0x80 } else { 0 });
        head.extend(&(body.len() as u32).to_be_bytes()[1..]);
        head.extend(body);
    }
    replace_front(file, start, audio, head, pad)?;
    Ok(cover_fate(tags, fits))
}

/// Lengthens the final padding block, and starts further ones where one cannot hold it all.
fn pad(head: &mut Vec<u8>, mut rest: usize) {
    let at = head.len() - 1024 - 4;
    let grown = (MAX_BLOCK_BYTES - 1024).min(rest);
    let size = 1024 + grown;
    head[at + 1..at + 4].copy_from_slice(&(size as u32).to_be_bytes()[1..]);
    head.resize(head.len() + grown, 0);
    rest -= grown;
    let mut last = at;
    while rest >= 4 {
        let body = (rest - 4).min(MAX_BLOCK_BYTES);
        head[last] &= 0x7f;
        last = head.len();
        head.push(PADDING | 0x80);
        head.extend(&(body as u32).to_be_bytes()[1..]);
        head.resize(head.len() + body, 0);
        rest -= 4 + body;
    }
}

/// A block's type and body.
type MetadataBlock = (u8, Vec<u8>);

/// Every block that is neither comment, picture nor padding, and where the audio frames start.
fn other_blocks<F: Read + Seek>(file: &mut F, start: u64) -> Result<(Vec<MetadataBlock>, u64)> {
    let broken = |reason| Error::Malformed { container: "flac", reason };
    let len = file.seek(SeekFrom::End(0))?;
    let mut at = start + 4;
    let mut blocks = Vec::new();
    for _ in 0..MAX_BLOCKS {
        let head: [u8; 4] =
            crate::skip::read_at(file, at, len)?.ok_or_else(|| broken("its metadata is cut off"))?;
        let size = u64::from(u32::from_be_bytes([0, head[1], head[2], head[3]]));
        at += 4 + size;
        if at > len {
            return Err(broken("its metadata is cut off"));
        }
        let kind = head[0] & 0x7f;
        if !matches!(kind, PADDING | COMMENT | PICTURE) {
            let mut body = vec![0; size as usize];
            file.read_exact(&mut body)?;
            blocks.push((kind, body));
        }
        if head[0] & 0x80 != 0 {
            return Ok((blocks, at));
        }
    }
    Err(broken("it has too many metadata blocks"))
}

fn comment(tags: &Tags) -> Vec<u8> {
    let vendor = concat!("msaas ", env!("CARGO_PKG_VERSION"));
    let fields = [("TITLE", &tags.title), ("ARTIST", &tags.artist), ("ALBUM", &tags.album)];
    let lines: Vec<String> =
        fields.iter().filter_map(|(key, text)| Some(format!("{key}={}", text.as_ref()?))).collect();
    let mut body = Vec::new();
    let put = |body: &mut Vec<u8>, text: &str| {
        body.extend((text.len() as u32).to_le_bytes());
        body.extend(text.as_bytes());
    };
    put(&mut body, vendor);
    body.extend((lines.len() as u32).to_le_bytes());
    for line in &lines {
        put(&mut body, line);
    }
    body
}

fn picture(cover: &Cover) -> Vec<u8> {
    let mut body = 3u32.to_be_bytes().to_vec();
    body.extend((cover.mime.len() as u32).to_be_bytes());
    body.extend(cover.mime.as_bytes());
    // No description; width, height, depth and palette unknown.
    body.extend([0; 20]);
    body.extend((cover.bytes.len() as u32).to_be_bytes());
    body.extend(&cover.bytes);
    body
}
