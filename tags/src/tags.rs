use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use lofty::config::{GlobalOptions, ParseOptions, apply_global_options};
use lofty::file::{FileType, TaggedFile, TaggedFileExt};
use lofty::picture::{Picture, PictureType};
use lofty::probe::Probe;
use lofty::tag::Accessor;

use crate::{Container, sniff, text};

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
    let kind = match sniff(reader).ok()?.container {
        Container::Mp3 => FileType::Mpeg,
        Container::Wav => FileType::Wav,
        Container::Flac => FileType::Flac,
        Container::Ogg => FileType::Vorbis,
        Container::Mp4 => FileType::Mp4,
        Container::Aiff => FileType::Aiff,
        Container::Adts => FileType::Aac,
    };
    reader.rewind().ok()?;
    apply_global_options(GlobalOptions::new().use_custom_resolvers(false).allocation_limit(MAX_ITEM_BYTES));
    let options = ParseOptions::new().read_properties(false);
    let file = Probe::with_file_type(reader, kind).options(options).read().ok()?;
    Some(collect(&file))
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
