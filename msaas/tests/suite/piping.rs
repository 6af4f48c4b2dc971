//! Standard input and standard output instead of files.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::network::Network;
use crate::sound::{decode, music, write_wav};
use crate::support::{Place, run};

/// A place with two seconds of music at 8 kHz.
fn place() -> Place {
    let place = Place::new(Network::Tiny);
    write_wav(&place.path("song.wav"), &music(8_000, 16_001), 8_000);
    place
}

/// The command with the song as its standard input.
fn fed(place: &Place, mut command: Command) -> Command {
    command.stdin(File::open(place.path("song.wav")).expect("opened"));
    command
}

#[test]
fn a_song_comes_in_and_a_stem_goes_out_without_a_file() {
    let place = place();
    run(&mut place.separate(["--format", "wav", "song.wav"])).succeeds();
    let before = place.content();
    for (format, magic) in [("wav", &b"RIFF"[..]), ("flac", b"fLaC"), ("mp3", b"ID3")] {
        let command = place.separate(["--stems", "vocals", "--format", format, "-o", "-", "-"]);
        let output = fed(&place, command).output().expect("ran");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.starts_with(magic), "{format}");
        assert_eq!(place.content(), before);
        if format == "wav" {
            // The size in the header is that of what came.
            let size = u32::from_le_bytes(output.stdout[4..8].try_into().expect("four bytes"));
            assert_eq!(size as usize + 8, output.stdout.len());
            let piped = place.path("piped.wav");
            std::fs::write(&piped, output.stdout).expect("written");
            assert_eq!(decode(&piped), decode(&place.stem("song", "vocals.wav")));
            assert_eq!(tags::read_path(&piped).title.as_deref(), Some("stdin (vocals)"));
            std::fs::remove_file(piped).expect("removed");
        }
    }
}

#[test]
fn standard_input_becomes_files_of_its_own_name() {
    let place = place();
    let ran = run(&mut fed(&place, place.separate(["--stems", "bass", "-"])));
    assert_eq!(ran.succeeds(), [place.stem("stdin", "bass.mp3").display().to_string()]);
    let ran = run(&mut fed(&place, place.separate(["-", "-"])));
    ran.fails_with(1, &["msaas: standard input is one song"]);
    let mut empty = place.separate(["--quiet", "-"]);
    run(empty.stdin(Stdio::null())).fails_with(1, &["msaas: standard input: the file is empty"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = place();
    let before = place.content();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = place.separate(["--stems", "vocals", "--float32", "--quiet", "-o", "-"]);
    let output = command.arg("song.wav").stdout(writer).stderr(Stdio::piped()).output().expect("ran");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(place.content(), before);
}

#[test]
fn a_file_called_like_standard_input_can_be_named() {
    let place = place();
    std::fs::rename(place.path("song.wav"), place.path("-")).expect("renamed");
    let ran = run(&mut place.separate(["--stems", "bass", "./-"]));
    assert!(Path::new(ran.succeeds()[0]).is_file());
}
