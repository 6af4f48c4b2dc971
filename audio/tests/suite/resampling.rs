use audio::{Block, Error, Resampler, resampled_len};
use proptest::prelude::*;

use crate::support::music;

/// Resamples in blocks of `part` frames.
fn resample(block: &[Vec<f32>], from: u32, to: u32, part: usize, target: Option<usize>) -> Block {
    let mut resampler = Resampler::new(from, to, block.len()).expect("rates");
    let mut out = vec![Vec::new(); block.len()];
    let mut add = |block: Block| out.iter_mut().zip(block).for_each(|(plane, part)| plane.extend(part));
    let frames = block[0].len();
    for start in (0..frames).step_by(part) {
        let end = frames.min(start + part);
        add(resampler
            .push(&block.iter().map(|plane| plane[start..end].to_vec()).collect::<Block>())
            .expect("pushed"));
    }
    add(resampler.finish(target).expect("finished"));
    out
}

fn sine(hz: f64, rate: u32, frames: usize) -> Vec<f32> {
    (0..frames)
        .map(|i| (std::f64::consts::TAU * hz * i as f64 / f64::from(rate)).sin() as f32 * 0.5)
        .collect()
}

#[test]
fn sines_keep_amplitude_and_phase_to_better_than_100_db() {
    for (from, to) in [
        (48_000, 44_100),
        (44_100, 48_000),
        (96_000, 44_100),
        (22_050, 44_100),
        (44_100, 32_000),
        (44_101, 44_100),
    ] {
        for hz in [50.0, 1_000.0, 10_000.0] {
            let frames = 2 * from as usize;
            let out = resample(&[sine(hz, from, frames)], from, to, 4096, None).remove(0);
            let wanted = sine(hz, to, out.len());
            // The ends hold the filter's ringing on the sudden start and stop of the tone.
            let inner = to as usize / 4..out.len() - to as usize / 4;
            let db = audio::measure::sdr_db(&[wanted[inner.clone()].to_vec()], &[out[inner].to_vec()]);
            println!("{from} -> {to} at {hz} Hz: {db:.1} dB");
            assert!(db > 100.0, "{from} -> {to} at {hz} Hz: {db:.1} dB");
        }
    }
}

#[test]
fn what_the_lower_rate_cannot_hold_is_gone() {
    let out = resample(&[sine(23_500.0, 48_000, 96_000)], 48_000, 44_100, 4096, None).remove(0);
    assert!(audio::measure::rms(&[out[20_000..60_000].to_vec()]) < 1e-5);
}

#[test]
fn a_round_trip_has_the_exact_length_and_no_lag() {
    for frames in [1, 2, 1000, 44_100, 100_003] {
        for (from, to) in [(48_000, 44_100), (96_000, 44_100), (22_050, 44_100), (8_000, 44_100)] {
            let original = music(2, frames, from);
            let there = resample(&original, from, to, 1000, None);
            assert_eq!(there[0].len(), resampled_len(frames, from, to));
            let back = resample(&there, to, from, 777, Some(frames));
            assert_eq!((back[0].len(), back[1].len()), (frames, frames));
            if frames > 10_000 {
                let late = audio::measure::lag(&original[0], &back[0], 100).expect("sound");
                assert!(late.fine.abs() < 0.01, "{from} {to} {late:?}");
            }
        }
    }
}

#[test]
fn equal_rates_pass_through_bit_for_bit() {
    let original = music(3, 5000, 44_100);
    assert_eq!(resample(&original, 44_100, 44_100, 999, None), original);
}

#[test]
fn block_sizes_make_no_difference() {
    let original = music(1, 30_000, 48_000);
    let whole = resample(&original, 48_000, 44_100, 30_000, None);
    assert_eq!(resample(&original, 48_000, 44_100, 17, None), whole);
}

#[test]
fn impossible_settings_are_refused_in_words() {
    let message = |result: Result<Resampler, Error>| result.expect_err("refused").to_string();
    assert_eq!(
        message(Resampler::new(0, 44_100, 2)),
        "a sample rate of 0 hz is outside 1000 hz to 768000 hz"
    );
    assert_eq!(
        message(Resampler::new(44_100, 999_999, 2)),
        "a sample rate of 999999 hz is outside 1000 hz to 768000 hz"
    );
    let mut resampler = Resampler::new(48_000, 44_100, 1).expect("rates");
    resampler.push(&[vec![0.0; 48_000]]).expect("pushed");
    assert!(matches!(resampler.finish(Some(10)), Err(Error::Resample { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_rates_give_the_announced_length(
        from in 1_000u32..=768_000,
        to in 1_000u32..=768_000,
        frames in 0usize..3_000,
        part in 1usize..2_000,
    ) {
        // Coprime rates of this size need transforms of millions of frames: keep the suite quick.
        let (from, to) = (from / 25 * 25, to / 25 * 25);
        let out = resample(&[vec![0.25; frames]], from, to, part, None);
        prop_assert_eq!(out[0].len(), resampled_len(frames, from, to));
        prop_assert!(out[0].iter().all(|sample| sample.is_finite() && sample.abs() < 0.5));
    }

    #[test]
    fn lengths_are_within_half_a_frame(n in 0usize..1 << 40, from in 1u32..768_000, to in 1u32..768_000) {
        let exact = n as f64 * f64::from(to) / f64::from(from);
        let len = resampled_len(n, from, to) as f64;
        prop_assert!((len - exact).abs() <= 0.5 + exact * 1e-15);
    }
}
