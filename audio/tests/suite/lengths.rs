//! What files say of their length without being decoded.

use std::fs::File;

use crate::support::{dir, made_by_ffmpeg, music};

#[test]
fn lengths_are_told_within_a_twentieth() {
    let dir = dir();
    let original = music(2, 44_100 * 24, 44_100);
    for (name, options) in [
        ("be16.aiff", &["-c:a", "pcm_s16be"][..]),
        ("le16.aifc", &["-c:a", "pcm_s16le", "-f", "aiff"]),
        ("low.ogg", &["-c:a", "libvorbis", "-q:a", "0"]),
        ("high.ogg", &["-c:a", "libvorbis", "-q:a", "9"]),
        ("aac.m4a", &["-c:a", "aac", "-b:a", "96k"]),
        ("first.m4a", &["-c:a", "aac", "-b:a", "256k", "-movflags", "faststart"]),
        ("alac.m4a", &["-c:a", "alac"]),
    ] {
        let mut file =
            File::open(made_by_ffmpeg(dir.path(), name, &original, 44_100, options)).expect("made");
        let sniffed = tags::sniff(&mut file).expect("a song");
        let length = tags::length_ms(&mut file, &sniffed).unwrap_or_else(|| panic!("{name} tells nothing"));
        assert!((22_800..25_200).contains(&length), "{name}: {length} ms");
    }
}
