use std::io::{Read, Seek, SeekFrom, Write};

use crate::{Container, Error, Result, Tags, flac, id3, sniff, wav};

/// What became of the tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// What became of the cover.
    pub cover: CoverFate,
}

/// What became of the cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoverFate {
    /// There was none to write.
    None,
    /// It is in the file.
    Written,
    /// It is left out, because a FLAC picture block holds less than 16 MiB.
    TooLarge,
}

/// Puts title, artist, album and cover into a finished MP3 (`ID3v2.3`), WAV (`LIST` and `id3 `) or FLAC file.
///
/// Tags that are already there are replaced. The audio bytes, and with them the LAME tag of an MP3, stay as
/// they are; they move within the file, a mebibyte at a time. Not atomic: write before the file is published.
///
/// # Errors
/// [`Error::NotWritable`] for other containers, [`Error::Malformed`] for a broken one, [`Error::Io`], and those
/// of [`sniff`].
pub fn write<F: Read + Write + Seek>(file: &mut F, tags: &Tags) -> Result<Written> {
    let found = sniff(file)?;
    let fate = match found.container {
        Container::Mp3 => {
            let tag = id3::encode(tags)?;
            replace_front(file, 0, found.audio.start, tag, id3::pad)?;
            cover_fate(tags, true)
        }
        Container::Wav if found.audio.start == 0 => {
            wav::append(file, tags)?;
            cover_fate(tags, true)
        }
        Container::Flac => flac::write(file, found.audio.start, tags)?,
        other => return Err(Error::NotWritable { container: other.name() }),
    };
    file.flush()?;
    Ok(Written { cover: fate })
}

/// What becomes of the cover of `tags` where it `fits` or not.
pub(crate) fn cover_fate(tags: &Tags, fits: bool) -> CoverFate {
    match (&tags.cover, fits) {
        (None, _) => CoverFate::None,
        (Some(_), true) => CoverFate::Written,
        (Some(_), false) => CoverFate::TooLarge,
    }
}

/// Puts `head` between byte `start` and the audio, which begins at byte `audio`; the audio moves back where
/// there is too little room, and `pad` fills what is left over.
pub(crate) fn replace_front<F: Read + Write + Seek>(
    file: &mut F,
    start: u64,
    audio: u64,
    mut head: Vec<u8>,
    pad: fn(&mut Vec<u8>, usize),
) -> Result<()> {
    let room = audio - start;
    match room.checked_sub(head.len() as u64) {
        Some(0) => {}
        Some(rest) => pad(&mut head, rest as usize),
        None => push_back(file, audio, head.len() as u64 - room)?,
    }
    file.seek(SeekFrom::Start(start))?;
    file.write_all(&head)?;
    Ok(())
}

/// Moves everything from byte `from` on back by `by` bytes, last part first.
fn push_back<F: Read + Write + Seek>(file: &mut F, from: u64, by: u64) -> Result<()> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut part = vec![0; 1 << 20];
    while end > from {
        let size = (end - from).min(part.len() as u64);
        end -= size;
        let part = &mut part[..size as usize];
        file.seek(SeekFrom::Start(end))?;
        file.read_exact(part)?;
        file.seek(SeekFrom::Start(end + by))?;
        file.write_all(part)?;
    }
    Ok(())
}
