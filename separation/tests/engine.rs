//! Several songs in one engine.
#![expect(clippy::unwrap_used, reason = "what fails to be set up is a failed test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use audio::{Format, WavDepth};
use demucs::seeded::{checkpoint, signal, small_kwargs};
use demucs::{Bag, Compute, Loudness, Request, Separator, Settings, Span, SpanSums, Stem};
use separation::{Engine, Event, Events, Load, Reading, Song, Stop};

/// Rate of the songs and of the network in Hz.
const RATE: u32 = 8000;

type Stems = Vec<[Vec<f32>; 2]>;

fn engine(batch: usize) -> (Engine, Arc<Mutex<Vec<Load>>>) {
    let network = checkpoint(small_kwargs(&["drums", "bass", "other", "vocals"]), 3).unwrap();
    let bag = Bag::new(vec![network], None, &Compute::cpu()).unwrap();
    let separator = Separator::new(bag, Settings { batch, threads: 1, ..Settings::default() }).unwrap();
    let loads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&loads);
    (Engine::start_watched(separator, move |load| seen.lock().unwrap().push(load)).unwrap(), loads)
}

fn song(frames: usize) -> Song {
    let mut wav = std::io::Cursor::new(Vec::new());
    let mut encoder = Format::Wav(WavDepth::Float32).encoder(&mut wav, RATE, 2).unwrap();
    encoder.write(&signal(frames)).unwrap();
    encoder.finish().unwrap();
    wav.set_position(0);
    Song::read(Box::new(wav), &Reading { rate: RATE, ..Reading::default() }, &Stop::default()).unwrap()
}

fn request() -> Request {
    Request::new(Stem::all(&["drums", "bass", "other", "vocals"].map(String::from)))
}

fn begin(engine: &Engine, frames: usize, stop: &Stop) -> Events {
    engine.separate(song(frames), &request(), stop).unwrap()
}

/// All that comes: stems, and how it ended.
fn all(events: Events) -> (Stems, Option<SpanSums>, demucs::Result<()>) {
    let (mut stems, mut computed): (Stems, _) = (vec![Default::default(); 4], None);
    for event in events {
        match event {
            Event::Block(stem, block) => {
                for (channel, samples) in stems[stem].iter_mut().zip(block.iter()) {
                    channel.extend(samples);
                }
            }
            Event::Span(_, sums) => computed = Some(sums),
            Event::Progress(_) => {}
            Event::Done(done) => return (stems, computed, done),
        }
    }
    panic!("the events broke off")
}

fn alone(frames: usize) -> Stems {
    all(begin(&engine(1).0, frames, &Stop::default())).0
}

#[test]
fn songs_that_are_separated_together_get_the_bits_that_each_gets_alone() {
    let loudness = Loudness::of(&mut song(2500)).unwrap();
    let span = Span { pass: 0, first: 2, count: 7 };
    let order = |engine: &Engine| {
        all(engine.span(song(2500), &request(), &loudness, span, &Stop::default()).unwrap()).1
    };
    let wanted = (alone(3000), alone(200), order(&engine(1).0));
    for batch in [1, 3, 16] {
        let (engine, loads) = engine(batch);
        let (long, short, sums) = std::thread::scope(|scope| {
            let long = scope.spawn(|| all(begin(&engine, 3000, &Stop::default())).0);
            let short = scope.spawn(|| all(begin(&engine, 200, &Stop::default())).0);
            let sums = scope.spawn(|| order(&engine));
            (long.join().unwrap(), short.join().unwrap(), sums.join().unwrap())
        });
        assert!((long, short, sums) == wanted, "batch {batch}");
        let loads = loads.lock().unwrap();
        let segments: usize = loads.iter().map(|load| load.segments).sum();
        assert_eq!(segments, 14 + 1 + 7);
        assert!(loads.iter().all(|load| (1..=batch).contains(&load.segments) && load.batch == batch));
    }
}

#[test]
fn one_whose_stems_nobody_takes_keeps_no_other_one_waiting() {
    let (engine, loads) = engine(4);
    let mut slow = begin(&engine, 30_000, &Stop::default());
    assert!(matches!(slow.next(), Some(Event::Progress(progress)) if progress.segments_done == 0));
    for _ in 0..3 {
        assert!(all(begin(&engine, 3000, &Stop::default())).0 == alone(3000));
    }
    // What is computed for nobody is a batch or two beyond what the channel holds.
    let segments: usize = loads.lock().unwrap().iter().map(|load| load.segments).sum();
    assert!(segments < 3 * 14 + 30, "{segments} segments");
    assert!(all(slow).0 == alone(30_000));
}

#[test]
fn no_more_is_computed_than_a_few_batches_beyond_what_is_taken() {
    let (engine, loads) = engine(4);
    let computed = || loads.lock().unwrap().iter().map(|load| load.segments).sum::<usize>();
    let mut songs: Vec<Events> = (0..12).map(|_| begin(&engine, 3000, &Stop::default())).collect();
    for events in &mut songs {
        assert!(matches!(events.next(), Some(Event::Progress(progress)) if progress.segments_done == 0));
    }
    while computed() < 16 {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(200));
    assert!(computed() <= 20, "{} segments", computed());
    let wanted = alone(3000);
    std::thread::scope(|scope| {
        for events in songs {
            let wanted = &wanted;
            scope.spawn(move || assert!(all(events).0 == *wanted));
        }
    });
}

#[test]
fn songs_whose_stems_nobody_takes_leave_their_places_to_others() {
    let (engine, _) = engine(2);
    let slow: Vec<Events> = (0..3).map(|_| begin(&engine, 30_000, &Stop::default())).collect();
    assert!(all(begin(&engine, 3000, &Stop::default())).0 == alone(3000));
    drop(slow);
}

#[test]
fn with_batches_of_one_songs_come_one_after_the_other() {
    let (engine, _) = engine(1);
    let mut first = begin(&engine, 3000, &Stop::default());
    let mut second = begin(&engine, 3000, &Stop::default());
    // The first one stands still, since its channel is full: so does the second.
    std::thread::sleep(Duration::from_millis(200));
    assert!(matches!(second.next(), Some(Event::Progress(progress)) if progress.segments_done == 0));
    let seconds = std::thread::spawn(move || all(second).0);
    let mut told = 0;
    for event in &mut first {
        match event {
            Event::Progress(progress) => told = progress.segments_done,
            Event::Done(done) => done.unwrap(),
            _ => {}
        }
    }
    assert_eq!(told, 14);
    assert!(seconds.join().unwrap() == alone(3000));
}

#[test]
fn one_that_is_stopped_or_given_up_does_not_disturb_the_others() {
    let (engine, _) = engine(4);
    let stop = Stop::default();
    let stopped = begin(&engine, 30_000, &stop);
    let dropped = begin(&engine, 30_000, &Stop::default());
    let other = begin(&engine, 5000, &Stop::default());
    drop(dropped);
    let _ = stop.request();
    assert!(matches!(all(stopped).2, Err(demucs::Error::Canceled)));
    assert!(all(other).0 == alone(5000));
    // One that is in work when the engine goes is finished first.
    let last = begin(&engine, 5000, &Stop::default());
    let taker = std::thread::spawn(move || all(last).0);
    drop(engine);
    assert!(taker.join().unwrap() == alone(5000));
}
