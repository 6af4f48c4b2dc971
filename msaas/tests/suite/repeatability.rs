//! The same song gives the same bytes, however it is computed.

use std::path::PathBuf;

use crate::network::{Network, STEMS};
use crate::sound::{music, write_wav};
use crate::support::{Place, run};

/// Runs that must not differ from the first, which is given no option.
const RUNS: [&[&str]; 4] = [&[], &["-j", "1"], &["-j", "2"], &["--batch", "3"]];

/// Bytes of the stems that a run with these options writes.
fn stems(place: &Place, options: &[&str], more: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    let mut command = place.separate(options);
    let ran = run(command.args(more).arg(place.path("song.wav")));
    let read = |path: &str| (PathBuf::from(path), std::fs::read(path).expect("a stem"));
    let stems: Vec<_> = ran.succeeds().into_iter().map(read).collect();
    assert_eq!(stems.len(), STEMS.len());
    stems
}

fn runs_are_bit_identical(options: &[&str]) {
    let place = Place::new(Network::Complete);
    write_wav(&place.path("song.wav"), &music(48_000, 150_001), 48_000);
    let first = stems(&place, options, &[]);
    for more in RUNS {
        for ((path, bytes), (_, again)) in first.iter().zip(stems(&place, options, more)) {
            assert!(*bytes == again, "{} differs with {more:?}", path.display());
        }
    }
}

#[test]
fn mp3_stems_are_the_same_bytes_in_every_run() {
    runs_are_bit_identical(&["--format", "mp3"]);
}

#[test]
fn wav_stems_are_the_same_bytes_in_every_run() {
    runs_are_bit_identical(&["--format", "wav", "--bits", "32", "--clip-mode", "none"]);
}

#[test]
fn flac_stems_are_the_same_bytes_in_every_run() {
    runs_are_bit_identical(&["--format", "flac", "--clip-mode", "rescale"]);
}

#[test]
fn shifts_come_from_the_song_and_not_from_chance() {
    let place = Place::new(Network::Complete);
    write_wav(&place.path("song.wav"), &music(44_100, 50_000), 44_100);
    let shifted = ["--format", "wav", "--shifts", "2"];
    let first = stems(&place, &shifted, &[]);
    assert!(first == stems(&place, &shifted, &["-j", "1"]));
    assert!(first != stems(&place, &["--format", "wav"], &[]), "shifts change nothing");
    // Another song, other shifts: its bytes differ though its sound does not.
    let tags = tags::Tags { title: Some("Other".into()), ..tags::Tags::default() };
    let song = place.path("song.wav");
    let mut file = std::fs::File::options().read(true).write(true).open(song).expect("opened");
    tags::write(&mut file, &tags).expect("tagged");
    let sounds = |stems: &[(PathBuf, Vec<u8>)]| {
        stems.iter().map(|(_, bytes)| bytes[..100_000].to_vec()).collect::<Vec<_>>()
    };
    assert!(sounds(&first) != sounds(&stems(&place, &shifted, &[])), "every song has the same shifts");
}
