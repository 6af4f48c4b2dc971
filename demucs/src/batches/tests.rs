//! Songs that share batches get what each gets alone.

use std::ops::ControlFlow;

use super::{Batches, Trial};
use crate::block::Block;
use crate::error::{BoxError, Error, Result};
use crate::mixture::{Loudness, Mixture, Samples};
use crate::progress::Progress;
use crate::seeded::signal;
use crate::separator::{Request, Separator, Settings};
use crate::shift::Shifts;
use crate::span::SpanSums;
use crate::stem::{Stem, StemSink};
use crate::work::Work;

type Stems = Vec<[Vec<f32>; 2]>;

/// A song that cannot be read from some frame on.
#[derive(Debug)]
struct Song {
    samples: Samples,
    broken_at: usize,
}

impl Song {
    /// Of so many frames; no two lengths sound alike.
    fn of(frames: usize) -> Self {
        let [mut left, right] = signal(frames);
        left.reverse();
        Self { samples: Samples { channels: [left, right] }, broken_at: usize::MAX }
    }
}

impl Mixture for Song {
    fn frames(&self) -> usize {
        self.samples.frames()
    }

    fn read(
        &mut self,
        start: usize,
        left: &mut [f32],
        right: &mut [f32],
    ) -> std::result::Result<(), BoxError> {
        if start + left.len() > self.broken_at {
            return Err("the disk is gone".into());
        }
        self.samples.read(start, left, right)
    }
}

/// What becomes of a work.
#[derive(Debug)]
struct Order {
    work: Work<Song>,
    stems: Stems,
    failed: Option<Error>,
}

impl Order {
    fn song(separator: &Separator, mut song: Song, request: &Request) -> Self {
        let loudness = Loudness::of(&mut song.samples).unwrap();
        Self::new(separator.work(song, request, loudness).unwrap())
    }

    fn new(work: Work<Song>) -> Self {
        Self { work, stems: Vec::new(), failed: None }
    }

    fn advance(&mut self) -> Result<()> {
        self.work.check()?;
        while self.work.hand_out(&mut self.stems)? {}
        Ok(())
    }
}

/// All orders through one separator, whose batches they share.
fn run(separator: &Separator, orders: &mut [Order]) {
    let mut batches = Batches::new(separator);
    let open = |order: &&mut Order| order.failed.is_none();
    loop {
        while batches.begin(orders.iter_mut().filter(open).map(|order| &mut order.work)) {}
        let computed = batches.finish();
        batches.begin(orders.iter_mut().filter(open).map(|order| &mut order.work));
        while batches.take(orders.iter_mut().filter(open).map(|order| &mut order.work)).is_some() {
            for order in orders.iter_mut().filter(open) {
                order.failed = order.advance().err();
            }
        }
        for order in orders.iter_mut().filter(open) {
            order.failed = order.advance().err();
        }
        if computed.is_none() {
            assert!(orders.iter().all(|order| order.failed.is_some() || order.work.is_done()));
            return;
        }
    }
}

fn separator(networks: u64, in_flight: usize, batch: usize) -> Separator {
    let (bag, _) = Trial::bag(networks, in_flight, usize::MAX);
    Separator::new(bag, Settings { batch, threads: 1, ..Settings::default() }).unwrap()
}

fn request() -> Request {
    Request::new(Stem::all(&["drums", "bass", "other", "vocals"].map(String::from)))
}

fn shifted() -> Request {
    Request { shifts: Shifts::Drawn { count: 3, seed: [4; 32] }, overlap: 0.4, ..request() }
}

fn alone(networks: u64, frames: usize, request: &Request) -> Stems {
    let mut stems = Vec::new();
    let separator = separator(networks, 1, 1);
    separator.separate(&mut Song::of(frames), request, &mut stems, &mut ()).unwrap();
    stems
}

fn span_of(separator: &Separator, frames: usize) -> Order {
    let loudness = Loudness::of(&mut Song::of(frames)).unwrap();
    let span = separator.spans(frames, &request(), 5).unwrap()[1];
    Order::new(separator.span_of(Song::of(frames), &request(), &loudness, span).unwrap())
}

fn sums(order: Order) -> SpanSums {
    order.work.into_parts().1.unwrap()
}

#[test]
fn songs_and_spans_that_share_batches_get_the_bits_that_each_gets_alone() {
    for networks in [1, 2] {
        let (one, two) = (alone(networks, 3000, &request()), alone(networks, 1234, &shifted()));
        let engine = separator(networks, 1, 1);
        let mut three = [span_of(&engine, 2500)];
        run(&engine, &mut three);
        let [three] = three.map(sums);
        for (in_flight, batch) in [(1, 1), (1, 4), (2, 1), (2, 3), (2, 8), (2, 100)] {
            let engine = separator(networks, in_flight, batch);
            let mut orders = vec![
                Order::song(&engine, Song::of(3000), &request()),
                Order::song(&engine, Song::of(1234), &shifted()),
                span_of(&engine, 2500),
            ];
            run(&engine, &mut orders);
            let (span, songs) = (orders.pop().unwrap(), orders);
            let same = songs[0].stems == one && songs[1].stems == two && sums(span) == three;
            assert!(same, "{networks} networks, {in_flight} batches of {batch}");
        }
    }
}

#[test]
fn a_batch_is_full_as_long_as_there_are_segments_and_one_that_is_not_waits_for_an_idle_device() {
    let (bag, seen) = Trial::bag(1, 2, usize::MAX);
    let engine = Separator::new(bag, Settings { batch: 4, threads: 1, ..Settings::default() }).unwrap();
    // 14 segments, and 6 of three passes.
    let mut orders =
        [Order::song(&engine, Song::of(3000), &request()), Order::song(&engine, Song::of(300), &shifted())];
    let segments: usize = orders.iter().map(|order| order.work.progress().segments_total).sum();
    run(&engine, &mut orders);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().sum::<usize>(), segments);
    let (last, full) = seen.split_last().unwrap();
    assert!(full.iter().all(|batch| *batch == 4) && (1..=4).contains(last), "{seen:?}");
}

#[test]
fn a_song_that_fails_or_is_given_up_does_not_disturb_its_neighbours() {
    let (whole, other) = (alone(1, 3000, &request()), alone(1, 2000, &request()));
    let engine = separator(1, 2, 4);
    let broken = Song { broken_at: 1000, ..Song::of(2500) };
    let mut orders = [
        Order::song(&engine, Song::of(3000), &request()),
        Order::song(&engine, broken, &request()),
        Order::song(&engine, Song::of(2000), &request()),
    ];
    run(&engine, &mut orders);
    assert!(matches!(orders[1].failed, Some(Error::Mixture(_))), "{:?}", orders[1].failed);
    assert!(orders[0].stems == whole && orders[2].stems == other);

    // One that nobody asks for any more while its segments are on their way.
    let mut orders = vec![
        Order::song(&engine, Song::of(900), &request()),
        Order::song(&engine, Song::of(3000), &request()),
    ];
    let mut batches = Batches::new(&engine);
    while batches.begin(orders.iter_mut().map(|order| &mut order.work)) {}
    orders.remove(0);
    while batches.finish().is_some() {
        while batches.take(orders.iter_mut().map(|order| &mut order.work)).is_some() {
            orders[0].advance().unwrap();
        }
    }
    run(&engine, &mut orders);
    assert!(orders[0].stems == whole);
}

#[test]
fn a_song_that_is_stopped_leaves_the_device_free() {
    let engine = separator(1, 2, 2);
    let mut stop_at_once = |progress: Progress| {
        if progress.segments_done == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    for _ in 0..3 {
        let stopped = engine.separate(&mut Song::of(3000), &request(), &mut Stems::new(), &mut stop_at_once);
        assert!(matches!(stopped, Err(Error::Canceled)));
    }
    let mut stems = Stems::new();
    engine.separate(&mut Song::of(3000), &request(), &mut stems, &mut ()).unwrap();
    assert!(stems == alone(1, 3000, &request()));
}

#[test]
fn a_batch_that_the_memory_does_not_hold_is_computed_in_smaller_ones_from_then_on() {
    let (one, two) = (alone(1, 3000, &request()), alone(1, 1234, &shifted()));
    let (bag, seen) = Trial::bag(1, 2, 3);
    let engine = Separator::new(bag, Settings { batch: 16, threads: 1, ..Settings::default() }).unwrap();
    let orders = || {
        let first = Order::song(&engine, Song::of(3000), &request());
        [first, Order::song(&engine, Song::of(1234), &shifted())]
    };
    let mut songs = orders();
    run(&engine, &mut songs);
    assert!(songs[0].stems == one && songs[1].stems == two);
    assert_eq!(engine.batch(), 2);
    seen.lock().unwrap().clear();
    run(&engine, &mut orders());
    assert!(seen.lock().unwrap().iter().all(|batch| *batch <= 2));
}

#[test]
fn songs_fail_for_memory_where_it_does_not_hold_one_segment() {
    let (bag, _) = Trial::bag(1, 2, 0);
    let engine = Separator::new(bag, Settings { batch: 4, threads: 1, ..Settings::default() }).unwrap();
    let mut orders =
        [Order::song(&engine, Song::of(300), &request()), Order::song(&engine, Song::of(300), &request())];
    run(&engine, &mut orders);
    for order in orders {
        let failed = order.failed.unwrap();
        let Error::Batch(why) = &failed else { panic!("{failed:?}") };
        assert!(matches!(**why, Error::OutOfMemory(_)));
        assert_eq!(failed.to_string(), "the card has too little memory left for 1 segments");
    }
    assert_eq!(engine.batch(), 1);
}

#[test]
fn no_pass_goes_ahead_of_the_others_by_more_than_a_batch() {
    let engine = separator(2, 2, 4);
    let mut first = Order::song(&engine, Song::of(300), &request());
    let mut second = Order::song(&engine, Song::of(6000), &request());
    // The first song's networks are asked for again and again; the second one fills what it leaves.
    let mut lag = 0;
    let mut batches = Batches::new(&engine);
    for _ in 0..40 {
        let before = second.stems.first().map_or(0, |stem| stem[0].len());
        while batches.begin([&mut first.work, &mut second.work]) {}
        batches.finish();
        while batches.take([&mut first.work, &mut second.work]).is_some() {
            first.advance().unwrap();
            second.advance().unwrap();
        }
        if first.work.is_done() {
            first = Order::song(&engine, Song::of(300), &request());
        }
        let done = second.stems.first().map_or(0, |stem| stem[0].len());
        lag = if done == before { lag + 1 } else { 0 };
        assert!(lag < 6 || second.work.is_done(), "nothing of the second song in {lag} batches");
    }
}

#[test]
fn seconds_of_the_device_are_those_of_all_parts_of_a_batch() {
    for (fits, parts) in [(usize::MAX, 1.0), (2, 4.0)] {
        let (bag, _) = Trial::bag(1, 1, fits);
        let engine = Separator::new(bag, Settings { batch: 8, threads: 1, ..Settings::default() }).unwrap();
        let mut order = Order::song(&engine, Song::of(3000), &request());
        let mut batches = Batches::new(&engine);
        assert!(batches.begin([&mut order.work]));
        let computed = batches.finish().unwrap();
        assert_eq!((computed.segments, computed.device_s), (8, Some(parts * Trial::BATCH_S)));
    }
}

/// Keeps blocks as they come.
struct Blocks(Vec<Block>);

impl StemSink for Blocks {
    fn write(&mut self, stem: usize, block: Block) -> std::result::Result<(), BoxError> {
        assert_eq!(stem, self.0.len() % 8);
        self.0.push(block);
        Ok(())
    }
}

#[test]
fn stems_that_are_alike_share_blocks_of_a_segment_each() {
    let engine = separator(1, 1, 8);
    let twice = Request { stems: [request().stems, request().stems].concat(), ..request() };
    let mut blocks = Blocks(Vec::new());
    engine.separate(&mut Song::of(3000), &twice, &mut blocks, &mut ()).unwrap();
    assert_eq!(blocks.0.len(), 8 * 14);
    let mut stems = vec![Default::default(); 4];
    for all in blocks.0.chunks(8) {
        for (stem, (block, twin)) in all[..4].iter().zip(&all[4..]).enumerate() {
            assert_eq!(block.as_ptr(), twin.as_ptr());
            stems.write(stem, block.clone()).unwrap();
        }
    }
    assert!(stems == alone(1, 3000, &request()));
}
