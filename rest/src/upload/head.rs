//! The parts of an upload that say what it is: its beginning, the beginning of its audio where a large tag stands in
//! front of it, and its end, where some have their tags.

use super::sparse::Sparse;
use crate::error::{Code, Problem};

/// Bytes of the beginning that are kept, for tags.
const BEGINNING_BYTES: usize = 1 << 20;

/// Bytes of the audio that are kept where it begins later.
const AUDIO_BYTES: usize = 1 << 17;

/// Bytes of the end that are kept.
const END_BYTES: usize = 1 << 16;

/// Tags that may be stacked in front of the audio, as the room `tags` has it.
const MAX_STACKED: usize = 4;

/// Boxes of an MP4 file that are passed over in search of the one that says how long it is.
const MAX_BOXES: usize = 64;

/// Bytes that tell what stands there, and where the next thing begins.
const LOOK_BYTES: usize = 16;

/// Length of an upload whose end is not known yet.
const SUPPOSED_LEN: u64 = 1 << 40;

/// Collects it from a stream.
#[derive(Debug, Default)]
pub(crate) struct Head {
    len: u64,
    beginning: Vec<u8>,
    /// Where the next tag or box begins, or the audio, and its first bytes.
    next: u64,
    first: Vec<u8>,
    /// The first bytes of what was passed over, and how many of it were tags.
    passed: Vec<(u64, Vec<u8>)>,
    tags: usize,
    /// At most twice as long as it has to be.
    end: Vec<u8>,
    audio_known: bool,
    looked: bool,
}

impl Head {
    /// Takes the next bytes; gives whether it is time for a [`Head::look`].
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        let room = BEGINNING_BYTES - self.beginning.len();
        gather(&mut self.beginning, &bytes[..room.min(bytes.len())], BEGINNING_BYTES);
        self.end.extend_from_slice(&bytes[bytes.len().saturating_sub(END_BYTES)..]);
        if self.end.len() > 2 * END_BYTES {
            self.end.drain(..self.end.len() - END_BYTES);
        }
        let mut from = self.len;
        let mut rest = bytes;
        self.len += bytes.len() as u64;
        while !rest.is_empty() {
            let end = from + rest.len() as u64;
            let wanted = self.next + self.first.len() as u64;
            let most = if self.audio_known { AUDIO_BYTES } else { LOOK_BYTES };
            if wanted >= end || self.first.len() >= most {
                break;
            }
            let skip = (wanted - from) as usize;
            let take = (rest.len() - skip).min(most - self.first.len());
            gather(&mut self.first, &rest[skip..skip + take], most);
            (from, rest) = (from + (skip + take) as u64, &rest[skip + take..]);
            if !self.audio_known && self.first.len() == LOOK_BYTES {
                self.pass_or_stay();
            }
        }
        let full = self.beginning.len() == BEGINNING_BYTES && self.first.len() == AUDIO_BYTES;
        full && !std::mem::replace(&mut self.looked, true)
    }

    /// Enough bytes are there: a tag or a box to be passed over, or what is looked for.
    fn pass_or_stay(&mut self) {
        let is_box = self.passed.len() > self.tags || self.first[4..8] == *b"ftyp";
        let size = if is_box { self.box_bytes() } else { self.tag_bytes() };
        let Some(next) = size.and_then(|size| self.next.checked_add(size)) else {
            self.audio_known = true;
            return;
        };
        self.tags += usize::from(!is_box);
        self.passed.push((self.next, self.first.clone()));
        // Of what is shorter than a look the next thing is there already, in part.
        let behind = (next - self.next).min(LOOK_BYTES as u64) as usize;
        self.first.drain(..behind);
        self.next = next;
    }

    /// Length of the tag that stands here, if one does.
    fn tag_bytes(&self) -> Option<u64> {
        let head = &self.first[..10];
        let is_tag =
            head.starts_with(b"ID3") && head[3] != 0xff && head[6..].iter().all(|byte| byte & 0x80 == 0);
        let body = head[6..].iter().fold(0u64, |size, byte| size << 7 | u64::from(*byte));
        let footer = if head[5] & 0x10 == 0 { 0 } else { 10 };
        (is_tag && self.tags < MAX_STACKED).then_some(10 + body + footer)
    }

    /// Length of the box that stands here, unless it is the one that is looked for, or nothing follows it.
    fn box_bytes(&self) -> Option<u64> {
        let (size, rest) = self.first.split_first_chunk::<4>()?;
        let size = match u32::from_be_bytes(*size) {
            1 => u64::from_be_bytes(*rest.last_chunk::<8>()?),
            size => size.into(),
        };
        let passes = !rest.starts_with(b"moov") && size >= 8 && self.passed.len() < self.tags + MAX_BOXES;
        passes.then_some(size)
    }

    /// Whether this can become a song, before its end is there.
    pub(crate) fn look(mut self) -> Result<Self, Problem> {
        let (len, end) = (self.len, std::mem::take(&mut self.end));
        let mut file = self.into_file(SUPPOSED_LEN);
        tags::sniff(&mut file).map_err(not_audio)?;
        Ok(Self { end, ..Self::from_file(file, len) })
    }

    /// The upload as far as it is known, with its end.
    pub(crate) fn file(self) -> Sparse {
        let len = self.len;
        self.into_file(len)
    }

    fn into_file(self, len: u64) -> Sparse {
        let mut parts = vec![(0, self.beginning), (self.next, self.first)];
        parts.extend(self.passed);
        parts.push((len.saturating_sub(self.end.len() as u64), self.end));
        Sparse { len, parts, at: 0 }
    }

    /// Everything was collected: what follows is only counted.
    fn from_file(file: Sparse, len: u64) -> Self {
        let mut parts = file.parts.into_iter();
        let (_, beginning) = parts.next().unwrap_or_default();
        let (next, first) = parts.next().unwrap_or_default();
        let passed = parts.filter(|(_, bytes)| !bytes.is_empty()).collect();
        let (tags, end) = (0, Vec::new());
        Self { len, beginning, next, first, passed, tags, end, audio_known: true, looked: true }
    }
}

/// Appends bytes to what will have at most `most`: it grows by doubling, but never beyond that.
fn gather(kept: &mut Vec<u8>, bytes: &[u8], most: usize) {
    if kept.capacity() - kept.len() < bytes.len() {
        kept.reserve_exact((kept.len() * 2).clamp(kept.len() + bytes.len(), most) - kept.len());
    }
    kept.extend_from_slice(bytes);
}

/// What the sniffer says, for clients.
pub(crate) fn not_audio(error: tags::Error) -> Problem {
    match error {
        tags::Error::Empty => Problem::new(Code::Empty, "the upload is empty"),
        other => Problem::new(Code::NotAudio, other.to_string().replace("the file", "the upload")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8], cut: usize) -> Head {
        let mut head = Head::default();
        for piece in bytes.chunks(cut) {
            if head.push(piece) {
                head = head.look().unwrap();
            }
        }
        head
    }

    fn mp3(frames: usize) -> Vec<u8> {
        let mut frame = vec![0; 417];
        frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x64]);
        frame.repeat(frames)
    }

    fn tag(body: usize) -> Vec<u8> {
        let size = [21, 14, 7, 0].map(|shift| (body >> shift & 0x7f) as u8);
        [b"ID3\x04\0\0".as_slice(), &size, &vec![0xaa; body]].concat()
    }

    #[test]
    fn a_song_behind_large_tags_is_recognised_however_it_is_cut() {
        for sizes in [&[][..], &[10], &[3 << 20], &[2 << 20, 0, 5]] {
            let song: Vec<u8> = sizes.iter().flat_map(|size| tag(*size)).chain(mp3(5000)).collect();
            for cut in [7919, 65_536, song.len()] {
                let mut file = head(&song, cut).file();
                assert_eq!(file.len, song.len() as u64);
                assert_eq!(
                    tags::sniff(&mut file).unwrap().container,
                    tags::Container::Mp3,
                    "{sizes:?} {cut}"
                );
            }
        }
    }

    #[test]
    fn a_tag_at_the_end_is_read_however_the_song_is_cut() {
        let mut tag = [b"TAG".as_slice(), b"Under Water"].concat();
        tag.resize(128, 0);
        let song = [mp3(5000), tag].concat();
        for cut in [7919, 65_536, 1 << 20, song.len()] {
            let title = tags::read(&mut head(&song, cut).file()).title;
            assert_eq!(title.as_deref(), Some("Under Water"), "{cut}");
        }
    }

    #[test]
    fn the_header_of_a_movie_is_found_wherever_it_stands_and_however_it_is_cut() {
        let boxed = |kind: &[u8], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes(), kind, body].concat();
        let header = [[0; 12].as_slice(), &1000u32.to_be_bytes(), &90_000u32.to_be_bytes()].concat();
        // As large as the tables of an hour.
        let movie = boxed(b"moov", &[boxed(b"mvhd", &header), boxed(b"trak", &vec![9; 600_000])].concat());
        let long = [b"\0\0\0\x01mdat", &(3_000_016u64).to_be_bytes()[..], &vec![7; 3_000_000]].concat();
        let (brand, data) = (boxed(b"ftyp", b"M4A \0\0\0\0"), boxed(b"mdat", &vec![7; 3_000_000]));
        for song in [
            [&brand[..], &boxed(b"free", b""), &data, &movie].concat(),
            [&brand[..], &long, &movie].concat(),
            [&brand[..], &movie, &data].concat(),
            [&tag(2 << 20)[..], &brand, &data, &movie].concat(),
        ] {
            for cut in [13, 65_536, song.len()] {
                let mut file = head(&song, cut).file();
                let sniffed = tags::sniff(&mut file).unwrap();
                assert_eq!(sniffed.container, tags::Container::Mp4);
                assert_eq!(tags::length_ms(&mut file, &sniffed), Some(90_000), "{cut}");
            }
        }
    }

    #[test]
    fn what_is_no_song_is_known_long_before_its_end() {
        let mut head = Head::default();
        let text = b"no song at all ".repeat(1000);
        let mut pushed = 0;
        while !head.push(&text) {
            pushed += text.len();
        }
        assert!(pushed <= BEGINNING_BYTES);
        assert_eq!(head.look().unwrap_err().code(), Code::NotAudio);
    }
}
