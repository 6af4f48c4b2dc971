//! A song divided into spans has the same stems to the bit.
#![expect(clippy::unwrap_used, reason = "what fails to be set up is a failed test")]

use demucs::seeded::{checkpoint, signal, small_kwargs};
use demucs::{
    Bag, Compute, Error, Joint, Loudness, Request, Rest, Samples, Separator, Settings, Shifts, Span,
    SpanSums, Stem,
};

const SOURCES: [&str; 4] = ["drums", "bass", "other", "vocals"];

fn engine(networks: u64, batch: usize) -> Separator {
    let networks = (0..networks).map(|seed| checkpoint(small_kwargs(&SOURCES), seed).unwrap()).collect();
    let bag = Bag::new(networks, None, &Compute::cpu()).unwrap();
    Separator::new(bag, Settings { batch, threads: 1, ..Settings::default() }).unwrap()
}

fn sources() -> Vec<String> {
    SOURCES.map(String::from).to_vec()
}

fn song(frames: usize) -> Samples {
    Samples { channels: signal(frames) }
}

fn whole(engine: &Separator, frames: usize, request: &Request) -> Vec<[Vec<f32>; 2]> {
    let mut stems = Vec::new();
    engine.separate(&mut song(frames), request, &mut stems, &mut ()).unwrap();
    stems
}

/// Every span by an engine of its own, sent as bytes.
fn divided(spans: &[Span], frames: usize, request: &Request, networks: u64) -> Vec<Vec<u8>> {
    let loudness = Loudness::of(&mut song(frames)).unwrap();
    let span = |span: &Span| {
        let engine = engine(networks, 1 + span.first % 2);
        let sums = engine.separate_span(&mut song(frames), request, &loudness, *span, &mut ()).unwrap();
        let mut bytes = Vec::new();
        sums.write_to(&mut bytes).unwrap();
        bytes
    };
    // The last one first: no span depends on another.
    let mut sums: Vec<_> = spans.iter().rev().map(span).collect();
    sums.reverse();
    sums
}

fn joined(
    engine: &Separator,
    frames: usize,
    request: &Request,
    spans: &[Span],
    bytes: &[Vec<u8>],
) -> demucs::Result<Vec<[Vec<f32>; 2]>> {
    let loudness = Loudness::of(&mut song(frames))?;
    let mut stems = Vec::new();
    let mut sums = |index: usize| Ok(SpanSums::read_from(&mut &bytes[index][..])?);
    let joint = Joint { loudness, spans, sums: &mut sums };
    engine.merge(&mut song(frames), request, joint, &mut stems, &mut ())?;
    Ok(stems)
}

#[test]
fn spans_of_any_size_and_overlap_give_the_same_bits() {
    for (frames, overlap, segments) in [
        (1, 0.25, 1),
        (299, 0.25, 1),
        (3000, 0.25, 1),
        (3000, 0.0, 2),
        (2900, 0.5, 3),
        (2500, 0.75, 2),
        (900, 0.9, 4),
    ] {
        let engine = engine(1, 1);
        let request = Request { overlap, ..Request::new(Stem::all(&sources())) };
        let spans = engine.spans(frames, &request, segments).unwrap();
        let bytes = divided(&spans, frames, &request, 1);
        let stems = joined(&engine, frames, &request, &spans, &bytes).unwrap();
        assert!(
            stems == whole(&engine, frames, &request),
            "{frames} frames, overlap {overlap}, spans of {segments}"
        );
    }
}

#[test]
fn bags_shifts_short_chunks_and_sums_give_the_same_bits() {
    let engine = engine(2, 2);
    let stems = vec![
        Stem::of("vocals", &sources()).unwrap(),
        Stem::without("vocals", Rest::Minus, &sources()).unwrap(),
        Stem::without("drums", Rest::Sum, &sources()).unwrap(),
    ];
    let request = Request {
        stems,
        shifts: Shifts::Drawn { count: 2, seed: [3; 32] },
        overlap: 0.6,
        chunk_s: Some(200.0 / 8000.0),
    };
    let spans = engine.spans(1500, &request, 4).unwrap();
    assert_eq!(spans.iter().map(|span| span.pass).max(), Some(3));
    let bytes = divided(&spans, 1500, &request, 2);
    assert!(joined(&engine, 1500, &request, &spans, &bytes).unwrap() == whole(&engine, 1500, &request));
}

#[test]
fn spans_cover_every_segment_once_in_even_parts() {
    let engine = engine(1, 1);
    let request = Request::new(Stem::all(&sources()));
    let segments = engine.spans(10_000, &request, usize::MAX).unwrap()[0].count;
    for size in 1..=segments {
        let spans = engine.spans(10_000, &request, size).unwrap();
        let mut next = 0;
        for span in &spans {
            assert_eq!((span.pass, span.first), (0, next));
            assert!(span.count <= size && span.count + 1 >= spans[0].count.min(spans[spans.len() - 1].count));
            next += span.count;
        }
        assert_eq!(next, segments);
    }
}

#[test]
fn sums_that_do_not_belong_together_are_refused() {
    let engine = engine(1, 1);
    let request = Request::new(Stem::all(&sources()));
    let spans = engine.spans(3000, &request, 3).unwrap();
    let bytes = divided(&spans, 3000, &request, 1);
    let refused = |spans: &[Span], bytes: &[Vec<u8>]| {
        let error = joined(&engine, 3000, &request, spans, bytes).unwrap_err();
        assert!(matches!(error, Error::Span(_) | Error::Mixture(_)), "{error}");
    };
    refused(&spans[1..], &bytes[1..]);
    refused(&spans, &[bytes[1].clone(), bytes[0].clone(), bytes[2].clone(), bytes[3].clone()]);
    let other = Request { overlap: 0.5, ..request.clone() };
    let other_spans = engine.spans(3000, &other, 3).unwrap();
    let others = divided(&other_spans, 3000, &other, 1);
    refused(&spans, &others[..spans.len()]);
    for cut in [0, 8, 40, 100] {
        refused(&spans, &[bytes[0][..cut].to_vec(), bytes[1].clone(), bytes[2].clone(), bytes[3].clone()]);
    }
    let mut huge = bytes[0].clone();
    huge[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
    refused(&spans, &[huge, bytes[1].clone(), bytes[2].clone(), bytes[3].clone()]);
}
