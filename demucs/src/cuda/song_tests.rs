//! Songs through a separator on a card.

use std::ops::ControlFlow;

use super::Card;
use super::tests::card;
use crate::progress::Progress;
use crate::seeded::{checkpoint, signal, small_kwargs};
use crate::{Bag, Compute, Device, Request, Samples, Separator, Settings, Stem};

const SOURCES: [&str; 4] = ["drums", "bass", "other", "vocals"];

type Stems = Vec<[Vec<f32>; 2]>;

/// A separator of one network whose batches have four segments.
fn separator(card: &Card) -> Separator {
    Separator::new(bag(card, 1), Settings { batch: 4, threads: 1, ..Settings::default() }).unwrap()
}

fn bag(card: &Card, networks: u64) -> Bag {
    let compute = Compute { device: Device::Cuda(card.clone()), ..Compute::cpu() };
    let networks = (0..networks).map(|i| checkpoint(small_kwargs(&SOURCES), 7 + i).unwrap());
    Bag::new(networks.collect(), None, &compute).unwrap()
}

/// Separates a song; `heard` hears how many segments are done.
fn separate(separator: &Separator, frames: usize, mut heard: impl FnMut(usize)) -> crate::Result<Stems> {
    let mut stems = Stems::new();
    let mut observer = |progress: Progress| {
        heard(progress.segments_done);
        ControlFlow::Continue(())
    };
    let request = Request::new(Stem::all(&SOURCES.map(String::from)));
    separator.separate(&mut Samples { channels: signal(frames) }, &request, &mut stems, &mut observer)?;
    Ok(stems)
}

#[test]
fn songs_come_out_the_same_where_memory_ran_out_once() {
    let plain = separator(&card());
    let expected = [3000, 300].map(|frames| separate(&plain, frames, |_| ()).unwrap());
    // Before the first batch, and while the card has another one.
    for at in [0, 4] {
        let card = Card::emulated();
        let separator = separator(&card);
        let crowd = |done| {
            if done == at {
                card.crowd();
            }
        };
        assert!(separate(&separator, 3000, crowd).unwrap() == expected[0], "{at}");
        assert_eq!((separator.batch(), separator.in_flight()), (2, 2));
        assert!(separate(&separator, 300, |_| ()).unwrap() == expected[1], "{at}");
    }
}

#[test]
fn a_song_fails_with_its_card_and_so_do_those_behind_it() {
    let card = Card::emulated();
    let separator = separator(&card);
    for failing in [true, false] {
        let heard = |done| {
            if failing && done > 0 {
                card.fail();
            }
        };
        let error = separate(&separator, 3000, heard).unwrap_err();
        assert!(error.is_of_the_card(), "{error}");
    }
}

#[test]
fn the_networks_of_a_bag_have_the_memory_together() {
    let taken = |batch: usize, device_memory: Option<u64>| {
        let card = Card::emulated();
        let before = card.free_memory().unwrap();
        let separator = Separator::new(bag(&card, 4), Settings { batch, threads: 1, device_memory }).unwrap();
        (separator.batch(), (before - card.free_memory().unwrap()) as u64)
    };
    let (_, two) = taken(2, None);
    assert_eq!(taken(16, Some(two)), (2, two));
    assert_eq!(taken(16, Some(two - 1)).0, 1);
}
