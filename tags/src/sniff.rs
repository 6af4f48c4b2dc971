use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use crate::frame::{self, HEADER_BYTES, Parser};
use crate::{Container, Error, Result, skip};

/// Junk that may stand before the first MP3 or ADTS frame. Players accept about as much.
const MAX_JUNK_BYTES: usize = 1 << 20;

/// Headers in a row that make bytes an MP3 or ADTS stream.
const FRAMES_IN_A_ROW: usize = 3;

/// What a file is, and which of its bytes a decoder should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sniffed {
    /// The container that the bytes belong to.
    pub container: Container,
    /// The bytes without the tags of other formats around them, as offsets into the file.
    pub audio: Range<u64>,
}

/// Recognises a file by its bytes: at most about 1 MiB is read, and nothing is decoded.
///
/// Leading `ID3v2` tags are skipped whatever their size. MP3 and ADTS count only with three frame headers
/// in a row (fewer where the file ends there).
///
/// # Errors
/// [`Error::Empty`], [`Error::Unknown`], [`Error::Truncated`] and [`Error::Io`].
pub fn sniff<R: Read + Seek>(reader: &mut R) -> Result<Sniffed> {
    let len = reader.seek(SeekFrom::End(0))?;
    if len == 0 {
        return Err(Error::Empty);
    }
    let (start, _) = skip::leading(reader, len)?;
    reader.seek(SeekFrom::Start(start))?;
    let mut head = Vec::new();
    reader.by_ref().take(12).read_to_end(&mut head)?;
    if let Some(container) = magic(&head) {
        return Ok(Sniffed { container, audio: start..len });
    }
    let end = skip::trailing(reader, start, len)?;
    reader.seek(SeekFrom::Start(start))?;
    let mut window = Vec::new();
    reader.by_ref().take((end - start).min(MAX_JUNK_BYTES as u64)).read_to_end(&mut window)?;
    let whole = start + window.len() as u64 == end;
    let (container, offset) = first_frame(&window, whole)?;
    Ok(Sniffed { container, audio: start + offset as u64..end })
}

/// [`sniff`] for a file on disk.
///
/// # Errors
/// Those of [`sniff`].
pub fn sniff_path(path: &Path) -> Result<Sniffed> {
    sniff(&mut BufReader::new(File::open(path)?))
}

/// The container whose signature starts `head`.
fn magic(head: &[u8]) -> Option<Container> {
    let form = head.get(8..12).unwrap_or_default();
    match head.get(..4)? {
        b"RIFF" | b"RF64" | b"BW64" if form == b"WAVE" => Some(Container::Wav),
        b"FORM" if form == b"AIFF" || form == b"AIFC" => Some(Container::Aiff),
        b"fLaC" => Some(Container::Flac),
        b"OggS" => Some(Container::Ogg),
        _ if head.get(4..8) == Some(b"ftyp") => Some(Container::Mp4),
        _ => None,
    }
}

/// The first believable MP3 or ADTS frame of `window`; `whole` says that the file ends with it.
fn first_frame(window: &[u8], whole: bool) -> Result<(Container, usize)> {
    let parsers: [(Container, Parser); 2] = [(Container::Mp3, frame::mp3), (Container::Adts, frame::adts)];
    for (offset, _) in window.iter().enumerate().filter(|(_, byte)| **byte == 0xff) {
        for (container, parse) in parsers {
            let run = run_of_frames(&window[offset..], parse);
            let cut = run.missing > 0;
            let enough = match run.headers {
                0 => continue,
                1 => whole && offset == 0 && run.complete,
                2 => whole && (run.complete || cut),
                _ => true,
            };
            if enough {
                return Ok((container, offset));
            }
            if whole && offset == 0 && cut {
                return Err(Error::Truncated { missing: run.missing });
            }
        }
    }
    Err(Error::Unknown)
}

/// Consistent headers that follow each other.
struct Run {
    headers: usize,
    /// The last frame ends where the bytes end.
    complete: bool,
    /// Bytes that the last frame lacks.
    missing: u64,
}

fn run_of_frames(bytes: &[u8], parse: Parser) -> Run {
    let mut run = Run { headers: 0, complete: false, missing: 0 };
    let Some(first) = parse(bytes) else { return run };
    let (mut at, mut frame) = (0, first);
    loop {
        run.headers += 1;
        at += frame.bytes;
        if run.headers == FRAMES_IN_A_ROW || at >= bytes.len() {
            run.complete = at == bytes.len();
            run.missing = at.saturating_sub(bytes.len()) as u64;
            return run;
        }
        match parse(&bytes[at..]) {
            Some(next) if next.kind == first.kind => frame = next,
            // A header that the end of the file cut short says nothing.
            None if bytes.len() - at < HEADER_BYTES => {
                run.missing = (HEADER_BYTES - (bytes.len() - at)) as u64;
                return run;
            }
            _ => return Run { headers: usize::from(run.headers > 1) * 2, complete: false, missing: 0 },
        }
    }
}
