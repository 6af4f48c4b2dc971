//! Which results there are, of what they are made, and where they lie.

use std::path::{Path, PathBuf};

use audio::Block;
use audio::measure::sdr_db;

use crate::network::{Network, STEMS};
use crate::sound::{decode, music, write_wav};
use crate::support::{Place, run};

/// A place with half a second of music at 8 kHz.
fn place() -> (Place, PathBuf, Block) {
    let place = Place::new(Network::Tiny);
    let (song, music) = (place.path("song.wav"), music(8_000, 4_001));
    write_wav(&song, &music, 8_000);
    (place, song, music)
}

/// Names of the results with their samples, nothing of which was changed after the separation.
fn separate(place: &Place, song: &Path, options: &[&str]) -> Vec<(String, Block)> {
    let ran = run(place.separate(["--float32", "--clip-mode", "none"]).args(options).arg(song));
    let name = |path: &str| Path::new(path).file_stem().expect("a name").to_string_lossy().into_owned();
    ran.succeeds().into_iter().map(|path| (name(path), decode(Path::new(path)).1)).collect()
}

fn names(results: &[(String, Block)]) -> Vec<&str> {
    results.iter().map(|(name, _)| name.as_str()).collect()
}

/// Sum of results with gains.
fn weighted(results: &[(String, Block)], gains: &[f32]) -> Block {
    let mut sum = vec![vec![0.0; results[0].1[0].len()]; 2];
    for ((_, block), gain) in results.iter().zip(gains) {
        for (sum, channel) in sum.iter_mut().zip(block) {
            sum.iter_mut().zip(channel).for_each(|(sum, sample)| *sum += gain * sample);
        }
    }
    sum
}

#[test]
fn a_mix_is_the_weighted_sum_of_the_stems_and_lies_beside_them() {
    let (place, song, music) = place();
    let mixes = ["--mix", "vocals=0,drums=1.5", "--mix", "x:vocals=-2,other=0,bass=0,drums=0,mixture=0.5"];
    let results = separate(&place, &song, &mixes);
    assert_eq!(names(&results), ["drums", "bass", "other", "vocals", "mix", "x"]);
    assert!(sdr_db(&weighted(&results, &[1.5, 1.0, 1.0, 0.0]), &results[4].1) > 120.0);
    let original = [("song".to_owned(), music), results[3].clone()];
    assert!(sdr_db(&weighted(&original, &[0.5, -2.0]), &results[5].1) > 120.0);
    let some = separate(&place, &song, &["--stems", "bass", "--mix", "karaoke:vocals=0"]);
    assert_eq!(names(&some), ["bass", "karaoke"]);
    let alone = separate(&place, &song, &["--stems", "none", "--mix", "vocals=0,drums=1.5"]);
    assert_eq!(names(&alone), ["mix"]);
    assert_eq!(alone[0].1, results[4].1);
}

#[test]
fn everything_else_is_left_out_added_or_subtracted() {
    let (place, song, music) = place();
    let all = separate(&place, &song, &[]);
    let two = |method: &[&str]| separate(&place, &song, &[&["--two-stems", "vocals"], method].concat());
    let none = two(&["--other-method", "none"]);
    assert_eq!(none, [all[3].clone()]);
    let add = two(&[]);
    assert_eq!(names(&add), ["vocals", "no_vocals"]);
    assert_eq!(add, two(&["--other-method", "add"]));
    assert!(sdr_db(&weighted(&all, &[1.0, 1.0, 1.0]), &add[1].1) > 120.0);
    let minus = two(&["--other-method", "minus"]);
    assert_eq!(minus[0], all[3]);
    let original = [("song".to_owned(), music), all[3].clone()];
    assert!(sdr_db(&weighted(&original, &[1.0, -1.0]), &minus[1].1) > 120.0);
}

#[test]
fn a_template_says_where_results_lie() {
    let (place, song, _) = place();
    let options = ["--flac", "--filename", "{stem} of/{track}.{trackext}.{ext}"];
    let ran = run(place.separate(options).arg(&song));
    let expected =
        STEMS.map(|stem| place.path(format!("out/small/{stem} of/song.wav.flac")).display().to_string());
    assert_eq!(ran.succeeds(), expected);
    assert!(expected.iter().all(|path| Path::new(path).is_file()));
    // Another song of that name gets other files; a template without the name cannot tell them apart.
    std::fs::create_dir(place.path("other")).expect("made");
    std::fs::copy(&song, place.path("other/song.wav")).expect("copied");
    let songs = [song, place.path("other/song.wav")];
    let ran = run(place.separate(["--stems", "bass", "--filename", "{track}.{ext}"]).args(&songs));
    let expected = ["song", "song.wav"].map(|name| place.path(format!("out/small/{name}.mp3")));
    assert_eq!(ran.succeeds(), expected.map(|path| path.display().to_string()));
    let ran = run(place.separate(["--filename", "{stem}.{ext}"]).args(&songs));
    ran.fails_with(1, &["msaas: --filename {stem}.{ext} gives two songs the same files: it needs {track}"]);
}

#[test]
fn segments_of_the_longest_kind_are_the_default_and_shorter_ones_keep_the_length() {
    let (place, song, _) = place();
    let whole = separate(&place, &song, &[]);
    assert_eq!(whole, separate(&place, &song, &["--segment", "0.037375"]));
    let short = separate(&place, &song, &["--segment", "0.02"]);
    assert!(short != whole);
    assert!(short.iter().all(|(_, block)| block[0].len() == 4_001));
}

#[test]
fn the_words_of_demucs_are_understood() {
    let (place, song, _) = place();
    let options =
        ["-n", "small", "-d", "cpu", "-j", "1", "--mp3", "--mp3-bitrate", "192", "--clip-mode", "rescale"];
    let ran = run(place.separate(options).arg(&song));
    assert_eq!(
        ran.succeeds(),
        STEMS.map(|stem| place.stem("song", &format!("{stem}.mp3")).display().to_string())
    );
    let ran =
        run(place.separate(["--name", "small", "--threads", "2", "--clip", "clamp", "--flac"]).arg(&song));
    assert_eq!(ran.succeeds().len(), STEMS.len());
}
