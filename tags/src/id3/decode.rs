//! `ID3v2.2` to `ID3v2.4` and `ID3v1`. Source: id3.org, the informal standards of each version.

use std::borrow::Cow;

use crate::{Cover, Tags, text};

/// Bytes of the tag's own header.
const HEADER_BYTES: usize = 10;

/// Picture type of the front cover.
const FRONT: u8 = 3;

/// Reads a whole tag, header included. Compressed and encrypted frames are left out, and so is what is broken.
pub(crate) fn decode(tag: &[u8]) -> Tags {
    let mut tags = Tags::default();
    let Some((header, body)) = tag.split_at_checked(HEADER_BYTES) else { return tags };
    let (version, flags) = (header[3], header[5]);
    if !header.starts_with(b"ID3") || !(2..=4).contains(&version) {
        return tags;
    }
    let body = if flags & 0x80 != 0 && version < 4 { rejoined(body) } else { Cow::Borrowed(body) };
    let mut rest = &body[extended_header(&body, version, flags).min(body.len())..];
    let mut has_front = false;
    while let Some((frame, next)) = Frame::split(rest, version) {
        rest = next;
        let Some(content) = frame.content(version) else { continue };
        let slot = match &frame.id {
            b"TIT2" | b"TT2\0" => &mut tags.title,
            b"TPE1" | b"TP1\0" => &mut tags.artist,
            b"TALB" | b"TAL\0" => &mut tags.album,
            b"APIC" | b"PIC\0" if !has_front => {
                if let Some((kind, cover)) = picture(&content, version) {
                    has_front = kind == FRONT;
                    if has_front || tags.cover.is_none() {
                        tags.cover = Some(cover);
                    }
                }
                continue;
            }
            _ => continue,
        };
        if slot.is_none() {
            *slot = content.split_first().and_then(|(encoding, text)| string(*encoding, text).0);
        }
    }
    tags
}

/// Reads the 128 bytes of an old tag.
pub(crate) fn decode_v1(tag: &[u8; 128]) -> Tags {
    let field = |start: usize| string(0, &tag[start..start + 30]).0;
    Tags { title: field(3), artist: field(33), album: field(63), cover: None }
}

/// One frame: identifier, flags, bytes.
struct Frame<'a> {
    id: [u8; 4],
    flags: u8,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first frame and what follows it; none in the padding and where sizes do not fit.
    fn split(rest: &'a [u8], version: u8) -> Option<(Self, &'a [u8])> {
        if version == 2 {
            let (head, rest) = rest.split_at_checked(6)?;
            let size = u32::from_be_bytes([0, head[3], head[4], head[5]]) as usize;
            let (bytes, rest) = rest.split_at_checked(size).filter(|_| is_id(&head[..3]))?;
            return Some((Self { id: [head[0], head[1], head[2], 0], flags: 0, bytes }, rest));
        }
        let (head, rest) = rest.split_at_checked(10)?;
        let id = [head[0], head[1], head[2], head[3]];
        let size = [head[4], head[5], head[6], head[7]];
        let plain = u32::from_be_bytes(size) as usize;
        let size = if version == 3 || is_plain(size, rest) { plain } else { synchsafe(size) };
        let (bytes, rest) = rest.split_at_checked(size).filter(|_| is_id(&id))?;
        Some((Self { id, flags: head[9], bytes }, rest))
    }

    /// The frame's content without what its flags put in front; none where it is packed or locked.
    fn content(&self, version: u8) -> Option<Cow<'a, [u8]>> {
        let has = |bit: u8| self.flags & bit != 0;
        let (packed, grouped, counted, split) = match version {
            4 => (has(0x08) || has(0x04), has(0x40), has(0x01), has(0x02)),
            _ => (has(0x80) || has(0x40), has(0x20), false, false),
        };
        let content = self.bytes.get(usize::from(grouped) + 4 * usize::from(counted)..)?;
        let content = if split { rejoined(content) } else { Cow::Borrowed(content) };
        (!packed).then_some(content)
    }
}

/// Some programs write plain sizes into version 4: they lead to a frame or the end where the other does not.
fn is_plain(size: [u8; 4], rest: &[u8]) -> bool {
    let leads = |size: usize| {
        rest.get(size..)
            .is_some_and(|next| next.first().is_none_or(|b| *b == 0) || next.get(..4).is_some_and(is_id))
    };
    !leads(synchsafe(size)) && leads(u32::from_be_bytes(size) as usize)
}

fn is_id(id: &[u8]) -> bool {
    id.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Seven bits of each byte.
fn synchsafe(bytes: [u8; 4]) -> usize {
    bytes.iter().fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f))
}

fn extended_header(body: &[u8], version: u8, flags: u8) -> usize {
    match (body.get(..4).and_then(|size| <[u8; 4]>::try_from(size).ok()), version) {
        (Some(size), 3) if flags & 0x40 != 0 => (u32::from_be_bytes(size) as usize).saturating_add(4),
        (Some(size), 4) if flags & 0x40 != 0 => synchsafe(size),
        _ => 0,
    }
}

/// Takes out the zeros that unsynchronisation put behind `0xff`.
fn rejoined(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut last = 0;
    let kept = bytes.iter().filter(|byte| {
        let stuffed = last == 0xff && **byte == 0;
        last = **byte;
        !stuffed
    });
    Cow::Owned(kept.copied().collect())
}

/// A text up to its end mark, tidy, and the bytes it takes with the mark.
fn string(encoding: u8, bytes: &[u8]) -> (Option<String>, usize) {
    let wide = encoding == 1 || encoding == 2;
    let (end, mark) = if wide {
        let end = bytes.as_chunks::<2>().0.iter().position(|pair| pair == &[0, 0]);
        (end.map_or(bytes.len(), |end| end * 2), 2)
    } else {
        (bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()), 1)
    };
    // No more than any title needs, so that a hostile one costs little.
    let raw = &bytes[..end.min(8192)];
    let text = match (encoding, raw) {
        (1, [0xfe, 0xff, raw @ ..]) | (2, raw) => utf16(raw, u16::from_be_bytes),
        (1, raw) => utf16(raw.strip_prefix(&[0xff, 0xfe]).unwrap_or(raw), u16::from_le_bytes),
        (3, raw) => String::from_utf8_lossy(raw).into_owned(),
        (_, raw) => raw.iter().map(|byte| char::from(*byte)).collect(),
    };
    (text::tidy(&text), (end + mark).min(bytes.len()))
}

fn utf16(raw: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = raw.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Type and picture of an `APIC` or `PIC` frame.
fn picture(content: &[u8], version: u8) -> Option<(u8, Cover)> {
    let (encoding, rest) = content.split_first()?;
    let format = if version == 2 { 3 } else { string(0, rest).1 };
    let (kind, rest) = rest.get(format..)?.split_first()?;
    let (_, description) = string(*encoding, rest);
    Some((*kind, Cover::new(rest.get(description..)?.to_vec())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(version: u8, flags: u8, frames: &[u8]) -> Vec<u8> {
        [&[b'I', b'D', b'3', version, 0, flags, 0, 0, 0, 0], frames].concat()
    }

    #[test]
    fn all_versions_and_encodings_give_the_same_title() {
        let tags = [
            tag(2, 0, b"TT2\0\0\x05\0S\xf6ng"),
            tag(3, 0, b"TIT2\0\0\0\x05\0\0\0S\xf6ng"),
            tag(3, 0, b"TIT2\0\0\0\x0b\0\0\x01\xff\xfeS\0\xf6\0n\0g\0"),
            tag(3, 0x40, b"\0\0\0\x06\0\0\0\0\0\0TIT2\0\0\0\x0d\0\0\x01\xfe\xff\0S\0\xf6\0n\0g\0\0"),
            tag(3, 0x80, b"TIT2\0\0\0\x0b\0\0\x01\xff\0\xfeS\0\xf6\0n\0g\0"),
            tag(4, 0, b"TIT2\0\0\0\x07\0\0\x03S\xc3\xb6ng\0\0\0\0"),
            tag(4, 0, b"TIT2\0\0\0\x0b\0\x41\0\0\0\0\x07\x03S\xc3\xb6ng"),
        ];
        for tag in tags {
            assert_eq!(decode(&tag).title.as_deref(), Some("Söng"), "{tag:?}");
        }
    }

    #[test]
    fn packed_locked_and_broken_frames_are_left_out() {
        assert_eq!(decode(&tag(4, 0, b"TIT2\0\0\0\x05\0\x08\x03Song")), Tags::default());
        assert_eq!(decode(&tag(3, 0, b"TIT2\0\0\0\x05\0\x80\x03Song")), Tags::default());
        assert_eq!(decode(&tag(3, 0, b"TIT2\xff\xff\xff\xff\0\0\x03Song")), Tags::default());
        assert_eq!(decode(b"ID3\x03"), Tags::default());
        assert_eq!(decode(&tag(9, 0, b"TIT2")), Tags::default());
    }

    #[test]
    fn the_front_cover_is_preferred() {
        let frame = |kind: u8, last: u8| {
            let picture = [0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0, 0, 0, 0, last];
            let content = [&b"\0image/jpeg\0"[..], &[kind], b"words\0", &picture].concat();
            [&b"APIC\0\0\0"[..], &[content.len() as u8], &[0, 0], &content].concat()
        };
        let both = tag(3, 0, &[frame(4, 1), frame(3, 2), frame(3, 3)].concat());
        assert_eq!(decode(&both).cover.unwrap().bytes[11], 2);
        assert_eq!(decode(&tag(3, 0, &frame(4, 1))).cover.unwrap().bytes[11], 1);
    }
}
