//! Whole networks on a card against the plain one.

use serde_json::{Map, Value};

use super::tests::card;
use super::{Compiled, Precision};
use crate::seeded::{changed, checkpoint, signal, small_kwargs, snr_to_plain};
use crate::weights::Checkpoint;

const SOURCES: [&str; 4] = ["drums", "bass", "other", "vocals"];

/// A batch of segments, none of which is another one.
fn segments(batch: usize, n: usize) -> Vec<f32> {
    let segment = |i: usize| signal(n + 7 * i).map(|channel| channel[7 * i..].to_vec()).concat();
    (0..batch).flat_map(segment).collect()
}

fn compiled(checkpoint: &Checkpoint, precision: Precision, batch: usize) -> Compiled {
    Compiled::from_checkpoint(checkpoint, &card(), precision, batch, None).unwrap()
}

/// SNR in dB of what a card makes of a batch against the plain network.
fn snr(kwargs: &Map<String, Value>, precision: Precision, batch: usize) -> f64 {
    let seeded = checkpoint(kwargs.clone(), 7).unwrap();
    let network = compiled(&seeded, precision, batch);
    let mix = segments(batch, network.config().segment_frames());
    snr_to_plain(seeded, &mix, |ours| network.forward(&mix, ours).unwrap())
}

#[test]
fn networks_of_all_shapes_equal_the_plain_one() {
    let small = small_kwargs(&SOURCES);
    for change in changed() {
        let mut kwargs = small.clone();
        kwargs.extend(change.clone());
        let (single, half) = (snr(&kwargs, Precision::Single, 1), snr(&kwargs, Precision::Half, 1));
        println!("{change:?}: {single:.1} dB, {half:.1} dB");
        assert!(single >= 95.0 && half >= 45.0, "{change:?}: {single} dB, {half} dB");
    }
}

#[test]
fn a_segment_comes_out_the_same_to_the_bit_in_every_batch() {
    for precision in [Precision::Single, Precision::Half] {
        let seeded = checkpoint(small_kwargs(&SOURCES), 7).unwrap();
        let network = compiled(&seeded, precision, 4);
        let n = network.config().segment_frames();
        let (mix, len) = (segments(7, n), 2 * SOURCES.len() * n);
        let mut whole = vec![0.0; 7 * len];
        network.forward(&mix, &mut whole).unwrap();
        for (i, (mix, whole)) in mix.chunks(2 * n).zip(whole.chunks(len)).enumerate() {
            let mut alone = vec![0.0; len];
            network.forward(mix, &mut alone).unwrap();
            assert!(alone == whole, "{precision:?}, segment {i}");
        }
    }
}

#[test]
fn batches_in_both_slots_do_not_disturb_each_other() {
    let network = compiled(&checkpoint(small_kwargs(&SOURCES), 7).unwrap(), Precision::Half, 2);
    let n = network.config().segment_frames();
    let (mix, len) = (segments(3, n), 2 * SOURCES.len() * n);
    let mut expected = vec![0.0; 3 * len];
    network.forward(&mix, &mut expected).unwrap();
    let (first, second) = mix.split_at(2 * 2 * n);
    let mut out = vec![0.0; 3 * len];
    let (out_first, out_second) = out.split_at_mut(2 * len);
    let slots = [first, second].map(|mix| network.begin(mix).unwrap());
    network.finish(slots[1], out_second).unwrap();
    network.finish(slots[0], out_first).unwrap();
    assert!(out == expected);
}

#[test]
fn a_batch_that_finds_no_slot_is_refused_and_one_that_is_given_up_leaves_its_own() {
    let network = compiled(&checkpoint(small_kwargs(&SOURCES), 7).unwrap(), Precision::Half, 1);
    let n = network.config().segment_frames();
    let (mix, len) = (segments(3, n), 2 * SOURCES.len() * n);
    let segment = |i: usize| &mix[2 * n * i..][..2 * n];
    let begun = [0, 1].map(|i| network.begin(segment(i)).unwrap());
    assert_eq!(
        network.begin(segment(2)).unwrap_err().to_string(),
        "the card failed: no slot is free for a batch"
    );
    network.give_up(begun[0]);
    assert_eq!(
        network.finish(begun[0], &mut [0.0; 0]).unwrap_err().to_string(),
        "the card failed: a batch that nobody began"
    );
    let third = network.begin(segment(2)).unwrap();
    let mut out = vec![0.0; 2 * len];
    let (second_out, third_out) = out.split_at_mut(len);
    network.finish(third, third_out).unwrap();
    network.finish(begun[1], second_out).unwrap();
    let mut expected = vec![0.0; 2 * len];
    network.forward(&mix[2 * n..], &mut expected).unwrap();
    assert!(out == expected);
}

#[test]
fn a_batch_is_as_large_as_the_memory_that_may_be_taken() {
    let seeded = || checkpoint(small_kwargs(&SOURCES), 7).unwrap();
    let most = |budget: usize| {
        Compiled::from_checkpoint(&seeded(), &card(), Precision::Half, 16, Some(budget))
            .map(|network| network.most())
    };
    assert_eq!(most(1 << 30).unwrap(), 16);
    let fewest = (16..).map(|power| most(1 << power)).find_map(Result::ok).unwrap();
    assert!((1..16).contains(&fewest), "{fewest}");
    assert!(most(1 << 16).unwrap_err().to_string().contains("too little memory"));
}

#[test]
fn what_is_timed_computes_the_batch_again() {
    let network = compiled(&checkpoint(small_kwargs(&SOURCES), 7).unwrap(), Precision::Half, 2);
    let n = network.config().segment_frames();
    let (mix, mut out) = (segments(2, n), vec![0.0; 2 * 2 * SOURCES.len() * n]);
    network.forward(&mix, &mut out).unwrap();
    assert!(network.time(2).unwrap() >= 0.0 && network.bytes() > 0);
    let launches = network.time_each(2).unwrap();
    assert_eq!((launches[0].0, launches.last().unwrap().0), ("analyze", "overlap"));
    let mut again = vec![0.0; out.len()];
    network.forward(&mix, &mut again).unwrap();
    assert!(again == out);
}
