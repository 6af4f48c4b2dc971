//! Memory, streams and launches.

use super::*;
use crate::error::Error;

/// The card of this machine where there is one, else that which is emulated.
pub(super) fn card() -> Card {
    #[cfg(feature = "cuda")]
    if let Ok(card) = Card::open(0) {
        return card;
    }
    Card::emulated()
}

#[test]
fn memory_is_zeroed_and_gives_back_what_was_copied_there() {
    let card = card();
    let memory = card.zeroed(40).unwrap();
    assert_eq!((memory.bytes(), memory.address() % 256), (40, 0));
    card.upload(&[1.5f32, -2.0], &memory, 8).unwrap();
    let mut all = [9.0f32; 10];
    card.download(&memory, 0, &mut all).unwrap();
    assert_eq!(all, [0.0, 0.0, 1.5, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
#[should_panic(expected = "12 bytes behind 32 of 40")]
fn a_copy_beyond_the_end_is_refused() {
    let card = card();
    let memory = card.zeroed(40).unwrap();
    let _ = card.upload(&[0i32; 3], &memory, 32);
}

#[test]
#[should_panic(expected = "memory of another card")]
fn memory_of_another_card_is_refused() {
    let memory = card().zeroed(40).unwrap();
    let _ = card().upload(&[0u8], &memory, 0);
}

#[test]
fn streams_copy_what_is_pinned() {
    let card = card();
    let (up, down) = (card.stream().unwrap(), card.stream().unwrap());
    let memory = card.zeroed(12).unwrap();
    let mut values = card.pinned::<f32>(4).unwrap();
    values.copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
    let began = up.mark().unwrap();
    let sent = up.upload(values, 3, &memory, 0).unwrap();
    down.follow(sent.done()).unwrap();
    let received = down.download(&memory, 4, card.pinned::<f32>(2).unwrap(), 2).unwrap();
    assert!(received.done().seconds_since(&began).unwrap() >= 0.0);
    assert_eq!(
        (&sent.wait().unwrap()[..], &received.wait().unwrap()[..]),
        (&[1.0, 2.0, 3.0, 4.0][..], &[2.0, 3.0][..])
    );
}

#[test]
fn too_much_memory_is_an_error_of_its_own() {
    for bytes in [usize::MAX, usize::MAX / 4] {
        assert!(matches!(card().zeroed(bytes), Err(Error::OutOfMemory(_))), "{bytes}");
        assert!(matches!(card().pinned::<f64>(bytes), Err(Error::OutOfMemory(_))), "{bytes}");
    }
}

#[test]
fn launches_that_no_card_takes_are_refused() {
    let refusal = |kernel: &'static str, grid| {
        let args = Box::new(arguments::Moments::default());
        let launch = Launch { kernel: kernel.into(), grid, shared: 0, args };
        // SAFETY: it is refused.
        unsafe { card().sequence(vec![launch]) }.unwrap_err().to_string()
    };
    assert_eq!(refusal("nothing", [1; 3]), "the card failed: nothing: there is no such kernel");
    assert_eq!(refusal("nothing", [1, 0, 1]), "the card failed: nothing: a grid of [1, 0, 1] blocks");
}

/// A kernel of each structure.
fn kernels() -> Vec<(&'static str, Box<dyn Arguments>)> {
    vec![
        ("product_f16_128x16_store", Box::new(arguments::Product::default())),
        ("attention_f16_64", Box::new(arguments::Attention::default())),
        ("layer_norm_f16", Box::new(arguments::LayerNorm::default())),
        ("moments", Box::new(arguments::Moments::default())),
        ("norm_gelu_f16", Box::new(arguments::NormGelu::default())),
        ("sums", Box::new(arguments::Sums::default())),
        ("analyze", Box::new(arguments::Analyze::default())),
        ("spectrum_in_f16", Box::new(arguments::SpectrumIn::default())),
        ("samples_in_f16", Box::new(arguments::SamplesIn::default())),
        ("synthesize", Box::new(arguments::Synthesize::default())),
        ("overlap", Box::new(arguments::Overlap::default())),
    ]
}

#[test]
fn values_that_are_read_at_once_at_an_odd_place_are_noticed() {
    let card = Card::emulated();
    let memory = card.zeroed(64).unwrap();
    // The weights are not where four floats can be read at once.
    let args = arguments::NormGelu {
        values: memory.address(),
        moments: memory.address(),
        weight: memory.address() + 4,
        bias: memory.address(),
        groups: 1,
        group_tokens: 1,
        width: 4,
        form: arguments::Form { size: 4, ..arguments::Form::default() },
        partials: memory.address(),
    };
    let launch =
        Launch { kernel: "norm_gelu_f32".into(), grid: [1; 3], shared: 512 * 8, args: Box::new(args) };
    // SAFETY: the memory is here until the sequence has run.
    let sequence = unsafe { card.sequence(vec![launch]) }.unwrap();
    let stream = card.stream().unwrap();
    // A card says of it when somebody waits.
    stream.run(&sequence).unwrap();
    let error = stream.finish().unwrap_err().to_string();
    assert!(error.ends_with("at an address that is no multiple of their size"), "{error}");
}

#[derive(Debug)]
#[repr(C)]
struct Other([u64; 50]);

// SAFETY: no kernel is given it.
unsafe impl Arguments for Other {}

#[test]
fn kernels_take_structures_of_their_size_and_no_other() {
    let card = card();
    let takes = |kernel: &'static str, args| {
        let launch = Launch { kernel: kernel.into(), grid: [1; 3], shared: 0, args };
        // SAFETY: it is never run.
        unsafe { card.sequence(vec![launch]) }.map_err(|error| error.to_string())
    };
    for (kernel, args) in kernels() {
        assert!(takes(kernel, args).is_ok_and(|sequence| sequence.kernels().eq([kernel])), "{kernel}");
        let refusal = takes(kernel, Box::new(Other([0; 50]))).unwrap_err();
        assert_eq!(refusal, format!("the card failed: {kernel}: it takes arguments of another size"));
    }
}

#[test]
fn a_sequence_runs_its_launches_in_order() {
    let card = card();
    let (partials, moments) = (card.zeroed(3 * 16).unwrap(), card.zeroed(8).unwrap());
    let values = card.zeroed(4 * 6).unwrap();
    card.upload(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 9.0], &values, 0).unwrap();
    let sums = arguments::Sums {
        values: values.address(),
        partials: partials.address(),
        count: 6,
        groups: 1,
        parts: 3,
    };
    let total = arguments::Moments {
        partials: partials.address(),
        moments: moments.address(),
        groups: 1,
        parts: 3,
        count: 6,
        deviation: 1,
        epsilon: 0.0,
    };
    let launches = vec![
        Launch { kernel: "sums".into(), grid: [3, 1, 1], shared: 128, args: Box::new(sums) },
        Launch { kernel: "moments".into(), grid: [1, 1, 1], shared: 128, args: Box::new(total) },
    ];
    // SAFETY: the memory is here until the sequence has run.
    let mut sequence = unsafe { card.sequence(launches) }.unwrap();
    let stream = card.stream().unwrap();
    for record in [false, true] {
        if record {
            sequence.record().unwrap();
        }
        stream.run(&sequence).unwrap();
        stream.finish().unwrap();
        let mut result = [0.0f32; 2];
        card.download(&moments, 0, &mut result).unwrap();
        assert_eq!(result, [4.0, 8.0f32.sqrt()]);
    }
}
