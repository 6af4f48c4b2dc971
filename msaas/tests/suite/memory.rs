//! Memory does not grow with the length of a song.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use crate::network::Network;
use crate::sound::{ffmpeg, text};
use crate::support::Place;

#[test]
fn an_hour_needs_no_more_memory_than_four_minutes() {
    let place = Place::new(Network::Long);
    let minute = place.path("minute.mp3");
    let noise = "anoisesrc=r=22050:d=60:c=pink:a=0.3";
    ffmpeg(["-f", "lavfi", "-i", noise, "-b:a", "32k", text(&minute)]);
    let [short, long] = [240, 59 * 60 + 4].map(|seconds| {
        let song = place.path(format!("{seconds}.mp3"));
        let seconds = seconds.to_string();
        ffmpeg(["-stream_loop", "-1", "-i", text(&minute), "-t", &seconds, "-c", "copy", text(&song)]);
        song
    });
    // The allocator gives and takes some percent, by the order in which threads come to it; what grows with the song
    // does so every time.
    let fits = || {
        let (short, long) = (peak_kib(&place, &short), peak_kib(&place, &long));
        println!("peak of 4 minutes: {short} KiB, of 59:04: {long} KiB");
        long as f64 <= 1.05 * short as f64
    };
    assert!((0..3).any(|_| fits()), "an hour takes more than 5 % more, three times");
}

/// Peak resident memory of a separation.
///
/// One thread computes: with two, the allocator's arenas make the peak vary by 8 % whatever the length.
/// The peak is lost when the process ends, so the process is held at its last line of results, which it
/// cannot write because that pipe is kept full.
fn peak_kib(place: &Place, song: &Path) -> u64 {
    let (results, writer) = std::io::pipe().expect("a pipe");
    let mut filler = writer.try_clone().expect("the same pipe");
    let full = std::thread::spawn(move || while filler.write_all(&[b'\n'; 64]).is_ok() {});
    let mut command = place.separate(["--format", "wav", "--bits", "16", "--threads", "1", "--overlap", "0"]);
    let mut child =
        command.arg(song).stdout(writer).stderr(Stdio::piped()).spawn().expect("the program starts");
    // It holds the last writing end but the filler's.
    drop(command);
    let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let summary = lines.map(|line| line.expect("utf-8")).find(|line| line.ends_with("x real time)"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("still running");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a figure");
    let peak = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    // Nobody reads the results any more, which is no fault of the program.
    drop(results);
    assert!(child.wait().expect("ended").success() && summary.is_some());
    full.join().expect("ended");
    peak
}
