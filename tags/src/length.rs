//! How long a file says that it is, where its headers or its last page tell.

use std::io::{Read, Seek};

use crate::riff::{self, chunks};
use crate::skip::read_at;
use crate::{Container, Sniffed};

/// Bytes of the end that are searched for the last page of an Ogg stream: longer than any page.
const LAST_BYTES: u64 = 1 << 16;

/// Boxes that are looked at on one level of an MP4 file; real files have about five.
const MAX_BOXES: usize = 64;

/// Milliseconds that an AIFF, Ogg Vorbis or MP4 file claims; none where it claims nothing, and of other containers.
///
/// A claim is no promise: whoever decodes the file may find more, or less.
pub fn length_ms<R: Read + Seek>(reader: &mut R, sniffed: &Sniffed) -> Option<u64> {
    let (start, end) = (sniffed.audio.start, sniffed.audio.end);
    let Ticks { count, rate } = match sniffed.container {
        Container::Aiff => aiff(reader, start, end)?,
        Container::Ogg => vorbis(reader, start, end)?,
        Container::Mp4 => mp4(reader, start, end)?,
        Container::Mp3 | Container::Wav | Container::Flac | Container::Adts => return None,
    };
    let ms = u128::from(count) * 1000 / u128::from(rate).max(1);
    u64::try_from(ms).ok().filter(|_| count > 0 && rate > 0)
}

/// A time in units of a clock.
struct Ticks {
    count: u64,
    /// Ticks per second.
    rate: u64,
}

/// Of the common chunk. Source: AIFF 1.3, 4.
fn aiff<R: Read + Seek>(reader: &mut R, start: u64, end: u64) -> Option<Ticks> {
    let common = chunks(reader, start, end).ok()?.into_iter().find(|chunk| &chunk.id == b"COMM")?;
    let body = riff::bytes(reader, &common.body, 18).ok()?;
    let count = u32::from_be_bytes(body.get(2..6)?.try_into().ok()?);
    // A float of 80 bits: sign and exponent, then 64 bits of which the first is before the point.
    let exponent = u16::from_be_bytes(body.get(8..10)?.try_into().ok()?);
    let mantissa = u64::from_be_bytes(body.get(10..18)?.try_into().ok()?);
    let rate = mantissa.checked_shr((16_383 + 63u32).checked_sub(u32::from(exponent))?)?;
    Some(Ticks { count: count.into(), rate })
}

/// Of the first page, which has the rate, and the last one of the same stream, which has the position. Source: RFC
/// 3533, 6; Vorbis I, 4.2.2.
fn vorbis<R: Read + Seek>(reader: &mut R, start: u64, end: u64) -> Option<Ticks> {
    let first = read_at::<27, _>(reader, start, end).ok()??;
    let packet = start + 27 + u64::from(first[26]);
    let head = read_at::<16, _>(reader, packet, end).ok()??;
    let rate = u32::from_le_bytes(head.strip_prefix(b"\x01vorbis")?[5..9].try_into().ok()?);
    let last = riff::bytes(reader, &(end.saturating_sub(LAST_BYTES).max(start)..end), LAST_BYTES).ok()?;
    let count = last.windows(27).rev().find_map(|page| {
        let position = u64::from_le_bytes(page[6..14].try_into().ok()?);
        // No packet ends on a page without a position.
        (page.starts_with(b"OggS\0") && page[14..18] == first[14..18] && position != u64::MAX)
            .then_some(position)
    })?;
    Some(Ticks { count, rate: rate.into() })
}

/// Of the header of the movie. Source: ISO 14496-12, 8.2.2.
fn mp4<R: Read + Seek>(reader: &mut R, start: u64, end: u64) -> Option<Ticks> {
    let (from, to) = find(reader, *b"moov", start, end)?;
    let (from, to) = find(reader, *b"mvhd", from, to)?;
    let body = riff::bytes(reader, &(from..to), 32).ok()?;
    let short = |at: usize| Some(u32::from_be_bytes(body.get(at..at + 4)?.try_into().ok()?));
    let (count, rate) = match body.first()? {
        // All ones: it is not known.
        0 => (u64::from(short(16).filter(|count| *count != u32::MAX)?), short(12)?),
        _ => (u64::from_be_bytes(body.get(24..32)?.try_into().ok()?), short(20)?),
    };
    (count != u64::MAX).then_some(Ticks { count, rate: rate.into() })
}

/// Where the content of the first box of a kind is.
fn find<R: Read + Seek>(reader: &mut R, kind: [u8; 4], start: u64, end: u64) -> Option<(u64, u64)> {
    let mut at = start;
    for _ in 0..MAX_BOXES {
        let head = read_at::<8, _>(reader, at, end).ok()??;
        let (size, head_bytes) = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => (end - at, 8),
            1 => (u64::from_be_bytes(read_at::<8, _>(reader, at + 8, end).ok()??), 16),
            size => (size.into(), 8),
        };
        let next = at.checked_add(size).filter(|_| size >= head_bytes)?;
        if head[4..] == kind {
            return Some((at + head_bytes, next.min(end)));
        }
        at = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::sniff;

    fn length(file: Vec<u8>) -> Option<u64> {
        let mut file = Cursor::new(file);
        let sniffed = sniff(&mut file).expect("a song");
        length_ms(&mut file, &sniffed)
    }

    /// An AIFF file of so many frames at 44.1 kHz whose samples stand before its header.
    fn aiff(frames: u32, exponent: u16) -> Vec<u8> {
        let mut common = [&[0, 2][..], &frames.to_be_bytes(), &[0, 16], &exponent.to_be_bytes()].concat();
        common.extend((44_100u64 << 48).to_be_bytes());
        let chunk = |id: &[u8], body: &[u8]| [id, &(body.len() as u32).to_be_bytes(), body].concat();
        [b"FORM\0\0\0\0AIFF", &*chunk(b"SSND", &[0; 1000]), &*chunk(b"COMM", &common)].concat()
    }

    fn page(serial: u32, position: u64, body: &[u8]) -> Vec<u8> {
        let segments = [body.len() as u8];
        let head =
            [b"OggS\0\0", &position.to_le_bytes()[..], &serial.to_le_bytes(), &[0; 8], &[1], &segments];
        [&head.concat(), body].concat()
    }

    fn vorbis(pages: &[(u32, u64)]) -> Vec<u8> {
        let head = [b"\x01vorbis\0\0\0\0\x02".as_slice(), &44_100u32.to_le_bytes(), &[0; 14]].concat();
        let body = pages.iter().flat_map(|(serial, position)| page(*serial, *position, &[7; 200]));
        [page(7, 0, &head), body.collect()].concat()
    }

    fn boxed(kind: &[u8], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), kind, body].concat()
    }

    fn mp4(header: &[u8]) -> Vec<u8> {
        let movie = boxed(b"moov", &[boxed(b"free", b""), boxed(b"mvhd", header)].concat());
        [boxed(b"ftyp", b"M4A \0\0\0\0"), boxed(b"mdat", &[0; 5000]), movie].concat()
    }

    #[test]
    fn headers_and_last_pages_tell_how_long_a_song_is() {
        assert_eq!(length(aiff(88_200, 16_383 + 15)), Some(2000));
        assert_eq!(length(vorbis(&[(7, 44_100), (7, 132_300), (7, u64::MAX)])), Some(3000));
        let short = [[0; 12].as_slice(), &1000u32.to_be_bytes(), &4500u32.to_be_bytes()].concat();
        assert_eq!(length(mp4(&short)), Some(4500));
        let long = [&[1; 1], &[0; 19][..], &600u32.to_be_bytes(), &3600u64.to_be_bytes()].concat();
        assert_eq!(length(mp4(&long)), Some(6000));
    }

    #[test]
    fn what_tells_nothing_or_nonsense_has_no_length() {
        assert_eq!(length(aiff(0, 16_383 + 15)), None);
        for exponent in [0, 16_382, 16_383 + 64, u16::MAX] {
            assert_eq!(length(aiff(88_200, exponent)), None, "{exponent}");
        }
        assert_eq!(length(vorbis(&[(8, 44_100)])), None, "another stream");
        assert_eq!(length(b"OggS".to_vec()), None);
        let unknown = [[0; 12].as_slice(), &1000u32.to_be_bytes(), &u32::MAX.to_be_bytes()].concat();
        for header in [&unknown[..], &unknown[..14], &[0; 20], &[]] {
            assert_eq!(length(mp4(header)), None);
        }
        for size in [0u32, 1, 7, u32::MAX] {
            let odd = [&boxed(b"ftyp", b"M4A ")[..], &size.to_be_bytes(), b"mdat", &[0xff; 40]].concat();
            assert_eq!(length(odd), None, "{size}");
        }
    }
}
