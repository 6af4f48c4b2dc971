//! Whole networks on a card against the plain one.

use serde_json::{Map, Value, json};

use super::tests::card;
use super::{Card, Compiled, Precision};
use crate::model::Config;
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
fn networks_that_kernels_have_no_room_for_are_refused_in_a_sentence() {
    let check = |change: Value| {
        let mut kwargs = small_kwargs(&SOURCES);
        kwargs.extend(change.as_object().unwrap().clone());
        super::network::check(&Config::from_kwargs(&kwargs).unwrap()).map_err(|error| error.to_string())
    };
    assert_eq!(check(json!({})), Ok(()));
    assert_eq!(check(json!({"channels": 256, "dconv_comp": 2, "bottom_channels": 16})), Ok(()));
    for (change, what) in [
        (json!({"channels": 256, "dconv_comp": 1}), "a DConv's hidden channels: 512"),
        (json!({"bottom_channels": 256}), "a head's channels: 128"),
    ] {
        let refusal = check(change).unwrap_err();
        assert_eq!(refusal, format!("unsupported network: {what} is more than a card's kernels take"));
    }
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
    let seeded = checkpoint(small_kwargs(&SOURCES), 7).unwrap();
    let within = |budget: usize| {
        let card = Card::emulated();
        let before = card.free_memory().unwrap();
        let network = Compiled::from_checkpoint(&seeded, &card, Precision::Half, 16, Some(budget))?;
        let taken = before - card.free_memory().unwrap();
        assert!(taken == network.bytes() && taken <= budget, "{taken} of {budget}, {} told", network.bytes());
        crate::Result::Ok((network.most(), taken))
    };
    assert_eq!(within(1 << 30).unwrap().0, 16);
    let fit: Vec<_> = (16..24).filter_map(|power| within(1 << power).ok()).map(|(most, _)| most).collect();
    assert!(fit[0] < 16 && fit.is_sorted() && fit.ends_with(&[16]), "{fit:?}");
    let alone = Compiled::from_checkpoint(&seeded, &card(), Precision::Half, 1, None).unwrap().bytes();
    assert_eq!(within(alone).unwrap(), (1, alone));
    assert!(within(alone - 1).unwrap_err().to_string().contains("too little memory"));
}

#[test]
fn networks_of_one_kind_share_all_but_their_weights() {
    let seeded: Vec<_> = (1..=4).map(|seed| checkpoint(small_kwargs(&SOURCES), seed).unwrap()).collect();
    let alone: Vec<_> = seeded.iter().map(|seeded| compiled(seeded, Precision::Half, 2)).collect();
    let workspace = alone[0].workspace.bytes();
    let weights: usize = alone.iter().map(|network| network.bytes() - workspace).sum();
    let card = Card::emulated();
    let before = card.free_memory().unwrap();
    let bag = Compiled::all(
        &seeded.iter().collect::<Vec<_>>(),
        &card,
        Precision::Half,
        2,
        Some(weights + workspace),
    )
    .unwrap();
    assert!(bag.iter().all(|network| network.most() == 2));
    assert_eq!(before - card.free_memory().unwrap(), weights + workspace);

    let n = bag[0].config().segment_frames();
    let (mix, len) = (segments(1, n), 2 * SOURCES.len() * n);
    // Each while the card has the batch of the one before.
    let mut last = None;
    for (network, alone) in bag.iter().zip(&alone) {
        let slot = network.begin(&mix).unwrap();
        let (mut out, mut expected) = (vec![0.0; len], vec![0.0; len]);
        alone.forward(&mix, &mut expected).unwrap();
        if let Some((network, slot, expected)) = last.replace((network, slot, expected)) {
            assert!(network.finish(slot, &mut out).unwrap() > 0.0);
            assert!(out == expected);
        }
    }
}

#[test]
fn networks_of_several_kinds_have_room_for_the_same_batches() {
    let other = changed().into_iter().find(|change| change.contains_key("context")).unwrap();
    let kinds = [Map::new(), other, Map::new()].map(|change| {
        let mut kwargs = small_kwargs(&SOURCES);
        kwargs.extend(change);
        checkpoint(kwargs, 7).unwrap()
    });
    let [one, two] = [0, 1].map(|kind| compiled(&kinds[kind], Precision::Half, 2));
    let bytes = 2 * one.bytes() - one.workspace.bytes() + two.bytes();
    let all = |budget| Compiled::all(&kinds.each_ref(), &card(), Precision::Half, 16, Some(budget)).unwrap();
    for (budget, most) in [(bytes, 2), (bytes - 1, 1)] {
        let found: Vec<_> = all(budget).iter().map(Compiled::most).collect();
        assert_eq!(found, [most; 3]);
    }
}

#[test]
fn what_is_timed_computes_the_batch_again() {
    let card = card();
    let seeded = checkpoint(small_kwargs(&SOURCES), 7).unwrap();
    let network = Compiled::from_checkpoint(&seeded, &card, Precision::Half, 2, None).unwrap();
    let n = network.config().segment_frames();
    let (mix, mut out) = (segments(2, n), vec![0.0f32; 2 * 2 * SOURCES.len() * n]);
    network.forward(&mix, &mut out).unwrap();
    let place = &network.workspace.places[0][1];
    let mut found = vec![0.0f32; out.len()];
    let mut again = |time: &dyn Fn()| {
        card.upload(&vec![7.0f32; out.len()], place, 0).unwrap();
        time();
        card.download(place, 0, &mut found).unwrap();
        assert!(found == out);
    };
    again(&|| assert!(network.time(2).unwrap() > 0.0));
    again(&|| {
        let launches = network.time_each(2).unwrap();
        assert_eq!((launches[0].0, launches.last().unwrap().0), ("analyze", "overlap"));
        assert!(launches.iter().all(|launch| launch.1 >= 0.0));
    });
}
