//! Input and circumstances that cannot work: one clear sentence, an exit code, and nothing half-written.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::network::Network;
use crate::sound::{encode_by_ffmpeg, music, write_wav};
use crate::support::{Place, Ran, ran, run};

/// Any user but root, for whom permissions do not bind.
const NOBODY: u32 = 65_534;

/// Checks that a run fails with this sentence about `song` and changes nothing in the place.
#[track_caller]
fn fails_on_song(place: &Place, mut command: Command, song: &Path, sentence: &str) {
    let before = place.content();
    let ran = run(command.arg(song));
    ran.fails_with(1, &[&format!("msaas: {}: {sentence}", song.display())]);
    assert_eq!(place.content(), before);
}

/// Two seconds of music.
fn song(place: &Place, name: &str) -> PathBuf {
    let path = place.path(name);
    write_wav(&path, &music(44_100, 88_200), 44_100);
    path
}

#[test]
fn what_is_no_audio_is_refused_in_a_sentence() {
    let place = Place::new(Network::Plain);
    let [whole, cut, tagged] = ["whole.mp3", "cut.mp3", "tagged.mp3"].map(|name| place.path(name));
    let options = ["-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"];
    encode_by_ffmpeg(&song(&place, "song.wav"), &options, &whole);
    let frames = std::fs::read(&whole).expect("made");
    std::fs::write(&cut, &frames[..200]).expect("written");
    std::fs::write(&tagged, [b"ID3\x04\0\0\0\0\0\x05hello", &frames[..200]].concat()).expect("written");
    for (name, content, sentence) in [
        ("empty.mp3", Some(""), "the file is empty"),
        ("text.mp3", Some("la la la\n"), UNKNOWN),
        ("riff.wav", Some("RIFF\x04\0\0\0WAVE"), "the wav file cannot be read: it ends before its audio"),
        ("cut.mp3", None, CUT),
        ("tagged.mp3", None, CUT),
        ("missing.mp3", None, "cannot open the file: No such file or directory (os error 2)"),
    ] {
        let path = place.path(name);
        if let Some(content) = content {
            std::fs::write(&path, content).expect("written");
        }
        fails_on_song(&place, place.separate::<&str>([]), &path, sentence);
    }
}

const UNKNOWN: &str =
    "the file is not audio in a known format (mp3, wav, flac, ogg vorbis, m4a, aac or aiff)";
const CUT: &str = "the file ends inside its first frame, 217 bytes before that frame's end";

#[test]
fn a_song_beyond_the_cap_is_refused() {
    let place = Place::new(Network::Plain);
    let song = song(&place, "song.wav");
    fails_on_song(
        &place,
        place.separate(["--max-seconds", "1.5"]),
        &song,
        "the file holds more than 1.5 s of audio",
    );
    run(place.separate(["--max-seconds", "2", "--stems", "drums"]).arg(&song)).succeeds();
}

#[test]
fn a_track_that_is_not_there_is_refused() {
    let place = Place::new(Network::Plain);
    let song = song(&place, "song.wav");
    let sentence = "there is no audio track 1: the file has 1, counted from 0";
    fails_on_song(&place, place.separate(["--track", "1"]), &song, sentence);
}

#[test]
fn a_song_that_may_not_be_read_is_refused() {
    let place = Place::new(Network::Plain);
    let song = song(&place, "song.wav");
    mode(&song, 0o000);
    let command = without_privileges(&place);
    fails_on_song(&place, command, &song, "cannot open the file: Permission denied (os error 13)");
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let place = Place::new(Network::Plain);
    let song = song(&place, "song.wav");
    let out = place.path("out");
    std::fs::create_dir(&out).expect("made");
    mode(&out, 0o555);
    let sentence = format!(
        "cannot make the folder {}: Permission denied (os error 13)",
        out.join("small/song").display()
    );
    fails_on_song(&place, without_privileges(&place), &song, &sentence);
    let folder = out.join("small/song");
    std::fs::create_dir_all(&folder).expect("made");
    mode(&folder, 0o555);
    let before = place.content();
    let ran = run(without_privileges(&place).arg(&song));
    let stem = folder.join("drums.mp3");
    let sentence = format!("msaas: {}: cannot write {}: ", song.display(), stem.display());
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{ran:?}");
    assert!(ran.stderr.starts_with(&sentence) && ran.stderr.contains("Permission denied"), "{ran:?}");
    assert_eq!(place.content(), before);
}

#[test]
fn a_file_in_the_place_of_the_results_is_named() {
    let place = Place::new(Network::Plain);
    let song = song(&place, "song.wav");
    std::fs::write(place.path("out"), "here already").expect("written");
    let sentence = format!(
        "cannot make the folder {}: Not a directory (os error 20)",
        place.path("out/small/song").display()
    );
    fails_on_song(&place, place.separate::<&str>([]), &song, &sentence);
}

#[test]
fn a_folder_in_the_place_of_a_stem_is_named_and_the_other_stems_are_not_written() {
    let place = Place::new(Network::Plain);
    let song = song(&place, "song.wav");
    let taken = place.stem("song", "vocals.mp3");
    std::fs::create_dir_all(&taken).expect("made");
    let sentence = format!("cannot write {}: there is a folder in its place", taken.display());
    fails_on_song(&place, place.separate::<&str>([]), &song, &sentence);
}

/// The largest file that a process may write stands for the space that is left; both end in the same way.
const LIMITED: &str = r#"trap "" XFSZ; ulimit -f "$1"; shift; exec "$0" "$@""#;

#[test]
fn a_full_disk_is_named_and_what_was_there_stays() {
    let place = Place::new(Network::Plain);
    let song = song(&place, "song.wav");
    let wav = ["separate", "--quiet", "--format", "wav"];
    let full = |blocks: &str, more: &[&str]| {
        let mut command = place.msaas_under(LIMITED);
        run(command.arg(blocks).args(wav).args(more).arg(&song))
    };
    let is_full = |ran: &Ran, dir: PathBuf| {
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.lines().count()), (Some(1), "", 1), "{ran:?}");
        let start = format!("msaas: {}: the disk is full: ", song.display());
        let end = format!(" MiB are free in {}\n", dir.display());
        assert!(ran.stderr.starts_with(&start) && ran.stderr.ends_with(&end), "{ran:?}");
    };
    let before = place.content();
    is_full(&full("256", &[]), place.path("out/small/song"));
    assert_eq!(place.content(), before);
    // With all stems of an earlier run in place.
    run(place.separate(&wav[2..]).arg(&song)).succeeds();
    let before = place.content();
    is_full(&full("256", &["--bits", "32"]), place.path("out/small/song"));
    assert_eq!(place.content(), before);
}

#[test]
fn a_full_temporary_folder_is_named() {
    let place = Place::new(Network::Plain);
    let path = place.path("long.wav");
    // Longer than what is kept in memory.
    write_wav(&path, &vec![vec![0.0; 60 * 44_100]; 2], 44_100);
    let before = place.content();
    let mut command = place.msaas_under(LIMITED);
    let ran = run(command.args(["8192", "separate"]).arg(&path));
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{ran:?}");
    assert!(ran.stderr.starts_with(&format!("msaas: {}: the disk is full: ", path.display())), "{ran:?}");
    assert!(ran.stderr.ends_with(&format!(" MiB are free in {}\n", place.path("temp").display())), "{ran:?}");
    assert_eq!(place.content(), before);
}

#[test]
fn options_that_cannot_be_met_are_refused_in_a_sentence() {
    let place = Place::new(Network::Plain);
    let song = song(&place, "song.wav");
    let before = place.content();
    for (options, sentence) in [
        (&["--stems", "flute"][..], "model `small` has no stem `flute`, it has drums, bass, other, vocals"),
        (
            &["--two-stems", "flute"],
            "there is no stem \"flute\" in this model, it has drums, bass, other, vocals",
        ),
        (
            &["--mix", "duo:flute=1"],
            "there is no stem \"flute\" in this model, it has drums, bass, other, vocals",
        ),
        (&["--mix", "duo"], "\"duo\" is no mix: [NAME:]STEM=GAIN,... is possible"),
        (&["--mix", "bass=101"], "\"101\" in \"bass=101\" is no gain: -100 to 100 is possible"),
        (&["--mix", "bass=0", "--mix", "drums=0"], "mix is asked for twice"),
        (&["--stems", "none"], "nothing is asked for: --stems none needs a --mix"),
        (&["--segment", "0.6"], "a segment of 0.6 s is impossible: this model takes up to 0.5 s"),
        (
            &["--filename", "../{stem}.{ext}"],
            "--filename ../{stem}.{ext}: \"../stem.mp3\" is no file in the folder of the results",
        ),
        (
            &["--filename", "{track}.{ext}"],
            "--filename {track}.{ext} gives two stems the same file: it needs {stem}",
        ),
        (
            &["--filename", "{song}"],
            "--filename {song}: there is no {song}, only {track}, {trackext}, {stem}, {ext}",
        ),
        (
            &["-o", "-"],
            "standard output takes one result of one song: choose it by --stems, as in --stems vocals",
        ),
        (&["-o", "-", "--json"], "--json and a result cannot both go to standard output"),
        (&["--stems", "bass,bass"], "bass is asked for twice"),
        (
            &["--model", "nonsense"],
            "unknown model `nonsense`, known are htdemucs, htdemucs_ft, htdemucs_6s, small",
        ),
        (&["--model", "htdemucs"], "weights 955717e8 are not installed and cannot be fetched offline"),
        (&["--format", "flac", "--bits", "32"], "FLAC files have 16 or 24 bits, not 32"),
        (&["--bits", "16"], "that option belongs to WAV and FLAC files"),
        (&["--format", "wav", "--bitrate", "320"], "that option belongs to MP3 files"),
        (
            &["--bitrate", "321"],
            "cannot encode mp3: 321 kbit/s is none of the bit rates, which are 64, 80, 96, 112, 128, 160, 192, 224, 256, 320",
        ),
        (&["--rate", "22050"], "mp3 has no sample rate of 22050 hz"),
        (&["--overlap", "1"], "overlap is 1, 0 to 0.99 is possible"),
        (&["--max-seconds", "nan"], "--max-seconds has to be above 0"),
        (&["--device", "warp"], "\"warp\" names no device: auto, cpu, cuda, cuda:N and metal are possible"),
        (&["--device", "cpu:x"], "\"cpu:x\" names no device: auto, cpu, cuda, cuda:N and metal are possible"),
    ] {
        let ran = run(place.separate(options).arg(&song));
        ran.fails_with(1, &[&format!("msaas: {sentence}")]);
    }
    for options in [
        &["--two-stems", "vocals", "--stems", "drums"][..],
        &["--bitrate", "320", "--vbr", "2"],
        &["--mp3", "--flac"],
        &["--shifts", "21"],
        &["--batch", "257"],
        &["--threads", "100000"],
        &["--overlap", "much"],
        &["--format", "aiff"],
        &["--no-such-option"],
    ] {
        let ran = run(place.separate(options).arg(&song));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{options:?}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    assert_eq!(run(&mut place.separate::<&str>([])).code, Some(2));
    assert_eq!(place.content(), before);
}

#[test]
fn damaged_weights_are_never_used() {
    let place = Place::new(Network::Plain);
    let song = song(&place, "song.wav");
    let weights = place.path("models/small.safetensors");
    let mut bytes = std::fs::read(&weights).expect("installed");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, &bytes).expect("written");
    let before = place.content();
    let sentence = format!(
        "msaas: {} is damaged: its checksum is not that of the file that was installed \
         (values have changed); fetch or import the model again",
        weights.display()
    );
    run(place.separate::<&str>([]).arg(&song)).fails_with(1, &[&sentence]);
    run(place.msaas().args(["models", "verify", "small"])).fails_with(1, &[&sentence]);
    let other = place.path("other.safetensors");
    std::fs::write(&other, &bytes[..1000]).expect("written");
    let ran = run(place.msaas().args(["models", "import", "--name", "other"]).arg(&other));
    std::fs::remove_file(other).expect("removed");
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{ran:?}");
    assert!(
        ran.stderr.starts_with("msaas: damaged safetensors checkpoint: it is cut off inside its header"),
        "{ran:?}"
    );
    assert_eq!(place.content(), before);
    assert!(!place.path("models/other.json").exists());
}

#[test]
fn a_folder_without_songs_is_named() {
    let place = Place::new(Network::Plain);
    let folder = place.path("folder");
    std::fs::create_dir(&folder).expect("made");
    std::fs::write(folder.join("notes.txt"), "nothing to hear").expect("written");
    let ran = run(place.separate::<&str>([]).arg(&folder));
    ran.fails_with(1, &[&format!("msaas: there is no audio file in {}", folder.display())]);
}

#[test]
fn bad_songs_do_not_keep_the_others_from_being_separated() {
    let place = Place::new(Network::Tiny);
    let songs = ["a.wav", "empty.wav", "b.wav", "missing.wav", "c.wav"].map(|name| place.path(name));
    for song in [&songs[0], &songs[2], &songs[4]] {
        write_wav(song, &music(8_000, 1_000), 8_000);
    }
    std::fs::write(&songs[1], "").expect("written");
    let ran = run(place.separate(["--quiet", "--stems", "drums", "--format", "wav"]).args(&songs));
    assert_eq!(ran.code, Some(1));
    let stems = ["a", "b", "c"].map(|name| place.stem(name, "drums.wav").display().to_string());
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), stems);
    let sentences = [
        format!("msaas: {}: the file is empty", songs[1].display()),
        format!(
            "msaas: {}: cannot open the file: No such file or directory (os error 2)",
            songs[3].display()
        ),
        "msaas: 2 of 5 songs could not be separated".to_owned(),
    ];
    assert_eq!(ran.stderr.lines().collect::<Vec<_>>(), sentences);
    for name in ["empty", "missing"] {
        assert!(!place.path("out").join(name).exists(), "{name}");
    }
}

#[test]
fn an_interrupted_run_leaves_nothing_and_says_so() {
    for signal in ["INT", "TERM"] {
        let place = Place::new(Network::Plain);
        let path = place.path("song.wav");
        write_wav(&path, &music(44_100, 20 * 44_100), 44_100);
        let before = place.content();
        let mut command = place.separate(["--format", "wav"]);
        // A second song must not be begun.
        command.args([&path, &path]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("20 %") {
            line.clear();
            assert!(lines.read_line(&mut line).expect("utf-8") > 0, "it ended early");
        }
        let id = child.id().to_string();
        assert!(
            Command::new("sh")
                .args(["-c", r#"kill -"$0" "$1""#, signal, &id])
                .status()
                .expect("sent")
                .success()
        );
        let mut rest = String::new();
        lines.read_to_string(&mut rest).expect("utf-8");
        let mut ended = ran(child.wait_with_output().expect("ended"));
        ended.stderr = rest;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""), "{ended:?}");
        let last = format!("msaas: {}: cannot separate the song: separation canceled", path.display());
        assert_eq!(ended.stderr.lines().last(), Some(last.as_str()));
        assert_eq!(place.content(), before);
    }
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("changed");
}

/// `msaas separate` as a user whom permissions bind: root's own tests drop to another one, with a copy of the
/// program that this one can reach.
fn without_privileges(place: &Place) -> Command {
    let root = place.path("");
    if root.metadata().expect("a folder").uid() != 0 {
        return place.separate::<&str>([]);
    }
    let program = place.path("models/msaas");
    std::fs::copy(env!("CARGO_BIN_EXE_msaas"), &program).expect("copied");
    for path in [&root, &program, &place.path("models")] {
        mode(path, 0o755);
    }
    let mut command = place.prepare(Command::new(program));
    command.arg("separate").uid(NOBODY).gid(NOBODY);
    command
}
