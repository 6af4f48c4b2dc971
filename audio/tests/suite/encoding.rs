use std::path::Path;

use audio::measure::{lag, sdr_db};
use audio::{Bitrate, Block, DecodeLimits, Decoder, Encoder, Error, FlacDepth, Format, StemFile, WavDepth};
use tags::{Cover, Tags};

use crate::support::{decoded_by_ffmpeg, dir, encode, ffmpeg, made_by_ffmpeg, music, open};

const MP3: Format = Format::mp3(Bitrate::Cbr(320));

#[test]
fn an_mp3_decodes_to_exactly_the_length_that_was_encoded() {
    let dir = dir();
    for rate in [32_000, 44_100, 48_000] {
        for format in [MP3, Format::mp3(Bitrate::Cbr(64)), Format::mp3(Bitrate::Vbr(2))] {
            for frames in [0, 1, 2, 47, 575, 576, 1104, 1105, 1151, 1152, 1153, 2303, 44_100] {
                let original = music(2, frames, rate);
                let bytes = encode(&original, format, rate);
                let path = dir.path().join("a.mp3");
                std::fs::write(&path, &bytes).expect("written");
                let ours = open(bytes).and_then(|mut decoder| decoder.read_all()).expect("decoded");
                assert_eq!(ours[0].len(), frames, "{format:?} {rate}");
                // ffmpeg takes shorter ones for something else.
                if frames > 10_000 {
                    let theirs = decoded_by_ffmpeg(&path, 2, "0:a:0")[0].len();
                    assert_eq!(theirs, frames, "ffmpeg, {format:?} {rate}");
                }
                if frames > 2000 {
                    let late = lag(&original[1], &ours[1], 2000).expect("sound");
                    assert!(late.frames == 0 && late.fine.abs() < 0.1, "{late:?}");
                }
            }
        }
    }
}

#[test]
fn an_mp3_is_as_loud_as_what_was_encoded_at_every_bit_rate() {
    let constant = [64, 80, 96, 112, 128, 160, 192, 224, 256, 320].map(Bitrate::Cbr);
    let variable = [0, 2, 4].map(Bitrate::Vbr);
    for bitrate in constant.into_iter().chain(variable) {
        for channels in [1, 2] {
            let tone: Vec<f32> = (0..44_100).map(|i| 0.5 * (i as f32 * 0.0627).sin()).collect();
            let original = vec![tone; channels];
            let decoded = open(encode(&original, Format::mp3(bitrate), 44_100))
                .and_then(|mut decoder| decoder.read_all())
                .expect("decoded");
            let inner = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let gain = inner(&original[0], &decoded[0]) / inner(&original[0], &original[0]);
            assert!((gain - 1.0).abs() < 0.004, "{bitrate:?}, {channels} channels: {gain}");
        }
    }
}

#[test]
fn integer_formats_give_back_every_value_on_their_grid() {
    let grid = |bits: u32| -> Block {
        let scale = (1u32 << (bits - 1)) as f32;
        let values = (0..70_000i64)
            .map(|i| ((i * 7919 * 13) % i64::from(1u32 << bits)) - i64::from(1u32 << (bits - 1)));
        let plane: Vec<f32> = values.map(|value| value as f32 / scale).collect();
        vec![plane.clone(), plane.into_iter().rev().collect()]
    };
    for (format, bits) in [
        (Format::Wav(WavDepth::Bits16), 16),
        (Format::Wav(WavDepth::Bits24), 24),
        (Format::Wav(WavDepth::Float32), 24),
        (Format::Flac(FlacDepth::Bits16), 16),
        (Format::Flac(FlacDepth::Bits24), 24),
    ] {
        let original = grid(bits);
        let decoded =
            open(encode(&original, format, 44_100)).and_then(|mut d| d.read_all()).expect("decoded");
        assert!(decoded == original, "{format:?}");
    }
}

#[test]
fn wav_files_are_what_another_reader_expects() {
    let original = music(2, 1001, 48_000);
    let bytes = encode(&original, Format::Wav(WavDepth::Bits24), 48_000);
    let mut reader = hound::WavReader::new(&bytes[..]).expect("a wav file");
    assert_eq!(
        (reader.spec().sample_rate, reader.spec().bits_per_sample, reader.duration()),
        (48_000, 24, 1001)
    );
    let read: Vec<i32> = reader.samples().collect::<Result<_, _>>().expect("samples");
    let wanted = original[1].iter().map(|sample| (sample * 8_388_608.0).round_ties_even() as i32);
    assert!(wanted.eq(read.iter().skip(1).step_by(2).copied()));
}

/// Signals that reach every way of coding a block.
fn hard_signals() -> Vec<(&'static str, Block)> {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let full: Vec<f32> = (0..20_000).map(|_| noise()).collect();
    let mut impulse = vec![0.0; 20_000];
    impulse[7777] = 1.0;
    let square: Vec<f32> = (0..20_000).map(|i| if i / 50 % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let opposite: Vec<f32> = square.iter().map(|sample| -sample).collect();
    let faint: Vec<f32> = full.iter().map(|sample| sample * 1e-4).collect();
    let mut jump = vec![0.0; 10_000];
    jump.extend(&full[..10_000]);
    vec![
        ("silence", vec![vec![0.0; 20_000]; 2]),
        ("noise", vec![full.clone(), full.iter().rev().copied().collect()]),
        ("equal", vec![full.clone(), full.clone()]),
        ("impulse", vec![impulse, full.clone()]),
        ("square", vec![square, opposite]),
        ("faint", vec![faint.clone(), faint]),
        ("jump", vec![jump.clone(), jump]),
        ("music", music(2, 50_000, 44_100)),
        ("mono", music(1, 50_000, 44_100)),
        ("surround", music(6, 20_000, 44_100)),
    ]
}

#[test]
fn flac_survives_hard_signals_and_its_checksum_is_right() {
    let dir = dir();
    for (name, signal) in hard_signals() {
        for (format, bits) in [(FlacDepth::Bits16, 16), (FlacDepth::Bits24, 24)] {
            let bytes = encode(&signal, Format::Flac(format), 44_100);
            let raw = signal.len() * signal[0].len() * bits / 8;
            println!("{name:9} {bits} bit: {:.3} of raw", bytes.len() as f64 / raw as f64);
            assert!(bytes.len() < raw + raw / 100 + 200, "{name} {bits}: {} of {raw}", bytes.len());
            let stated = bytes[26..42].iter().fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
            let path = dir.path().join("a.flac");
            std::fs::write(&path, &bytes).expect("written");
            let codec = if bits == 16 { "pcm_s16le" } else { "pcm_s24le" };
            let path = path.to_str().expect("utf-8");
            let strict = ["-err_detect", "crccheck+bitstream+buffer+explode"];
            let args = [&strict[..], &["-i", path, "-f", "md5", "-c:a", codec, "-"]].concat();
            let sum = String::from_utf8(ffmpeg(args)).expect("text");
            assert_eq!(sum.trim(), format!("MD5={stated:032x}"), "{name} {bits}");
            let decoded = open(bytes).and_then(|mut decoder| decoder.read_all()).expect("decoded");
            let floor = if bits == 16 { 1.0 / 32_768.0 } else { 1.0 / 8_388_608.0 };
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= floor;
            assert!(decoded.iter().flatten().zip(signal.iter().flatten()).all(close), "{name} {bits}");
        }
    }
}

#[test]
fn flac_of_any_short_length_is_exact() {
    for frames in (1..70).chain([4095, 4096, 4097, 8192]) {
        let signal = music(2, frames, 44_100);
        let decoded =
            open(encode(&signal, Format::Flac(FlacDepth::Bits24), 44_100)).and_then(|mut d| d.read_all());
        assert_eq!(decoded.expect("decoded")[0].len(), frames);
    }
}

#[test]
fn samples_beyond_full_scale_are_clamped_and_counted() {
    for format in [MP3, Format::Wav(WavDepth::Bits16), Format::Flac(FlacDepth::Bits24)] {
        let mut file = std::io::Cursor::new(Vec::new());
        let mut encoder = format.encoder(&mut file, 44_100, 1).expect("an encoder");
        encoder.write(&[vec![0.5, 1.0, -1.0, 1.5, -7.0, f32::NAN]]).expect("written");
        let done = encoder.finish().expect("finished");
        assert_eq!((done.frames, done.clipped_samples), (6, 2), "{format:?}");
    }
}

#[test]
fn settings_that_do_not_exist_are_refused_in_words() {
    let refused = |format: Format, rate, channels| {
        let encoder: Result<Box<dyn Encoder>, Error> =
            format.encoder(std::io::Cursor::new(Vec::new()), rate, channels);
        encoder.err().expect("refused").to_string()
    };
    assert_eq!(refused(MP3, 22_050, 2), "mp3 has no sample rate of 22050 hz");
    assert_eq!(
        refused(Format::mp3(Bitrate::Cbr(100)), 44_100, 2),
        "cannot encode mp3: 100 kbit/s is none of the bit rates, which are 64, 80, 96, 112, 128, 160, 192, 224, 256, 320"
    );
    assert_eq!(
        refused(Format::mp3(Bitrate::Vbr(10)), 44_100, 2),
        "cannot encode mp3: there is no quality 10: 0 is best, 9 is smallest"
    );
    assert_eq!(refused(MP3, 44_100, 3), "3 channels are not supported: at least 1 and at most 2");
    assert_eq!(refused(Format::Flac(FlacDepth::Bits16), 768_000, 2), "flac has no sample rate of 768000 hz");
}

fn tags() -> Tags {
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    picture.extend((0..200_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8));
    Tags {
        title: Some("Übung (vocals)".to_owned()),
        artist: Some("Ensemble Ω".to_owned()),
        album: Some("Stimmen".to_owned()),
        cover: Cover::new(picture),
    }
}

#[test]
fn a_stem_has_its_tags_and_the_same_audio_as_without() {
    let dir = dir();
    for format in [MP3, Format::Wav(WavDepth::Bits16), Format::Flac(FlacDepth::Bits16)] {
        let signal = music(2, 30_001, 44_100);
        let path = dir.path().join(format!("stem.{}", format.extension()));
        let mut stem = StemFile::create(&path, format, 44_100, 2).expect("created");
        stem.write(&signal).expect("written");
        assert!(!path.exists());
        stem.commit(&tags()).expect("committed");
        assert_eq!(tags::read_path(&path), tags(), "{format:?}");
        let plain = open(encode(&signal, format, 44_100))
            .and_then(|mut decoder| decoder.read_all())
            .expect("decoded");
        let tagged = Decoder::open_path(&path, &DecodeLimits::default(), None).and_then(|mut d| d.read_all());
        assert!(tagged.expect("decoded") == plain, "{format:?}");
        assert_eq!(decoded_by_ffmpeg(&path, 2, "0:a:0")[0].len(), 30_001, "{format:?}");
        assert_eq!(title_by_ffmpeg(&path), "Übung (vocals)", "{format:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 3);
}

fn title_by_ffmpeg(path: &Path) -> String {
    let text = ffmpeg(["-i", path.to_str().expect("utf-8"), "-f", "ffmetadata", "-"]);
    let text = String::from_utf8(text).expect("utf-8");
    text.lines()
        .find(|line| line.to_lowercase().starts_with("title="))
        .map_or_else(String::new, |line| line[6..].to_owned())
}

#[test]
fn mp3_quality_is_that_of_lame_elsewhere() {
    let dir = dir();
    let signal = music(2, 100_000, 44_100);
    let ours =
        open(encode(&signal, MP3, 44_100)).and_then(|mut decoder| decoder.read_all()).expect("decoded");
    let options = ["-c:a", "libmp3lame", "-b:a", "320k", "-compression_level", "2"];
    let path = made_by_ffmpeg(dir.path(), "a.mp3", &signal, 44_100, &options);
    let theirs = Decoder::open_path(&path, &DecodeLimits::default(), None).and_then(|mut d| d.read_all());
    let (ours, theirs) = (sdr_db(&signal, &ours), sdr_db(&signal, &theirs.expect("decoded")));
    println!("320 kbit/s: ours {ours:.2} dB, ffmpeg's {theirs:.2} dB");
    assert!((ours - theirs).abs() < 0.5);
}
