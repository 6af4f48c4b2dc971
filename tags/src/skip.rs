//! Where the audio starts and ends between the tags that other programs put around it.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use crate::Result;

/// Tags of one kind that may be stacked; more are left for the decoder to stumble over.
const MAX_STACKED: usize = 4;

/// First byte after the leading `ID3v2` tags, and where those tags are. A tag that claims to pass the end of the
/// file is believed only for its ten header bytes.
pub(crate) fn leading<R: Read + Seek>(reader: &mut R, len: u64) -> Result<(u64, Vec<Range<u64>>)> {
    let mut start = 0;
    let mut tags = Vec::new();
    while let Some(head) = read_at::<10, _>(reader, start, len)?.filter(|_| tags.len() < MAX_STACKED) {
        if &head[..3] != b"ID3" || head[3] == 0xff || head[6..].iter().any(|byte| byte & 0x80 != 0) {
            break;
        }
        let body = head[6..].iter().fold(0u64, |size, byte| size << 7 | u64::from(*byte));
        let footer = if head[5] & 0x10 == 0 { 0 } else { 10 };
        let claimed = start + 10 + body + footer;
        let next = if claimed <= len { claimed } else { start + 10 };
        tags.push(start..next);
        start = next;
    }
    Ok((start, tags))
}

/// One past the last byte before the trailing `ID3v1`, `APEv2` and `Lyrics3` tags.
pub(crate) fn trailing<R: Read + Seek>(reader: &mut R, start: u64, len: u64) -> Result<u64> {
    let mut end = len;
    for _ in 0..MAX_STACKED {
        let size = trailing_tag(reader, end)?;
        match end.checked_sub(size) {
            Some(next) if size > 0 && next > start => end = next,
            _ => break,
        }
    }
    Ok(end)
}

/// Size in bytes of the tag that ends at `end`; 0 when there is none.
fn trailing_tag<R: Read + Seek>(reader: &mut R, end: u64) -> Result<u64> {
    if let Some(at) = end.checked_sub(128)
        && read_at::<3, _>(reader, at, end)? == Some(*b"TAG")
    {
        return Ok(128);
    }
    if let Some(at) = end.checked_sub(32)
        && let Some(foot) = read_at::<32, _>(reader, at, end)?
        && &foot[..8] == b"APETAGEX"
    {
        let size = u64::from(u32::from_le_bytes([foot[12], foot[13], foot[14], foot[15]]));
        return Ok(size + if foot[23] & 0x80 == 0 { 0 } else { 32 });
    }
    if let Some(at) = end.checked_sub(15)
        && let Some(foot) = read_at::<15, _>(reader, at, end)?
        && &foot[6..] == b"LYRICS200"
        && foot[..6].iter().all(u8::is_ascii_digit)
    {
        return Ok(15 + foot[..6].iter().fold(0, |size, digit| size * 10 + u64::from(digit - b'0')));
    }
    Ok(0)
}

/// `N` bytes at `at`, or none where the file is too short.
pub(crate) fn read_at<const N: usize, R: Read + Seek>(
    reader: &mut R,
    at: u64,
    len: u64,
) -> Result<Option<[u8; N]>> {
    if at.saturating_add(N as u64) > len {
        return Ok(None);
    }
    let mut bytes = [0; N];
    reader.seek(SeekFrom::Start(at))?;
    reader.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}
