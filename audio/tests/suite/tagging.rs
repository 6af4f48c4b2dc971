use std::io::Cursor;

use audio::{Bitrate, Container, FlacDepth, Format, WavDepth};
use tags::{Cover, CoverFate, Tags, sniff};

use crate::support::{dir, encode, made_by_ffmpeg, music, open};

fn formats() -> [(Format, Container); 3] {
    [
        (Format::mp3(Bitrate::Cbr(128)), Container::Mp3),
        (Format::Wav(WavDepth::Bits16), Container::Wav),
        (Format::Flac(FlacDepth::Bits16), Container::Flac),
    ]
}

fn titled(title: &str, cover_bytes: usize) -> Tags {
    let cover = (cover_bytes > 0).then(|| Cover {
        mime: "image/jpeg".to_owned(),
        bytes: [b"\xff\xd8\xff\xe1".to_vec(), vec![0x5a; cover_bytes]].concat(),
    });
    Tags { title: Some(title.to_owned()), cover, ..Tags::default() }
}

#[test]
fn tags_can_be_replaced_by_longer_and_shorter_ones() {
    let signal = music(2, 20_000, 44_100);
    for (format, _) in formats() {
        let bytes = encode(&signal, format, 44_100);
        let plain = open(bytes.clone()).and_then(|mut decoder| decoder.read_all()).expect("decoded");
        let mut file = Cursor::new(bytes);
        for tags in [titled("Long", 300_000), titled("Short", 0), titled("Again", 40_000), Tags::default()] {
            tags::write(&mut file, &tags).expect("written");
            assert_eq!(tags::read(&mut file), tags, "{format:?}");
            let decoded = open(file.get_ref().clone()).and_then(|mut decoder| decoder.read_all());
            assert!(decoded.expect("decoded") == plain, "{format:?}");
        }
    }
}

#[test]
fn a_cover_that_flac_cannot_hold_is_left_out_and_said_so() {
    let signal = music(1, 5000, 44_100);
    let tags = titled("Song", 17 << 20);
    for (format, container) in formats() {
        let mut file = Cursor::new(encode(&signal, format, 44_100));
        let fate = tags::write(&mut file, &tags).expect("written").cover;
        let wanted = if container == Container::Flac { CoverFate::TooLarge } else { CoverFate::Written };
        assert_eq!(fate, wanted);
        assert_eq!(tags::read(&mut file).title.as_deref(), Some("Song"));
    }
}

#[test]
fn every_container_is_recognised_by_its_bytes_and_gives_its_tags() {
    let dir = dir();
    let signal = music(2, 20_000, 44_100);
    let kinds: [(&str, Container, &[&str]); 8] = [
        ("a.mp3", Container::Mp3, &["-c:a", "libmp3lame"]),
        ("a.wav", Container::Wav, &[]),
        ("b.wav", Container::Wav, &["-rf64", "always"]),
        ("a.flac", Container::Flac, &[]),
        ("a.ogg", Container::Ogg, &["-c:a", "libvorbis"]),
        ("a.m4a", Container::Mp4, &["-c:a", "aac"]),
        ("a.aiff", Container::Aiff, &["-write_id3v2", "1"]),
        ("a.aac", Container::Adts, &["-c:a", "aac", "-write_id3v2", "1"]),
    ];
    for (name, container, options) in kinds {
        let metadata =
            ["-metadata", "title=Süßes Lied", "-metadata", "artist=Wir", "-metadata", "album=Alles"];
        let path = made_by_ffmpeg(dir.path(), name, &signal, 44_100, &[&metadata, options].concat());
        let bytes = std::fs::read(path).expect("read");
        assert_eq!(sniff(&mut Cursor::new(&bytes)).expect(name).container, container, "{name}");
        let tags = tags::read(&mut Cursor::new(&bytes));
        println!("{name}: {tags:?}");
        let texts = [&tags.title, &tags.artist, &tags.album].map(Option::as_deref);
        assert_eq!(texts, [Some("Süßes Lied"), Some("Wir"), Some("Alles")], "{name}");
    }
}

#[test]
fn broken_tags_are_empty_tags() {
    let mut bytes = b"ID3\x04\0\0\0\0\x7f\x7f".to_vec();
    bytes.extend(b"TIT2\xff\xff\xff\xff\0\0".repeat(20));
    bytes.extend(encode(&music(1, 5000, 44_100), Format::mp3(Bitrate::Cbr(128)), 44_100));
    assert_eq!(tags::read(&mut Cursor::new(&bytes)), Tags::default());
    assert_eq!(open(bytes).and_then(|mut decoder| decoder.read_all()).expect("decoded")[0].len(), 5000);
    assert_eq!(tags::read(&mut Cursor::new(b"nothing at all")), Tags::default());
}

#[test]
fn a_compressed_tag_frame_is_not_unpacked() {
    // A deflate stream of one stored block that unpacks to a picture; a real bomb unpacks to gigabytes.
    let picture = [&b"\0image/jpeg\0\x03\0\xff\xd8\xff\xe0"[..], &[7; 64]].concat();
    let size = picture.len() as u16;
    let adler = picture.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    let mut packed = b"\x78\x01\x01".to_vec();
    packed.extend(size.to_le_bytes());
    packed.extend((!size).to_le_bytes());
    packed.extend(&picture);
    packed.extend((adler.1 << 16 | adler.0).to_be_bytes());
    let mut body = b"TIT2\0\0\0\x05\0\0\x03Song".to_vec();
    body.extend(b"APIC");
    body.extend([0, 0, 0, packed.len() as u8 + 4, 0, 0x09, 0, 0, 0, size as u8]);
    body.extend(packed);
    let mut bytes = b"ID3\x04\0\0\0\0".to_vec();
    bytes.extend([(body.len() >> 7) as u8, body.len() as u8 & 0x7f]);
    bytes.extend(body);
    bytes.extend(encode(&music(1, 5000, 44_100), Format::mp3(Bitrate::Cbr(128)), 44_100));
    let tags = tags::read(&mut Cursor::new(&bytes));
    assert_eq!((tags.title.as_deref(), tags.cover), (Some("Song"), None));
}

#[test]
fn other_containers_are_not_written_to() {
    let mut file = Cursor::new(b"OggS\0\x02 and so on".to_vec());
    let error = tags::write(&mut file, &titled("Song", 0)).expect_err("refused");
    assert_eq!(error.to_string(), "tags cannot be written into a ogg file");
    assert_eq!(file.get_ref(), b"OggS\0\x02 and so on");
}
