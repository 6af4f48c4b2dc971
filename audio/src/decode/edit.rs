//! What an MP4 file says about its encoder's delay: edit lists, and iTunes' note of them.
//!
//! Source: ISO 14496-12, 8.6.6; the `iTunSMPB` atom as written by Apple's encoders.

use std::io::Result;
use std::ops::Range;

use super::window::Window;

/// Boxes looked at in one level; real files have a few dozen.
const MAX_BOXES: usize = 4096;

/// Bytes read of one metadata item.
const MAX_NOTE_BYTES: u64 = 512;

/// The part of a track that is to be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    /// Where it starts, in ticks of the track.
    pub(super) start: u64,
    /// How long it is, in ticks of the movie; 0 for "to the end".
    pub(super) length: u64,
    /// Ticks of the movie in a second.
    pub(super) movie_hz: u32,
}

/// iTunes' note: frames to drop, and frames to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    /// Encoder delay in frames.
    pub(super) delay: u64,
    /// Length of the music in frames.
    pub(super) frames: u64,
}

/// All that is known about delays.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// Track id and its edit.
    pub(super) tracks: Vec<(u32, Edit)>,
    pub(super) note: Option<Note>,
}

/// Reads the edits of every track. Files without any give none.
pub(super) fn read(window: &mut Window) -> Result<Edits> {
    let mut edits = Edits::default();
    let whole = 0..window.len();
    let Some(moov) = find(window, &whole, *b"moov")? else { return Ok(edits) };
    let movie_hz = match find(window, &moov, *b"mvhd")? {
        Some(body) => timescale(window, &body)?,
        None => 0,
    };
    for trak in children(window, &moov, *b"trak")? {
        if let Some(id) = track_id(window, &trak)?
            && let Some(edit) = first_edit(window, &trak, movie_hz)?
        {
            edits.tracks.push((id, edit));
        }
    }
    edits.note = note(window, &moov)?;
    Ok(edits)
}

/// Bodies of the boxes of type `kind` directly within `parent`.
fn children(window: &mut Window, parent: &Range<u64>, kind: [u8; 4]) -> Result<Vec<Range<u64>>> {
    let mut found = Vec::new();
    let mut at = parent.start;
    for _ in 0..MAX_BOXES {
        if at + 8 > parent.end {
            break;
        }
        let Some(head) = window.bytes_at::<8>(at)? else { break };
        let (header, size) = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => (8, parent.end - at),
            1 => match window.bytes_at::<8>(at + 8)? {
                Some(wide) => (16, u64::from_be_bytes(wide)),
                None => break,
            },
            size => (8, u64::from(size)),
        };
        if size < header || size > parent.end - at {
            break;
        }
        if head[4..] == kind {
            found.push(at + header..at + size);
        }
        at += size;
    }
    Ok(found)
}

fn find(window: &mut Window, parent: &Range<u64>, kind: [u8; 4]) -> Result<Option<Range<u64>>> {
    Ok(children(window, parent, kind)?.into_iter().next())
}

/// Big-endian number of four bytes, `offset` into a box's body.
fn word(window: &mut Window, body: &Range<u64>, offset: u64) -> Result<Option<u32>> {
    if body.start + offset + 4 > body.end {
        return Ok(None);
    }
    Ok(window.bytes_at::<4>(body.start + offset)?.map(u32::from_be_bytes))
}

/// Version of a full box; 1 stands for 64-bit times.
fn is_wide(window: &mut Window, body: &Range<u64>) -> Result<bool> {
    Ok(word(window, body, 0)?.is_some_and(|word| word >> 24 == 1))
}

fn timescale(window: &mut Window, body: &Range<u64>) -> Result<u32> {
    let offset = if is_wide(window, body)? { 20 } else { 12 };
    Ok(word(window, body, offset)?.unwrap_or(0))
}

fn track_id(window: &mut Window, trak: &Range<u64>) -> Result<Option<u32>> {
    let Some(tkhd) = find(window, trak, *b"tkhd")? else { return Ok(None) };
    let offset = if is_wide(window, &tkhd)? { 20 } else { 12 };
    word(window, &tkhd, offset)
}

/// The first edit that is not empty. Further ones would cut the track into pieces; they are left alone.
fn first_edit(window: &mut Window, trak: &Range<u64>, movie_hz: u32) -> Result<Option<Edit>> {
    let Some(list) = find(window, trak, *b"edts")? else { return Ok(None) };
    let Some(elst) = find(window, &list, *b"elst")? else { return Ok(None) };
    let wide = is_wide(window, &elst)?;
    let entry = if wide { 20 } else { 12 };
    let count = word(window, &elst, 4)?.unwrap_or(0).min(16);
    let mut edits = Vec::new();
    for i in 0..u64::from(count) {
        let at = 8 + i * entry;
        let Some(first) = word(window, &elst, at)? else { break };
        let Some(second) = word(window, &elst, at + 4)? else { break };
        let (length, start) = if wide {
            let high = word(window, &elst, at + 8)?.unwrap_or(u32::MAX);
            let low = word(window, &elst, at + 12)?.unwrap_or(u32::MAX);
            (u64::from(first) << 32 | u64::from(second), (u64::from(high) << 32 | u64::from(low)) as i64)
        } else {
            (u64::from(first), i64::from(second as i32))
        };
        if let Ok(start) = u64::try_from(start) {
            edits.push(Edit { start, length, movie_hz });
        }
    }
    Ok(match edits[..] {
        [] => None,
        [edit] => Some(edit),
        [first, ..] => Some(Edit { length: 0, ..first }),
    })
}

/// `----` item named `iTunSMPB`: hexadecimal words, of which the second to fourth count.
fn note(window: &mut Window, moov: &Range<u64>) -> Result<Option<Note>> {
    for udta in children(window, moov, *b"udta")? {
        let Some(meta) = find(window, &udta, *b"meta")? else { continue };
        let meta = meta.start + 4..meta.end;
        let Some(list) = find(window, &meta, *b"ilst")? else { continue };
        for item in children(window, &list, *b"----")? {
            if text(window, &item, *b"name", 4)?.as_deref() == Some("iTunSMPB") {
                let value = text(window, &item, *b"data", 8)?;
                return Ok(value.as_deref().and_then(parse_note));
            }
        }
    }
    Ok(None)
}

fn text(window: &mut Window, item: &Range<u64>, kind: [u8; 4], skip: u64) -> Result<Option<String>> {
    let Some(body) = find(window, item, kind)? else { return Ok(None) };
    let end = body.end.min(body.start + skip + MAX_NOTE_BYTES);
    let mut bytes = Vec::new();
    for at in body.start + skip..end {
        bytes.extend(window.bytes_at::<1>(at)?.unwrap_or_default());
    }
    Ok(String::from_utf8(bytes).ok())
}

fn parse_note(value: &str) -> Option<Note> {
    let mut words = value.split_ascii_whitespace().map(|word| u64::from_str_radix(word, 16).ok());
    words.next()??;
    let delay = words.next()??;
    let _padding = words.next()??;
    let frames = words.next()??;
    (frames > 0).then_some(Note { delay, frames })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_of_itunes_gives_delay_and_length() {
        let value = " 00000000 00000840 000001CA 00000000003F31F6 00000000 00000000";
        assert_eq!(parse_note(value), Some(Note { delay: 2112, frames: 4_141_558 }));
        assert_eq!(parse_note(" 00000000 zz"), None);
    }
}
