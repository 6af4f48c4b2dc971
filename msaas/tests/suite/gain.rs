//! Samples above full scale: which gain brings them back, and what stays as it is.

use audio::Block;
use audio::measure::{peak, sdr_db};

use crate::network::{Network, STEMS};
use crate::sound::{decode, music, write_wav};
use crate::support::{Place, run};

/// A song at 8 kHz with samples up to about `peak`.
fn song(place: &Place, loudest: f32) -> Block {
    let mut song = music(8_000, 4_001);
    let gain = loudest / peak(&song);
    song.iter_mut().flatten().for_each(|sample| *sample *= gain);
    write_wav(&place.path("song.wav"), &song, 8_000);
    song
}

/// Vocals and the rest of the song, as 32-bit floats.
fn separate(place: &Place, clip_mode: &str) -> (String, [Block; 2]) {
    let mut command = place.separate(["--two-stems", "vocals", "--other-method", "minus", "--float32"]);
    let ran = run(command.args(["--clip-mode", clip_mode]).arg(place.path("song.wav")));
    assert_eq!(ran.succeeds().len(), 2);
    let results = ["vocals", "no_vocals"].map(|stem| decode(&place.stem("song", &format!("{stem}.wav"))).1);
    (ran.stderr, results)
}

fn scaled(block: &Block, gain: f32) -> Block {
    block.iter().map(|channel| channel.iter().map(|sample| sample * gain).collect()).collect()
}

fn sum(blocks: &[Block; 2]) -> Block {
    let pairs = blocks[0].iter().zip(&blocks[1]);
    pairs.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

#[test]
fn stems_of_a_loud_song_add_up_to_the_song_at_one_common_gain() {
    let place = Place::new(Network::Tiny);
    let song = song(&place, 2.5);
    let (_, raw) = separate(&place, "none");
    let gain = 1.0 / (1.01 * raw.iter().map(|stem| peak(stem)).fold(0.0, f32::max));
    assert!(gain < 0.9, "{gain}");
    let (stderr, stems) = separate(&place, "common");
    for (stem, raw) in stems.iter().zip(&raw) {
        assert!(sdr_db(&scaled(raw, gain), stem) > 120.0);
    }
    assert!(stems.iter().all(|stem| peak(stem) < 1.0));
    assert!(sdr_db(&scaled(&song, gain), &sum(&stems)) > 120.0);
    let line = format!("all results are lowered by {:.1} dB", -20.0 * gain.log10());
    assert!(stderr.contains(&line), "{stderr}");
}

#[test]
fn rescaled_stems_have_gains_of_their_own() {
    let place = Place::new(Network::Tiny);
    song(&place, 2.5);
    let (_, raw) = separate(&place, "none");
    let (_, stems) = separate(&place, "rescale");
    for (stem, raw) in stems.iter().zip(&raw) {
        let gain = 1.0 / (1.01 * peak(raw)).max(1.0);
        assert!(sdr_db(&scaled(raw, gain), stem) > 120.0);
    }
}

#[test]
fn results_within_full_scale_are_left_as_they_are() {
    let place = Place::new(Network::Tiny);
    song(&place, 0.25);
    let (_, raw) = separate(&place, "none");
    for mode in ["common", "rescale", "clamp"] {
        let (stderr, stems) = separate(&place, mode);
        assert!(stems == raw, "{mode}");
        assert!(!stderr.contains("lowered"), "{stderr}");
    }
}

#[test]
fn results_that_wait_are_read_back_sample_by_sample() {
    let place = Place::new(Network::Tiny);
    // They are read back in blocks of 65,536 frames.
    let song: Block = music(8_000, 140_003).iter().map(|c| c.iter().map(|s| 0.2 * s).collect()).collect();
    write_wav(&place.path("song.wav"), &song, 8_000);
    let (_, raw) = separate(&place, "none");
    let (_, stems) = separate(&place, "common");
    assert!(stems == raw);
}

#[test]
fn results_that_have_no_room_to_wait_are_refused_before_anything_is_separated() {
    let place = Place::new(Network::Tiny);
    let song = place.path("long.wav");
    write_wav(&song, &vec![vec![0.1; 70 * 8_000]; 2], 8_000);
    let before = place.content();
    // Linux has no free space there.
    let ran = run(place.separate(["--temp-dir", "/proc", "--format", "wav", "--quiet"]).arg(&song));
    let sentence = "the results need 18 MiB until they are encoded, and 0 MiB are free in /proc";
    ran.fails_with(1, &[&format!("msaas: {}: {sentence}", song.display())]);
    assert_eq!(place.content(), before);
}

#[test]
fn long_results_wait_on_disk_and_leave_nothing_there() {
    let place = Place::new(Network::Long);
    let song = place.path("song.wav");
    // More than the 16 MiB that stay in memory.
    write_wav(&song, &music(16_000, 16_000 * 140), 16_000);
    let options = ["--format", "wav", "--bits", "16", "--overlap", "0"];
    run(place.separate(options).arg(&song)).succeeds();
    assert_eq!(decode(&place.stem("song", "vocals.wav")).1[0].len(), 16_000 * 140);
    assert_eq!(place.content().keys().filter(|path| path.starts_with("temp")).count(), 1);
}

#[test]
fn every_result_counts_for_the_common_gain() {
    let place = Place::new(Network::Tiny);
    song(&place, 0.25);
    let options = ["--float32", "--mix", "loud:mixture=50"];
    let ran = run(place.separate(options).arg(place.path("song.wav")));
    assert_eq!(ran.succeeds().len(), STEMS.len() + 1);
    let loud = decode(&place.stem("song", "loud.wav")).1;
    assert!((peak(&loud) - 1.0 / 1.01).abs() < 1e-3, "{}", peak(&loud));
    let vocals = decode(&place.stem("song", "vocals.wav")).1;
    let (_, [raw, _]) = separate(&place, "none");
    assert!(peak(&vocals) < 0.2 * peak(&raw));
}
