//! Tiles of products.

use std::collections::BTreeMap;

use crate::tensors::Tensors;

use super::arguments::Product;
use super::compiler::{Compiler, With};
use super::matrix::Taps;
use super::memory::Budget;
use super::shape::{Place, Shape};
use super::step::{Finish, Step, tile_tokens, tiled};
use super::tests::card;
use super::workspace::Buffers;

/// The bits that a product of halves with so many columns stores, in tiles of so many tokens.
fn stored(tokens: usize, columns: usize, finish: Finish) -> Vec<u8> {
    let (card, count, k) = (card(), 300, 64);
    let (mut buffers, mut budget) = (Buffers::default(), Budget::new(&card, None));
    let none = Tensors::new(BTreeMap::new());
    let mut compiler = Compiler::new(none, true, 1, &mut buffers, &mut budget);
    let value = |i: usize| (i * 7 % 31) as f32 / 31.0 - 0.5;
    let values: Vec<f32> = (0..count * k + 64).map(value).collect();
    let from = Place { address: compiler.elements(&values).unwrap(), shape: Shape::dense(1, count, k) };
    let matrix = compiler.matrix(&Taps::run(0, k), columns, |_, k, n| value(5 * k + 3 * n), |_| 0.1).unwrap();
    let to = compiler.floats(Shape::dense(1, count, 256)).unwrap();
    compiler.product(
        from.view(),
        &matrix,
        finish,
        to.view(),
        With { group_tokens: count, ..With::default() },
    );
    let (steps, mut memory) = compiler.finish().unwrap();
    memory.extend(buffers.into_memory());
    let Step::Product(args, _) = steps[0] else { unreachable!("one product") };
    let launch = tiled(Product { group_tokens: count as i32, ..args }, finish, true, tokens);
    // SAFETY: the launch names this memory alone, which is here until it has run.
    let sequence = unsafe { card.sequence(vec![launch]) }.unwrap();
    let stream = card.stream().unwrap();
    stream.run(&sequence).unwrap();
    stream.finish().unwrap();
    let place = memory.iter().find(|memory| memory.address() == to.address).unwrap();
    let mut bits = vec![0; place.bytes()];
    card.download(place, 0, &mut bits).unwrap();
    bits
}

#[test]
fn tiles_of_more_tokens_store_the_same_bits() {
    for finish in [Finish::Gelu, Finish::GeluAdd, Finish::Glu, Finish::AddFloatSums] {
        for columns in [96, 250] {
            let ours = stored(256, columns, finish);
            assert!(ours.iter().any(|byte| *byte != 0), "{finish:?}");
            assert!(ours == stored(128, columns, finish), "{finish:?} of {columns}");
        }
    }
}

#[test]
fn tiles_are_of_more_tokens_where_sums_are_long_and_tokens_many() {
    let tokens = |k: i32, columns: i32, group_tokens: i32, finish: Finish, half: bool| {
        let args = Product { k, columns, group_tokens, groups: 1, ..Product::default() };
        tile_tokens(&args, finish, half)
    };
    assert_eq!(tokens(1728, 384, 172_032, Finish::Glu, true), 256);
    assert_eq!(tokens(1728, 384, 172_032, Finish::Glu, false), 128);
    assert_eq!(tokens(512, 2048, 43008, Finish::Gelu, true), 128);
    assert_eq!(tokens(1728, 48, 172_032, Finish::Glu, true), 128);
    assert_eq!(tokens(1728, 384, 10752, Finish::Glu, true), 128);
    // The sums that tiles leave are not those of other tiles: they are the same for every batch.
    assert_eq!(tokens(2048, 512, 1344, Finish::AddFloatSums, true), 256);
}
