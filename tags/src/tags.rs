use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use lofty::config::{GlobalOptions, ParseOptions, apply_global_options};
use lofty::file::{FileType, TaggedFile, TaggedFileExt};
use lofty::picture::{Picture, PictureType};
use lofty::probe::Probe;
use lofty::tag::Accessor;

use crate::riff::{self, MAX_TAG_BYTES};
use crate::{Container, Sniffed, id3, skip, sniff, text};

/// Largest cover that is kept, and largest single item that the tag reader may allocate.
const MAX_ITEM_BYTES: usize = 32 << 20;

/// What a song says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    /// Name of the piece.
    pub title: Option<String>,
    /// Who plays it.
    pub artist: Option<String>,
    /// The record it is on.
    pub album: Option<String>,
    /// Its front picture.
    pub cover: Option<Cover>,
}

impl Tags {
    /// Takes from `other` what is missing.
    pub(crate) fn fill_from(&mut self, other: Self) {
        self.title = self.title.take().or(other.title);
        self.artist = self.artist.take().or(other.artist);
        self.album = self.album.take().or(other.album);
        self.cover = self.cover.take().or(other.cover);
    }

    /// True when there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A picture in one of the formats that browsers show.
#[derive(Clone, PartialEq, Eq)]
pub struct Cover {
    /// `image/jpeg`, `image/png`, `image/gif`, `image/webp` or `image/bmp`.
    pub mime: String,
    /// The picture file as it is.
    pub bytes: Vec<u8>,
}

impl Cover {
    /// A cover from a picture file; none when its first bytes are no known picture's, or above 32 MiB.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let mime = match bytes.get(..12)? {
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [b'G', b'I', b'F', b'8', ..] => "image/gif",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => "image/webp",
            [b'B', b'M', ..] => "image/bmp",
            _ => return None,
        };
        (bytes.len() <= MAX_ITEM_BYTES).then(|| Self { mime: mime.to_owned(), bytes })
    }
}

impl std::fmt::Debug for Cover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cover").field("mime", &self.mime).field("size_bytes", &self.bytes.len()).finish()
    }
}

/// The tags of a file. Whatever cannot be read is left out: broken tags are empty tags, never an error.
///
/// Text is one line of at most 512 characters without control characters. Covers up to 32 MiB are kept.
pub fn read<R: Read + Seek>(reader: &mut R) -> Tags {
    // The parser is fed by strangers: a panic in it costs the tags and nothing else.
    catch_unwind(AssertUnwindSafe(|| parse(reader))).ok().flatten().unwrap_or_default()
}

/// [`read`] for a file on disk; no tags when it cannot be opened.
#[must_use]
pub fn read_path(path: &Path) -> Tags {
    File::open(path).map(|file| read(&mut BufReader::new(file))).unwrap_or_default()
}

fn parse<R: Read + Seek>(reader: &mut R) -> Option<Tags> {
    let Sniffed { container, audio } = sniff(reader).ok()?;
    let mut tags = around(reader, &audio);
    let len = reader.seek(SeekFrom::End(0)).ok()?;
    let inside = match container {
        Container::Mp3 | Container::Adts => None,
        Container::Wav | Container::Aiff => riff::read(reader, audio.start, len).ok(),
        Container::Flac => library(reader, &audio, FileType::Flac),
        Container::Ogg => library(reader, &audio, FileType::Vorbis),
        Container::Mp4 => library(reader, &audio, FileType::Mp4),
    };
    tags.fill_from(inside.unwrap_or_default());
    Some(tags)
}

/// Tags in front of the audio, and the old one behind it.
fn around<R: Read + Seek>(reader: &mut R, audio: &Range<u64>) -> Tags {
    let mut tags = Tags::default();
    for tag in skip::leading(reader, audio.start).unwrap_or_default().1 {
        tags.fill_from(
            riff::bytes(reader, &tag, MAX_TAG_BYTES).map(|bytes| id3::decode(&bytes)).unwrap_or_default(),
        );
    }
    if let Ok(len) = reader.seek(SeekFrom::End(0))
        && let Ok(Some(old)) = skip::read_at::<128, _>(reader, len.saturating_sub(128), len)
        && old.starts_with(b"TAG")
        && len - 128 >= audio.end
    {
        tags.fill_from(id3::decode_v1(&old));
    }
    tags
}

/// What lofty finds in the formats whose tags are not `ID3`: it would unpack compressed frames without limit.
fn library<R: Read + Seek>(reader: &mut R, audio: &Range<u64>, kind: FileType) -> Option<Tags> {
    apply_global_options(GlobalOptions::new().use_custom_resolvers(false).allocation_limit(MAX_ITEM_BYTES));
    let options = ParseOptions::new().read_properties(false);
    let section = Section { reader, range: audio.clone(), at: 0 };
    let file = Probe::with_file_type(section, kind).options(options).read().ok()?;
    Some(collect(&file))
}

/// A part of a file that looks like a whole one.
struct Section<'a, R> {
    reader: &'a mut R,
    range: Range<u64>,
    at: u64,
}

impl<R: Read + Seek> Read for Section<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let room = (self.range.end - self.range.start).saturating_sub(self.at).min(buf.len() as u64);
        self.reader.seek(SeekFrom::Start(self.range.start.saturating_add(self.at)))?;
        let read = self.reader.read(&mut buf[..room as usize])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Read + Seek> Seek for Section<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => (self.range.end - self.range.start).checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

fn collect(file: &TaggedFile) -> Tags {
    let first = |get: fn(&lofty::tag::Tag) -> Option<std::borrow::Cow<'_, str>>| {
        file.tags().iter().find_map(|tag| text::tidy(&get(tag)?))
    };
    Tags {
        title: first(Accessor::title),
        artist: first(Accessor::artist),
        album: first(Accessor::album),
        cover: cover(file),
    }
}

fn cover(file: &TaggedFile) -> Option<Cover> {
    let pictures = || file.tags().iter().flat_map(lofty::tag::Tag::pictures);
    let front = pictures().filter(|picture| picture.pic_type() == PictureType::CoverFront);
    front.chain(pictures()).find_map(|picture: &Picture| Cover::new(picture.data().to_vec()))
}
