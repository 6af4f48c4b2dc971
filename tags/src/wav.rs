//! `LIST` and `id3 ` chunks behind the samples of a RIFF or RF64 file. Source: EBU Tech 3306.

use std::io::{Read, Seek, SeekFrom, Write};

use crate::riff::chunks;
use crate::skip::read_at;
use crate::{Error, Result, Tags, id3};

/// Appends the tags; older ones become `JUNK`, which readers skip.
pub(crate) fn append<F: Read + Write + Seek>(file: &mut F, tags: &Tags) -> Result<()> {
    let broken = |reason| Error::Malformed { container: "wav", reason };
    let len = file.seek(SeekFrom::End(0))?;
    let head: [u8; 16] = read_at(file, 0, len)?.ok_or_else(|| broken("it is cut off"))?;
    let wide = &head[..4] != b"RIFF";
    if wide && &head[12..] != b"ds64" {
        return Err(broken("its ds64 chunk is missing"));
    }
    for chunk in chunks(file, 0, len)? {
        if matches!(&chunk.id, b"LIST" | b"id3 " | b"ID3 ") {
            file.seek(SeekFrom::Start(chunk.body.start - 8))?;
            file.write_all(b"JUNK")?;
        }
    }
    let tail = tail(tags, len)?;
    let size = len + tail.len() as u64 - 8;
    let (at, size) = if wide {
        (20, size.to_le_bytes().to_vec())
    } else {
        let size = u32::try_from(size).map_err(|_| broken("it has no room for tags below 4 gib"))?;
        (4, size.to_le_bytes().to_vec())
    };
    file.seek(SeekFrom::Start(len))?;
    file.write_all(&tail)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&size)?;
    Ok(())
}

/// What goes behind byte `len` of the file.
fn tail(tags: &Tags, len: u64) -> Result<Vec<u8>> {
    let mut tail = vec![0; (len % 2) as usize];
    let info = info(tags);
    if !info.is_empty() {
        chunk(&mut tail, *b"LIST", &[b"INFO", &info]);
    }
    let tag = id3::encode(tags)?;
    if !tag.is_empty() {
        chunk(&mut tail, *b"id3 ", &[&tag]);
    }
    Ok(tail)
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
