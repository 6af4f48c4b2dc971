//! What a song says about itself is in its stems.

use std::path::Path;

use tags::{Cover, Tags};

use crate::network::Network;
use crate::sound::{decode, encode_by_ffmpeg, music, write_wav};
use crate::support::{Place, run};

/// A cover of a given size, which no encoder has seen.
fn cover(size_bytes: usize) -> Option<Cover> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0];
    bytes.extend((4..size_bytes).map(|i| (i * 31 + i / 251) as u8));
    Cover::new(bytes)
}

/// An MP3 of a second with these tags.
fn tagged_song(place: &Place, path: &Path, tags: &Tags) {
    let source = place.path("source.wav");
    write_wav(&source, &music(44_100, 44_100), 44_100);
    encode_by_ffmpeg(&source, &["-b:a", "128k", "-map_metadata", "-1"], path);
    let mut file = std::fs::File::options().read(true).write(true).open(path).expect("opened");
    tags::write(&mut file, tags).expect("tagged");
}

fn separate(place: &Place, song: &Path, format: &str) {
    run(place.separate(["--stems", "vocals", "--format", format]).arg(song)).succeeds();
}

#[test]
fn stems_carry_the_tags_and_the_cover_of_the_song_with_their_own_name() {
    let place = Place::new(Network::Plain);
    let song = place.path("song.mp3");
    let tags = Tags {
        title: Some("Lied über den Fluß".into()),
        artist: Some("Die Reiher".into()),
        album: Some("川の歌".into()),
        cover: cover(50_000),
    };
    tagged_song(&place, &song, &tags);
    let expected = Tags { title: Some("Lied über den Fluß (vocals)".into()), ..tags };
    for format in ["mp3", "wav", "flac"] {
        separate(&place, &song, format);
        assert_eq!(tags::read_path(&place.stem("song", &format!("vocals.{format}"))), expected, "{format}");
    }
}

#[test]
fn a_song_without_a_title_is_called_like_its_file() {
    let place = Place::new(Network::Plain);
    let song = place.path("No Title.mp3");
    tagged_song(&place, &song, &Tags::default());
    separate(&place, &song, "mp3");
    let found = tags::read_path(&place.stem("No Title", "vocals.mp3"));
    assert_eq!(found, Tags { title: Some("No Title (vocals)".into()), ..Tags::default() });
}

#[test]
fn a_cover_of_20_mib_comes_along_where_the_format_has_room_for_it() {
    let place = Place::new(Network::Plain);
    let song = place.path("song.mp3");
    let tags = Tags { title: Some("Song".into()), cover: cover(20 << 20), ..Tags::default() };
    tagged_song(&place, &song, &tags);
    let (_, held) = decode(&song);
    assert_eq!(held[0].len(), 44_100);
    for (format, fits) in [("mp3", true), ("wav", true), ("flac", false)] {
        separate(&place, &song, format);
        let stem = place.stem("song", &format!("vocals.{format}"));
        let found = tags::read_path(&stem);
        assert_eq!(found.title.as_deref(), Some("Song (vocals)"), "{format}");
        assert_eq!(found.cover, tags.cover.clone().filter(|_| fits), "{format}");
        assert_eq!(decode(&stem).1[0].len(), 44_100, "{format}");
    }
}
