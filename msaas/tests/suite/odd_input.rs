//! Input that is unusual and has to work.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use audio::Block;
use audio::measure::peak;

use crate::network::{Network, STEMS};
use crate::sound::{decode, encode_by_ffmpeg, ffmpeg, music, text, write_wav};
use crate::support::{Place, run, tree};

#[test]
fn an_hour_of_silence_at_8_kbit_a_second_becomes_an_hour_of_silence() {
    let place = Place::new(Network::Long);
    let [minute, song] = ["minute.mp3", "silence.mp3"].map(|name| place.path(name));
    let silence = "anullsrc=r=16000:cl=mono:d=60";
    ffmpeg(["-f", "lavfi", "-i", silence, "-b:a", "8k", "-write_xing", "0", text(&minute)]);
    ffmpeg(["-stream_loop", "58", "-i", text(&minute), "-c", "copy", text(&song)]);
    assert!(song.metadata().expect("made").len() < 3_700_000);
    let start = Instant::now();
    let options = ["--format", "flac", "--threads", "1", "--overlap", "0"];
    run(place.separate(options).arg(&song)).succeeds();
    // Half a minute on two free cores.
    assert!(start.elapsed() < Duration::from_mins(5), "{:?}", start.elapsed());
    let (rate, stem) = decode(&place.stem("silence", "vocals.flac"));
    let seconds = stem[0].len() as f64 / f64::from(rate);
    assert!((59.0 * 60.0..59.0 * 60.0 + 10.0).contains(&seconds), "{seconds} s");
    assert!(peak(&stem) <= 0.0);
}

#[test]
fn one_sample_becomes_stems_of_one_sample() {
    let place = Place::new(Network::Plain);
    for rate in [44_100, 48_000, 8_000] {
        let song = place.path(format!("{rate}.wav"));
        write_wav(&song, &[vec![0.5], vec![0.25]], rate);
        for format in ["mp3", "wav", "flac"] {
            let ran = run(place.separate(["--format", format]).arg(&song));
            let expected = if format == "mp3" && rate == 8_000 { 6 } else { 1 };
            for path in ran.succeeds() {
                assert_eq!(decode(Path::new(path)).1[0].len(), expected, "{path}");
            }
        }
    }
}

#[test]
fn the_extension_of_a_song_does_not_matter() {
    let place = Place::new(Network::Plain);
    let [song, mp3, flac] = ["song.wav", "real.mp3", "real.flac"].map(|name| place.path(name));
    write_wav(&song, &music(44_100, 30_011), 44_100);
    encode_by_ffmpeg(&song, &[], &mp3);
    encode_by_ffmpeg(&song, &[], &flac);
    let folder = place.path("album");
    std::fs::create_dir(&folder).expect("made");
    for (real, false_name) in [(&mp3, "a.flac"), (&flac, "b.txt"), (&song, "c")] {
        std::fs::copy(real, folder.join(false_name)).expect("copied");
    }
    let ran = run(place.separate(["--stems", "bass", "--format", "wav"]).arg(&folder));
    let expected = ["a", "b", "c"].map(|name| place.stem(name, "bass.wav").display().to_string());
    assert_eq!(ran.succeeds(), expected);
    for path in expected {
        assert_eq!(decode(Path::new(&path)).1[0].len(), 30_011);
    }
}

#[test]
fn silence_becomes_silent_stems() {
    let place = Place::new(Network::Complete);
    let song = place.path("silence.wav");
    write_wav(&song, &vec![vec![0.0; 70_001]; 2], 44_100);
    for (format, bits) in [("wav", &["--bits", "32"][..]), ("wav", &[]), ("flac", &[]), ("mp3", &[])] {
        let ran = run(place.separate(["--format", format]).args(bits).arg(&song));
        for path in ran.succeeds() {
            let (_, stem) = decode(Path::new(path));
            assert_eq!(stem[0].len(), 70_001);
            assert!(stem.iter().flatten().all(|sample| sample.is_finite()), "{path}");
            // What the network makes of nothing is restored to the loudness of nothing: 1e-8.
            assert!(peak(&stem) < 1e-6, "{path}: {}", peak(&stem));
        }
    }
}

#[test]
fn a_folder_of_a_thousand_files_is_separated_with_forty_open_at_most() {
    let place = Place::new(Network::Tiny);
    let album = place.path("album");
    std::fs::create_dir(&album).expect("made");
    let original = album.join("0000.wav");
    write_wav(&original, &music(8_000, 101), 8_000);
    for i in 1..1000 {
        std::fs::copy(&original, album.join(format!("{i:04}.wav"))).expect("copied");
    }
    let mut command = place.msaas_under(r#"ulimit -n 40; exec "$0" "$@""#);
    let ran = run(command.args(["separate", "--stems", "drums", "--format", "wav", "--quiet"]).arg(&album));
    let expected: Vec<_> =
        (0..1000).map(|i| place.stem(&format!("{i:04}"), "drums.wav").display().to_string()).collect();
    assert_eq!(ran.succeeds(), expected);
    assert_eq!(ran.stderr, "");
    let sizes = tree(&place.path("out"));
    assert_eq!(sizes.len(), 2001);
    let size = sizes[Path::new("small/0000/drums.wav")];
    assert!((0..1000).all(|i| sizes[Path::new(&format!("small/{i:04}/drums.wav"))] == size));
}

#[test]
fn songs_of_the_same_name_get_folders_of_their_own() {
    let place = Place::new(Network::Tiny);
    for folder in ["album", "album/live", "other"] {
        std::fs::create_dir(place.path(folder)).expect("made");
    }
    let song = place.path("album/song.wav");
    write_wav(&song, &music(44_100, 3_000), 44_100);
    encode_by_ffmpeg(&song, &[], &place.path("album/song.flac"));
    std::fs::copy(&song, place.path("album/live/song.wav")).expect("copied");
    std::fs::copy(&song, place.path("other/song.wav")).expect("copied");
    let mut command = place.separate(["--stems", "drums", "--format", "wav", "album"]);
    let ran = run(command.args(["other/song.wav", "other/song.wav"]));
    let folders = ["live/song", "song", "song.wav", "song.wav-2", "song.wav-3"];
    let expected = folders.map(|folder| place.stem(folder, "drums.wav").display().to_string());
    assert_eq!(ran.succeeds(), expected);
    assert!(expected.iter().all(|path| Path::new(path).is_file()));
}

#[test]
fn names_in_any_script_and_with_odd_signs_are_kept() {
    let place = Place::new(Network::Tiny);
    let names =
        ["Größe – ½", "夜に駆ける", "‏שלום", "🎵 \"quoted\" $HOME `x`", "two\nlines", "a.b.c", " ", ".", ".."];
    let songs: Vec<PathBuf> = names.iter().map(|name| place.path(format!("{name}.wav"))).collect();
    for song in &songs {
        write_wav(song, &music(8_000, 500), 8_000);
    }
    run(place.separate(["--stems", "drums", "--format", "flac"]).args(&songs)).succeeds();
    for name in names {
        // A folder cannot be called like these two.
        let folder = if name == "." || name == ".." { format!("{name}.wav") } else { name.to_owned() };
        assert!(place.stem(&folder, "drums.flac").is_file(), "{name}");
    }
    // A leading dash is no option behind two of them.
    write_wav(&place.path("-x.wav"), &music(8_000, 500), 8_000);
    run(&mut place.separate(["--stems", "drums", "--format", "flac", "--", "-x.wav"])).succeeds();
    assert!(place.stem("-x", "drums.flac").is_file());
}

#[test]
fn finished_songs_are_skipped_and_unfinished_ones_made_again() {
    let place = Place::new(Network::Tiny);
    let songs = ["done.wav", "half.wav"].map(|name| place.path(name));
    for song in &songs {
        write_wav(song, &music(8_000, 700), 8_000);
    }
    let again = || run(place.separate(["--format", "wav", "--skip-existing"]).args(&songs));
    assert_eq!(again().succeeds().len(), 8);
    let changed = |song: &str| -> Vec<SystemTime> {
        let time =
            |stem: &str| place.stem(song, &format!("{stem}.wav")).metadata().and_then(|m| m.modified());
        STEMS.iter().map(|stem| time(stem).expect("a stem")).collect()
    };
    let before = changed("done");
    std::fs::remove_file(place.stem("half", "bass.wav")).expect("removed");
    let ran = again();
    assert_eq!(
        ran.succeeds(),
        STEMS.map(|stem| place.stem("half", &format!("{stem}.wav")).display().to_string())
    );
    assert!(ran.stderr.contains("done.wav: already separated"), "{}", ran.stderr);
    assert_eq!(changed("done"), before);
}

#[test]
fn a_folder_that_links_to_itself_is_read_once() {
    let place = Place::new(Network::Tiny);
    let album = place.path("album");
    std::fs::create_dir(&album).expect("made");
    write_wav(&album.join("song.wav"), &music(8_000, 500), 8_000);
    std::os::unix::fs::symlink(".", album.join("again")).expect("linked");
    std::os::unix::fs::symlink("song.wav", album.join("link.wav")).expect("linked");
    let ran = run(place.separate(["--stems", "drums", "--format", "wav"]).arg(&album));
    let expected = ["link", "song"].map(|name| place.stem(name, "drums.wav").display().to_string());
    assert_eq!(ran.succeeds(), expected);
}

#[test]
fn a_pipe_among_the_songs_is_passed_by() {
    let place = Place::new(Network::Tiny);
    let album = place.path("album");
    std::fs::create_dir(&album).expect("made");
    write_wav(&album.join("song.wav"), &music(8_000, 500), 8_000);
    // Whoever opens it waits for a writer that never comes.
    assert!(std::process::Command::new("mkfifo").arg(album.join("pipe")).status().expect("run").success());
    let ran = run(place.separate(["--stems", "drums", "--format", "wav"]).arg(&album));
    assert_eq!(ran.succeeds(), [place.stem("song", "drums.wav").display().to_string()]);
}

#[test]
fn results_in_the_folder_of_the_songs_are_not_separated_again() {
    let place = Place::new(Network::Tiny);
    let album = place.path("album");
    std::fs::create_dir(&album).expect("made");
    write_wav(&album.join("song.wav"), &music(8_000, 500), 8_000);
    let out = album.join("separated");
    for _ in 0..2 {
        let ran = run(place.separate(["--stems", "drums", "--format", "wav", "--out"]).arg(&out).arg(&album));
        assert_eq!(ran.succeeds(), [out.join("small/song/drums.wav").display().to_string()]);
    }
}

#[test]
fn standard_output_is_the_paths_and_nothing_else() {
    let place = Place::new(Network::Tiny);
    let song = place.path("song.wav");
    let block: Block = music(8_000, 8_000);
    write_wav(&song, &block, 8_000);
    let expected = STEMS.map(|stem| place.stem("song", &format!("{stem}.flac")).display().to_string());
    for (options, talks) in [(&[][..], true), (&["--quiet"], false)] {
        let ran = run(place.separate(["--format", "flac"]).args(options).arg(&song));
        assert_eq!(ran.succeeds(), expected);
        assert_eq!(!ran.stderr.is_empty(), talks, "{}", ran.stderr);
    }
}
