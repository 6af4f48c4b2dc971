//! The device layer on the emulated card.

use super::*;
use crate::error::Error;

#[test]
fn memory_is_zeroed_and_gives_back_what_was_copied_there() {
    let card = Card::emulated();
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
    let card = Card::emulated();
    let memory = card.zeroed(40).unwrap();
    let _ = card.upload(&[0i32; 3], &memory, 32);
}

#[test]
#[should_panic(expected = "memory of another card")]
fn memory_of_another_card_is_refused() {
    let memory = Card::emulated().zeroed(40).unwrap();
    let _ = Card::emulated().upload(&[0u8], &memory, 0);
}

#[test]
fn streams_copy_what_is_pinned() {
    let card = Card::emulated();
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
        assert!(matches!(Card::emulated().zeroed(bytes), Err(Error::OutOfMemory(_))), "{bytes}");
    }
}

#[test]
fn launches_that_no_card_takes_are_refused() {
    let refusal = |kernel: &'static str, grid| {
        let args = Box::new(arguments::Moments::default());
        let launch = Launch { kernel: kernel.into(), grid, shared: 0, args };
        // SAFETY: it is refused.
        unsafe { Card::emulated().sequence(vec![launch]) }.unwrap_err().to_string()
    };
    assert_eq!(refusal("nothing", [1; 3]), "the card failed: nothing: there is no such kernel");
    assert_eq!(refusal("nothing", [1, 0, 1]), "the card failed: nothing: a grid of [1, 0, 1] blocks");
}
