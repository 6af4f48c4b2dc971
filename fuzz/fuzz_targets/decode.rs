//! Bytes of a stranger through everything that reads them: sniffing, tags, decoding, writing tags.
#![no_main]

use std::collections::HashSet;
use std::io::Cursor;
use std::sync::{Mutex, Once};

use audio::{DecodeLimits, Decoder};
use libfuzzer_sys::fuzz_target;

/// Small enough for a thousand runs in a second.
const LIMITS: DecodeLimits = DecodeLimits { max_seconds: 5.0, max_errors: 50 };

fuzz_target!(|bytes: &[u8]| {
    // The first byte chooses the track and whether checksums are mended, which no mutation would hit.
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let mut bytes = bytes.to_vec();
    LENIENT.call_once(let_contained_panics_pass);
    if choice & 1 == 1 {
        mend_ogg(&mut bytes);
    }
    let sniffed = tags::sniff(&mut Cursor::new(&bytes));
    let found = tags::read(&mut Cursor::new(&bytes));
    let mut copy = Cursor::new(bytes.clone());
    let _ = tags::write(&mut copy, &found);
    let track = (choice & 2 == 2).then_some(usize::from(choice >> 2));
    let Ok(mut decoder) = Decoder::open(Box::new(Cursor::new(bytes)), &LIMITS, track) else { return };
    assert!(sniffed.is_ok());
    let (channels, rate) = (decoder.info().channels, decoder.info().sample_rate);
    let mut frames = 0;
    while let Ok(Some(block)) = decoder.next_block() {
        assert!(block.len() == channels && block.iter().all(|plane| plane.len() == block[0].len()));
        frames += block[0].len();
    }
    assert_eq!(decoder.report().frames, frames);
    assert!(frames as f64 <= LIMITS.max_seconds * f64::from(rate) + 100_000.0);
});

static LENIENT: Once = Once::new();

/// A panic that `audio` or `tags` contain is no finding: it is named once. Any other still ends the run, because
/// the fuzzer catches it.
fn let_contained_panics_pass() {
    let seen = Mutex::new(HashSet::new());
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        if seen.lock().is_ok_and(|mut seen| seen.insert(place.clone())) {
            eprintln!("contained or not, a panic at {place}: {info}");
        }
    }));
}

/// Gives every Ogg page the checksum that its bytes have.
fn mend_ogg(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(4).position(|id| id == b"OggS") {
        at += found;
        let Some(count) = bytes.get(at + 26).map(|count| usize::from(*count)) else { return };
        let Some(lacing) = bytes.get(at + 27..at + 27 + count) else { return };
        let end = at + 27 + count + lacing.iter().map(|size| usize::from(*size)).sum::<usize>();
        if end > bytes.len() {
            return;
        }
        bytes[at + 22..at + 26].fill(0);
        let sum = bytes[at..end].iter().fold(0u32, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
                if sum & 1 << 31 == 0 { sum << 1 } else { sum << 1 ^ 0x04c1_1db7 }
            })
        });
        bytes[at + 22..at + 26].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
}
