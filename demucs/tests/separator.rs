//! What the engine promises about whole songs, on small seeded networks.
#![expect(clippy::unwrap_used, reason = "what fails to be set up is a failed test")]

use std::ops::ControlFlow;

use demucs::seeded::{checkpoint, signal, small_kwargs};
use demucs::{Bag, Compute, Error, Progress, Request, Rest, Samples, Separator, Settings, Shifts, Stem};

const SOURCES: [&str; 4] = ["drums", "bass", "other", "vocals"];

fn one_hot_bag() -> Bag {
    let networks = (0..4).map(|seed| checkpoint(small_kwargs(&SOURCES), seed).unwrap()).collect();
    let weights: Vec<Vec<f32>> =
        (0..4).map(|i| (0..4).map(|s| f32::from(u8::from(s == i))).collect()).collect();
    Bag::new(networks, Some(&weights), &Compute::cpu()).unwrap()
}

fn single(seed: u64) -> Bag {
    Bag::new(vec![checkpoint(small_kwargs(&SOURCES), seed).unwrap()], None, &Compute::cpu()).unwrap()
}

fn separate(bag: Bag, settings: Settings, stems: Vec<Stem>, song: [Vec<f32>; 2]) -> Vec<[Vec<f32>; 2]> {
    answer(&Separator::new(bag, settings).unwrap(), &Request::new(stems), song)
}

fn answer(separator: &Separator, request: &Request, song: [Vec<f32>; 2]) -> Vec<[Vec<f32>; 2]> {
    let mut out = Vec::new();
    separator.separate(&mut Samples { channels: song }, request, &mut out, &mut ()).unwrap();
    out
}

fn all() -> Vec<Stem> {
    Stem::all(&SOURCES.map(String::from))
}

#[test]
fn every_length_comes_back_to_the_sample() {
    for frames in [1, 2, 31, 298, 299, 300, 448, 449, 5000] {
        let out = separate(single(1), Settings::default(), all(), signal(frames));
        assert!(out.iter().flatten().all(|channel| channel.len() == frames), "{frames} frames");
        assert!(out.iter().flatten().flatten().all(|v| v.is_finite()), "{frames} frames");
    }
}

#[test]
fn chunks_as_long_as_the_segment_change_no_bit_and_shorter_ones_keep_the_length() {
    let separator = Separator::new(single(1), Settings::default()).unwrap();
    let run = |chunk_s| answer(&separator, &Request { chunk_s, ..Request::new(all()) }, signal(3000));
    let whole = run(None);
    assert_eq!(whole, run(Some(299.0 / 8000.0)));
    let short = run(Some(0.02));
    assert!(short.iter().flatten().all(|channel| channel.len() == 3000));
    assert!(short != whole, "another division of the song gives another result");
}

#[test]
fn short_chunks_see_the_song_around_them() {
    let separator = Separator::new(single(1), Settings::default()).unwrap();
    let request = Request { chunk_s: Some(101.0 / 8000.0), overlap: 0.0, ..Request::new(all()) };
    let song = signal(299);
    // The second chunk ends at frame 202. What follows keeps its loudness and changes its order.
    let mut other = song.clone();
    for channel in &mut other {
        channel[202..].reverse();
    }
    let [one, two] = [song, other].map(|song| answer(&separator, &request, song));
    let chunks = one[3][0][101..202].iter().zip(&two[3][0][101..202]);
    let apart = chunks.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let loudest = one[3][0].iter().fold(0.0, |peak: f32, v| peak.max(v.abs()));
    assert!(apart > 1e-3 * loudest, "{apart} of {loudest}");
}

#[test]
fn impossible_overlaps_are_refused() {
    let separator = Separator::new(single(1), Settings::default()).unwrap();
    for overlap in [-0.1, 1.0, f64::NAN] {
        let error = separator.check(&Request { overlap, ..Request::new(all()) }).unwrap_err().to_string();
        assert!(error.ends_with("0 to 0.99 is possible"), "{error}");
    }
}

#[test]
fn impossible_chunks_are_refused_with_the_longest_that_is_possible() {
    let separator = Separator::new(single(1), Settings::default()).unwrap();
    for chunk_s in [0.0, -1.0, 0.04, f64::NAN, f64::INFINITY] {
        let request = Request { chunk_s: Some(chunk_s), ..Request::new(all()) };
        let error = separator.check(&request).unwrap_err().to_string();
        assert!(error.ends_with("this model takes up to 0.037375 s"), "{error}");
    }
}

#[test]
fn silence_gives_silence() {
    let out = separate(single(1), Settings::default(), all(), [vec![0.0; 1000], vec![0.0; 1000]]);
    assert!(out.iter().flatten().flatten().all(|v| v.abs() < 1e-6));
}

#[test]
fn threads_and_batches_do_not_change_a_bit() {
    let run = |threads, batch| {
        separate(single(5), Settings { threads, batch, ..Settings::default() }, all(), signal(3000))
    };
    let first = run(1, 1);
    assert_eq!(first, run(2, 1));
    assert_eq!(first, run(2, 3));
    assert_eq!(first, run(1, 64));
}

#[test]
fn one_stem_of_a_one_hot_bag_runs_one_network() {
    let separator = Separator::new(one_hot_bag(), Settings::default()).unwrap();
    let sources = SOURCES.map(String::from);
    let mut song = Samples { channels: signal(2000) };
    let mut run = |stems: Vec<Stem>| {
        let (mut out, mut total) = (Vec::new(), 0);
        let mut observer = |p: Progress| {
            total = p.segments_total;
            ControlFlow::Continue(())
        };
        let request = Request::new(stems);
        separator.separate(&mut song, &request, &mut out, &mut observer).unwrap();
        (total, out)
    };
    let (four, every) = run(all());
    let (one, bass) = run(vec![Stem::of("bass", &sources).unwrap()]);
    let (rest, _) = run(vec![Stem::without("bass", Rest::Minus, &sources).unwrap()]);
    assert_eq!((four, rest), (4 * one, one));
    assert_eq!(bass[0], every[1]);
}

#[test]
fn stem_and_rest_add_up_to_the_mixture() {
    let sources = SOURCES.map(String::from);
    let stems =
        vec![Stem::of("vocals", &sources).unwrap(), Stem::without("vocals", Rest::Minus, &sources).unwrap()];
    let song = signal(2500);
    let out = separate(single(3), Settings::default(), stems, song.clone());
    for channel in 0..2 {
        for ((vocals, rest), mixture) in out[0][channel].iter().zip(&out[1][channel]).zip(&song[channel]) {
            assert!((vocals + rest - mixture).abs() < 1e-6);
        }
    }
}

#[test]
fn the_mixture_alone_comes_back_as_it_is() {
    let mixture = Stem { name: "song".into(), gains: vec![0.0; 4], mixture: 1.0 };
    let song = signal(70_000);
    assert_eq!(separate(single(1), Settings::default(), vec![mixture], song.clone()), [song]);
}

#[test]
fn progress_reaches_its_end_and_never_goes_back() {
    let separator = Separator::new(one_hot_bag(), Settings::default()).unwrap();
    let mut seen: Vec<Progress> = Vec::new();
    let mut observer = |p: Progress| {
        seen.push(p);
        ControlFlow::Continue(())
    };
    let request = Request { shifts: Shifts::Drawn { count: 2, seed: [9; 32] }, ..Request::new(all()) };
    let mut song = Samples { channels: signal(2000) };
    separator.separate(&mut song, &request, &mut Vec::new(), &mut observer).unwrap();
    assert!(seen.windows(2).all(|w| w[0].segments_done < w[1].segments_done));
    assert!(seen.windows(2).all(|w| w[0].frames_done <= w[1].frames_done));
    let last = seen.last().unwrap();
    assert_eq!((last.segments_done, last.frames_done), (last.segments_total, 2000));
}

#[test]
fn a_canceled_separation_ends_at_the_next_segment() {
    let separator = Separator::new(single(1), Settings::default()).unwrap();
    let mut calls = 0;
    let mut observer = |_: Progress| {
        calls += 1;
        if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let request = Request::new(all());
    let mut song = Samples { channels: signal(5000) };
    let result = separator.separate(&mut song, &request, &mut Vec::new(), &mut observer);
    assert!(matches!(result, Err(Error::Canceled)));
    assert_eq!(calls, 3);
}

#[test]
fn what_was_handed_over_does_not_depend_on_the_length_of_the_song() {
    // Memory is bounded because nothing waits for the end: after each segment all but the part
    // that the next one may change has reached the sink.
    let separator = Separator::new(single(1), Settings::default()).unwrap();
    let mut lag = 0;
    let mut observer = |p: Progress| {
        lag = lag.max((p.segments_done * 224).min(p.frames_total) - p.frames_done);
        ControlFlow::Continue(())
    };
    let request = Request::new(all());
    let mut song = Samples { channels: signal(50_000) };
    separator.separate(&mut song, &request, &mut Vec::new(), &mut observer).unwrap();
    assert_eq!(lag, 0);
}
