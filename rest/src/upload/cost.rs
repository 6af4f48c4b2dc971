//! How long a song is, as its bytes suggest; for fairness and estimates only, never for memory.

use std::ops::Range;

use tags::{Container, Sniffed, frame};

use super::sparse::Sparse;

/// Bytes for each millisecond of what says nothing of itself: 320 kbit/s.
const UNKNOWN_BYTES_PER_MS: u64 = 40;

/// No song is taken for longer than a day.
const MOST_MS: u64 = 24 * 3600 * 1000;

/// Milliseconds of audio.
pub(crate) fn cost_ms(file: &mut Sparse, sniffed: &Sniffed) -> u64 {
    let audio = &sniffed.audio;
    let bytes = audio.end.saturating_sub(audio.start);
    let known = match sniffed.container {
        Container::Mp3 => frames(file.from(audio.start), audio, frame::mp3),
        Container::Adts => frames(file.from(audio.start), audio, frame::adts),
        Container::Wav => wav(file.from(audio.start), bytes),
        Container::Flac => flac(file.from(audio.start)),
        Container::Ogg | Container::Mp4 | Container::Aiff => tags::length_ms(file, sniffed),
    };
    known.unwrap_or(bytes / UNKNOWN_BYTES_PER_MS).clamp(1, MOST_MS)
}

/// By the mean length of the frames that are at hand.
fn frames(head: &[u8], audio: &Range<u64>, parse: frame::Parser) -> Option<u64> {
    let (mut at, mut samples, mut rate) = (0, 0u64, 0);
    while let Some(frame) = head.get(at..).and_then(parse) {
        at += frame.bytes;
        samples += frame.frames as u64;
        rate = u64::from(frame.rate);
    }
    let ms = samples * 1000 / rate.max(1);
    (at > 0).then(|| (audio.end - audio.start) as f64 / at as f64 * ms as f64).map(|ms| ms as u64)
}

/// By the bytes per second that a WAV file's format chunk names.
fn wav(head: &[u8], bytes: u64) -> Option<u64> {
    let format = head.windows(8).take(4096).position(|window| window.starts_with(b"fmt "))?;
    let per_second = head.get(format + 16..format + 20)?;
    let per_second = u64::from(u32::from_le_bytes(per_second.try_into().ok()?));
    (per_second > 0).then(|| bytes.saturating_mul(1000) / per_second)
}

/// By the number of samples that a FLAC file's first block names.
fn flac(head: &[u8]) -> Option<u64> {
    let word = u64::from_be_bytes(head.get(18..26)?.try_into().ok()?);
    let (rate, samples) = (word >> 44, word & 0xf_ffff_ffff);
    (rate > 0 && samples > 0).then(|| samples * 1000 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(container: Container, bytes: Vec<u8>) -> u64 {
        let len = bytes.len() as u64;
        cost_ms(&mut Sparse { len, parts: vec![(0, bytes)], at: 0 }, &Sniffed { container, audio: 0..len })
    }

    #[test]
    fn headers_tell_the_length() {
        let mut frame = vec![0; 417];
        frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x64]);
        assert!((2600..2620).contains(&cost(Container::Mp3, frame.repeat(100))));
        let mut wav =
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0data".to_vec();
        wav.resize(176_400, 0);
        assert_eq!(cost(Container::Wav, wav), 1000);
        let mut flac = b"fLaC\0\0\0\x22".to_vec();
        flac.resize(18, 0);
        flac.extend_from_slice(&((44_100u64 << 44) + 88_200).to_be_bytes());
        assert_eq!(cost(Container::Flac, flac), 2000);
        assert_eq!(cost(Container::Mp4, vec![0; 40_000]), 1000);
    }

    #[test]
    fn lies_are_bounded() {
        let mut flac = b"fLaC\0\0\0\x22".to_vec();
        flac.resize(18, 0);
        flac.extend_from_slice(&(1u64 << 44 | 0xf_ffff_ffff).to_be_bytes());
        assert_eq!(cost(Container::Flac, flac), MOST_MS);
        assert_eq!(cost(Container::Mp3, Vec::new()), 1);
    }
}
