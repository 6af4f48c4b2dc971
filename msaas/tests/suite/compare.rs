//! `msaas compare`: figures of two files, and of two folders of stems.

use audio::Block;
use serde_json::Value;

use crate::network::Network;
use crate::sound::{encode_by_ffmpeg, music, write_wav};
use crate::support::{Place, Ran, run};

const RATE: u32 = 8_000;
const FRAMES: usize = 20_000;

fn place() -> Place {
    let place = Place::new(Network::Tiny);
    write_wav(&place.path("a.wav"), &music(RATE, FRAMES), RATE);
    place
}

fn changed(change: impl Fn(f32) -> f32) -> Block {
    music(RATE, FRAMES).iter().map(|plane| plane.iter().map(|sample| change(*sample)).collect()).collect()
}

fn compare(place: &Place, args: &[&str]) -> Ran {
    run(place.msaas().arg("compare").args(args))
}

/// The cells of the table by the first of each line, and the heading.
fn table(ran: &Ran) -> Vec<Vec<&str>> {
    ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect()
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).expect("one object")
}

fn near(value: &Value, wanted: f64, tolerance: f64) {
    let value = value.as_f64().expect("a number");
    assert!((value - wanted).abs() < tolerance, "{value} instead of {wanted}");
}

#[test]
fn a_softer_copy_differs_by_its_gain_alone() {
    let place = place();
    write_wav(&place.path("b.wav"), &changed(|sample| -0.5 * sample), RATE);
    let ran = compare(&place, &["a.wav", "b.wav"]);
    ran.succeeds();
    let lines = table(&ran);
    let heading = ["name", "frames", "lag", "gain", "gain", "dB", "max", "diff", "SNR", "dB", "SDR", "dB"];
    assert_eq!(lines[0], heading);
    assert_eq!((lines.len(), &lines[1][..2]), (2, &["a", "20000"][..]));
    assert_eq!((lines[1][3], lines[1][4], lines[1][7]), ("-0.50000", "-6.021", "-3.52"));

    write_wav(&place.path("c.wav"), &changed(|sample| 0.5 * sample), RATE);
    let ran = compare(&place, &["--json", "--aligned", "a.wav", "c.wav"]);
    ran.succeeds();
    let told = json(&ran);
    let (pair, music) = (&told["pairs"][0], music(RATE, FRAMES));
    assert_eq!((&pair["name"], &pair["frames"], &pair["rate"]), (&"a".into(), &FRAMES.into(), &RATE.into()));
    assert_eq!((&pair["lag_frames"], &told["all"]), (&0.into(), &Value::Null));
    near(&pair["gain"], 0.5, 1e-9);
    near(&pair["gain_db"], 20.0 * 0.5f64.log10(), 1e-9);
    near(&pair["sdr_db"], 20.0 * 2f64.log10(), 1e-9);
    near(&pair["max_difference"], 0.5 * f64::from(audio::measure::peak(&music)), 1e-9);
    assert!(pair["snr_db"].as_f64().is_none_or(|snr| snr > 140.0), "{pair}");
}

#[test]
fn equal_recordings_have_no_end_of_decibels() {
    let place = place();
    let ran = compare(&place, &["--aligned", "--min-sdr", "1000", "a.wav", "a.wav"]);
    assert_eq!(ran.succeeds()[1], "a          20000      0   1.00000     0.000    0.00e0      inf      inf");
    let told = json(&compare(&place, &["--json", "a.wav", "a.wav"]));
    assert_eq!((&told["pairs"][0]["sdr_db"], &told["pairs"][0]["snr_db"]), (&Value::Null, &Value::Null));
    near(&told["pairs"][0]["max_difference"], 0.0, 1e-12);
}

#[test]
fn a_late_and_longer_copy_is_found_out() {
    let place = place();
    let late: Block = music(RATE, FRAMES).iter().map(|plane| [&[0.0; 7][..], plane].concat()).collect();
    write_wav(&place.path("late.wav"), &late, RATE);
    let ran = compare(&place, &["a.wav", "late.wav"]);
    assert_eq!(ran.succeeds()[2], "a: the reference has 20000 frames, not 20007");
    assert_eq!(table(&ran)[1][2], "7");
    let ran = compare(&place, &["--aligned", "--min-sdr", "90", "a.wav", "late.wav"]);
    let sentence = "msaas: the lengths differ; the recordings are not aligned; the ratio is below 90 dB\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), sentence));
}

#[test]
fn several_estimates_are_judged_by_their_sum() {
    let place = place();
    write_wav(&place.path("part.wav"), &changed(|sample| 0.25 * sample), RATE);
    write_wav(&place.path("rest.wav"), &changed(|sample| 0.75 * sample), RATE);
    compare(&place, &["--aligned", "--min-sdr", "120", "a.wav", "part.wav", "rest.wav"]).succeeds();
    assert_eq!(compare(&place, &["--min-sdr", "120", "a.wav", "rest.wav"]).code, Some(1));
}

#[test]
fn folders_are_matched_by_name_whatever_the_format() {
    let place = place();
    for dir in ["truth/deep", "ours/deep", "flat"] {
        std::fs::create_dir_all(place.path(dir)).expect("made");
    }
    write_wav(&place.path("truth/drums.wav"), &changed(|sample| sample), RATE);
    write_wav(&place.path("truth/deep/bass.wav"), &changed(|sample| 0.5 * sample), RATE);
    encode_by_ffmpeg(&place.path("truth/drums.wav"), &["-sample_fmt", "s32"], &place.path("ours/drums.flac"));
    write_wav(&place.path("ours/deep/bass.wav"), &changed(|sample| 0.4 * sample), RATE);
    std::fs::write(place.path("ours/notes.txt"), "no audio").expect("written");
    let told = json(&compare(&place, &["--json", "truth", "ours"]));
    let names: Vec<&Value> =
        told["pairs"].as_array().expect("pairs").iter().map(|pair| &pair["name"]).collect();
    assert_eq!(names, ["deep/bass", "drums"]);
    near(&told["pairs"][0]["sdr_db"], 20.0 * 5f64.log10(), 1e-4);
    // All errors are in the bass, a fifth of it; it has a fifth of the energy of both.
    near(&told["all"]["sdr_db"], 10.0 * (1.25f64 / 0.01).log10(), 1e-3);
    assert_eq!(told["all"]["frames"], 2 * FRAMES);
    let ran = compare(&place, &["truth", "ours"]);
    assert_eq!(ran.succeeds().len(), 4);
    assert!(ran.stdout.lines().last().is_some_and(|line| line.starts_with("all ")), "{}", ran.stdout);

    for (from, to) in [("ours/drums.flac", "flat/drums.flac"), ("ours/deep/bass.wav", "flat/bass.wav")] {
        std::fs::copy(place.path(from), place.path(to)).expect("copied");
    }
    std::fs::remove_file(place.path("truth/drums.wav")).expect("removed");
    let told = json(&compare(&place, &["--json", "truth", "flat"]));
    assert_eq!(told["pairs"][0]["name"], "bass");
    assert_eq!(told["missing"]["in_estimate"], serde_json::json!(["drums"]));
}

#[test]
fn what_has_no_counterpart_is_named() {
    let place = place();
    for (dir, names) in [("truth", ["drums", "bass", "vocals"]), ("ours", ["drums", "piano", "guitar"])] {
        std::fs::create_dir(place.path(dir)).expect("made");
        for name in names {
            std::fs::copy(place.path("a.wav"), place.path(format!("{dir}/{name}.wav"))).expect("copied");
        }
    }
    let ran = compare(&place, &["truth", "ours"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(1), 3));
    assert_eq!(ran.stderr, "msaas: ours has no bass, vocals; truth has no guitar, piano\n");
    let told = json(&compare(&place, &["--json", "truth", "ours"]));
    assert_eq!(told["missing"]["in_reference"], serde_json::json!(["bass", "vocals"]));
    let ran = compare(&place, &["--min-sdr", "1", "ours", "ours"]);
    ran.succeeds();
}

#[test]
fn what_cannot_be_compared_is_refused_in_a_sentence() {
    let place = place();
    for dir in ["truth", "other", "twice", "empty"] {
        std::fs::create_dir(place.path(dir)).expect("made");
    }
    for name in ["truth/drums.wav", "other/bass.wav", "twice/drums.wav", "twice/drums.copy"] {
        std::fs::copy(place.path("a.wav"), place.path(name)).expect("copied");
    }
    write_wav(&place.path("b.wav"), &music(11_025, 500), 11_025);
    for (args, sentence) in [
        (&["a.wav", "truth"][..], "a file can only be compared with files, and a folder with a folder"),
        (&["truth", "a.wav"], "a file can only be compared with files, and a folder with a folder"),
        (&["truth", "other", "twice"], "only files have a sum; folders are compared two at a time"),
        (&["truth", "other"], "no file in truth has the name of one in other"),
        (&["truth", "twice"], "twice/drums.copy and twice/drums.wav have the same name"),
        (&["truth", "empty"], "there is no audio file in empty"),
        (&["a.wav", "none.wav"], "none.wav: cannot open the file: No such file or directory (os error 2)"),
        (&["a.wav", "b.wav"], "a.wav has 8000 Hz and b.wav has 11025 Hz"),
    ] {
        compare(&place, args).fails_with(1, &[&format!("msaas: {sentence}")]);
    }
}
