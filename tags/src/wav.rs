//! `LIST` and `id3 ` chunks behind the samples of a RIFF or RF64 file. Source: EBU Tech 3306.

use std::io::{Read, Seek, SeekFrom, Write};

use crate::skip::read_at;
use crate::{Error, Result, Tags, id3};

/// Chunks that a file may have; real files have about five.
const MAX_CHUNKS: usize = 1024;

/// Appends the tags; older ones become `JUNK`, which readers skip.
pub(crate) fn append<F: Read + Write + Seek>(file: &mut F, tags: &Tags) -> Result<()> {
    let len = file.seek(SeekFrom::End(0))?;
    let riff = retire_old(file, len)?;
    let mut tail = Vec::new();
    if len % 2 == 1 {
        tail.push(0);
    }
    let info = info(tags);
    if !info.is_empty() {
        chunk(&mut tail, *b"LIST", &[b"INFO", &info]);
    }
    let tag = id3::encode(tags)?;
    if !tag.is_empty() {
        chunk(&mut tail, *b"id3 ", &[&tag]);
    }
    file.seek(SeekFrom::Start(len))?;
    file.write_all(&tail)?;
    let size = len + tail.len() as u64 - 8;
    match (riff, u32::try_from(size)) {
        (Riff::Wide, _) => {
            file.seek(SeekFrom::Start(20))?;
            file.write_all(&size.to_le_bytes())?;
        }
        (Riff::Plain, Ok(size)) => {
            file.seek(SeekFrom::Start(4))?;
            file.write_all(&size.to_le_bytes())?;
        }
        (Riff::Plain, Err(_)) => {
            return Err(Error::Malformed { container: "wav", reason: "it has no room for tags below 4 gib" });
        }
    }
    Ok(())
}

/// Whether sizes are 32 bits in the RIFF header or 64 bits in a `ds64` chunk.
#[derive(Clone, Copy)]
enum Riff {
    Plain,
    Wide,
}

fn retire_old<F: Read + Write + Seek>(file: &mut F, len: u64) -> Result<Riff> {
    let broken = |reason| Error::Malformed { container: "wav", reason };
    let head: [u8; 36] = read_at(file, 0, len)?.ok_or_else(|| broken("it is cut off"))?;
    let riff = if &head[..4] == b"RIFF" { Riff::Plain } else { Riff::Wide };
    if matches!(riff, Riff::Wide) && &head[12..16] != b"ds64" {
        return Err(broken("its ds64 chunk is missing"));
    }
    let wide_data = u64::from_le_bytes([28, 29, 30, 31, 32, 33, 34, 35].map(|i: usize| head[i]));
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let Some(chunk) = read_at::<8, _>(file, at, len)? else { return Ok(riff) };
        let size = u64::from(u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]));
        let wide = matches!(riff, Riff::Wide) && &chunk[..4] == b"data" && size == u64::from(u32::MAX);
        let size = if wide { wide_data } else { size };
        if matches!(&chunk[..4], b"LIST" | b"id3 " | b"ID3 ") {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(b"JUNK")?;
        }
        at = at.saturating_add(8).saturating_add(size).saturating_add(size & 1);
    }
    Err(broken("it has too many chunks"))
}

/// The body of a `LIST` chunk of type `INFO`.
fn info(tags: &Tags) -> Vec<u8> {
    let mut body = Vec::new();
    for (id, text) in [(*b"INAM", &tags.title), (*b"IART", &tags.artist), (*b"IPRD", &tags.album)] {
        if let Some(text) = text {
            chunk(&mut body, id, &[text.as_bytes(), &[0]]);
        }
    }
    body
}

fn chunk(out: &mut Vec<u8>, id: [u8; 4], parts: &[&[u8]]) {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    out.extend(id);
    out.extend((size as u32).to_le_bytes());
    for part in parts {
        out.extend(*part);
    }
    if size % 2 == 1 {
        out.push(0);
    }
}
