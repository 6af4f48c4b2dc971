use std::io::Cursor;

use audio::measure::lag;
use audio::{
    Bitrate, Block, Container, DecodeLimits, Decoder, Error, FlacDepth, Format, Front, Result, WavDepth,
};
use tags::{Cover, Tags};

use crate::support::{agreement_db, decoded_by_ffmpeg, dir, encode, made_by_ffmpeg, music, open};

const MP3: Format = Format::mp3(Bitrate::Cbr(128));

fn refusal(bytes: Vec<u8>) -> String {
    open(bytes).and_then(|mut decoder| decoder.read_all()).expect_err("refused").to_string()
}

fn decode(bytes: Vec<u8>) -> (Block, audio::Report) {
    let mut decoder = open(bytes).expect("opened");
    let block = decoder.read_all().expect("decoded");
    (block, decoder.report())
}

#[test]
fn what_is_not_audio_is_refused_in_one_sentence() {
    let unknown = "the file is not audio in a known format (mp3, wav, flac, ogg vorbis, m4a, aac or aiff)";
    assert_eq!(refusal(Vec::new()), "the file is empty");
    assert_eq!(refusal(b"It was a dark and stormy night.\n".repeat(1000)), unknown);
    assert_eq!(refusal(vec![0; 100_000]), unknown);
    assert_eq!(refusal(vec![0xff; 100_000]), unknown);
    assert_eq!(refusal(b"%PDF-1.7 and so on".to_vec()), unknown);
    assert_eq!(
        refusal(b"RIFF\x24\0\0\0WAVE".to_vec()),
        "the wav file cannot be read: it ends before its audio"
    );
    assert_eq!(
        refusal(b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42".to_vec()),
        "the mp4 file cannot be read: its index is missing, as in a file that is cut short"
    );
    assert_eq!(refusal(b"fLaC".to_vec()), "the flac file cannot be read: it ends before its audio");
}

#[test]
fn codecs_that_are_not_decoded_are_named() {
    let dir = dir();
    let original = music(6, 20_000, 48_000);
    for (name, options, reason) in [
        ("a.ogg", ["-c:a", "libopus"], "ogg file holds audio that is not supported: opus"),
        ("b.m4a", ["-c:a", "ac3"], "mp4 file holds audio that is not supported: dolby digital"),
        (
            "c.m4a",
            ["-c:a", "aac"],
            "mp4 file holds audio that is not supported: aac of more than two channels or of another profile than low complexity",
        ),
    ] {
        let path = made_by_ffmpeg(dir.path(), name, &original, 48_000, &options);
        assert_eq!(refusal(std::fs::read(path).expect("read")), format!("the {reason}"));
    }
}

#[test]
fn an_mp3_cut_inside_its_first_frame_says_so() {
    let mut bytes = encode(&music(2, 5000, 44_100), MP3, 44_100);
    bytes.truncate(200);
    assert_eq!(refusal(bytes), "the file ends inside its first frame, 217 bytes before that frame's end");
}

#[test]
fn an_mp3_cut_anywhere_later_gives_what_is_there() {
    let original = music(2, 50_000, 44_100);
    let whole = encode(&original, MP3, 44_100);
    let (full, _) = decode(whole.clone());
    for cut in [2000, 5001, 9999, whole.len() - 1] {
        let (part, _) = decode(whole[..cut].to_vec());
        assert!(!part[0].is_empty() && part[0].len() <= 50_000 + 1152, "{cut}: {}", part[0].len());
        let common = part[0].len().min(full[0].len());
        assert_eq!(part[0][..common], full[0][..common]);
    }
}

#[test]
fn a_file_that_ends_in_its_headers_is_refused_and_one_cut_later_decodes() {
    for format in [Format::Wav(WavDepth::Bits16), Format::Flac(FlacDepth::Bits16)] {
        let whole = encode(&music(2, 50_000, 44_100), format, 44_100);
        for cut in [13, 20, 41] {
            assert!(open(whole[..cut].to_vec()).is_err(), "{format:?} {cut}");
        }
        let (part, _) = decode(whole[..whole.len() / 2].to_vec());
        assert!((15_000..35_000).contains(&part[0].len()), "{format:?} {}", part[0].len());
    }
}

#[test]
fn covers_of_any_size_and_names_of_any_kind_make_no_difference() {
    let dir = dir();
    let (plain, _) = decode(encode(&music(2, 20_000, 44_100), MP3, 44_100));
    for size in [100_000, 1_500_000, 20 << 20] {
        let mut picture = b"\xff\xd8\xff\xe0".to_vec();
        // Full of what looks like frame headers.
        picture.extend(b"\xff\xfb\x90\x64".iter().cycle().take(size));
        let tags = Tags { title: Some("Song".to_owned()), cover: Cover::new(picture), ..Tags::default() };
        let mut file = Cursor::new(encode(&music(2, 20_000, 44_100), MP3, 44_100));
        tags::write(&mut file, &tags).expect("tagged");
        // Other programs stack tags and append old ones.
        let mut bytes = b"ID3\x04\0\0\0\0\0\x0a0123456789".to_vec();
        bytes.extend(file.into_inner());
        bytes.extend([b"TAG".to_vec(), vec![b'x'; 125]].concat());
        let path = dir.path().join("song.wav.txt");
        std::fs::write(&path, &bytes).expect("written");
        let mut decoder = Decoder::open_path(&path, &DecodeLimits::default(), None).expect("opened");
        assert_eq!(decoder.info().container, Container::Mp3);
        assert!(decoder.read_all().expect("decoded") == plain, "{size}");
        assert_eq!(decoder.report().skipped_packets, 0);
    }
}

#[test]
fn decoded_seconds_are_capped_whatever_the_headers_say() {
    for format in [MP3, Format::Wav(WavDepth::Bits16), Format::Flac(FlacDepth::Bits16)] {
        let bytes = encode(&music(1, 5 * 44_100, 44_100), format, 44_100);
        let limits = |max_seconds| DecodeLimits { max_seconds, ..DecodeLimits::default() };
        let run = |max_seconds| -> Result<Block> {
            Decoder::open(Box::new(Cursor::new(bytes.clone())), &limits(max_seconds), None)?.read_all()
        };
        assert_eq!(run(5.5).expect("below the limit")[0].len(), 5 * 44_100);
        assert_eq!(run(5.0).expect("at the limit")[0].len(), 5 * 44_100);
        assert_eq!(run(4.0).expect_err("above").to_string(), "the file holds more than 4 s of audio");
    }
}

/// Where the fields of the Xing and LAME tag are in an MPEG-1 stereo file.
const XING: usize = 36;

#[test]
fn lengths_that_lie_in_a_lame_tag_neither_cut_nor_stretch_the_music() {
    let original = music(2, 50_000, 44_100);
    let whole = encode(&original, MP3, 44_100);
    assert_eq!(&whole[XING..XING + 4], b"Info");
    for promised in [0u32, 1, 5, 1000, u32::MAX] {
        let mut bytes = whole.clone();
        bytes[XING + 8..XING + 12].copy_from_slice(&promised.to_be_bytes());
        // The tag's checksum would give the lie away.
        let end = XING + 154;
        bytes[end..end + 2].fill(0);
        let (block, _) = decode(bytes);
        assert!((50_000..=50_000 + 3000).contains(&block[0].len()), "{promised}: {}", block[0].len());
    }
}

#[test]
fn a_variable_bit_rate_without_a_header_is_not_cut_at_a_guessed_length() {
    let dir = dir();
    let mut signal = vec![vec![0.0; 60_000]; 2];
    for (plane, loud) in signal.iter_mut().zip(music(2, 60_000, 44_100)) {
        plane.extend(loud);
    }
    let options = ["-c:a", "libmp3lame", "-q:a", "0", "-write_xing", "0"];
    for flip in [false, true] {
        if flip {
            for plane in &mut signal {
                plane.reverse();
            }
        }
        let path = made_by_ffmpeg(dir.path(), "a.mp3", &signal, 44_100, &options);
        let ours = Decoder::open_path(&path, &DecodeLimits::default(), None).and_then(|mut d| d.read_all());
        assert_eq!(ours.expect("decoded")[0].len(), decoded_by_ffmpeg(&path, 2, "0:a:0")[0].len());
    }
}

#[test]
fn damage_in_the_middle_becomes_silence_and_what_follows_stays_in_place() {
    let dir = dir();
    let original = music(2, 200_000, 44_100);
    let ogg = made_by_ffmpeg(dir.path(), "a.ogg", &original, 44_100, &["-c:a", "libvorbis", "-q:a", "5"]);
    let aac = made_by_ffmpeg(dir.path(), "a.m4a", &original, 44_100, &["-c:a", "aac", "-b:a", "192k"]);
    let files = [
        ("mp3", encode(&original, MP3, 44_100)),
        ("flac", encode(&original, Format::Flac(FlacDepth::Bits16), 44_100)),
        ("ogg", std::fs::read(ogg).expect("read")),
        ("m4a", std::fs::read(aac).expect("read")),
    ];
    for (name, mut bytes) in files {
        let (whole, _) = decode(bytes.clone());
        let middle = bytes.len() / 2;
        bytes[middle..middle + 2000].fill(0x55);
        let (block, report) = decode(bytes);
        let tail = 150_000..199_000;
        let late = lag(&whole[0][tail.clone()], &block[0][tail], 4096).expect("sound");
        println!("{name}: {report:?}, {} frames, lag {}", block[0].len(), late.frames);
        assert_eq!((block[0].len(), late.frames), (200_000, 0), "{name}");
    }
}

#[test]
fn a_file_without_one_good_packet_is_refused() {
    let mut bytes = encode(&music(2, 50_000, 44_100), MP3, 44_100);
    // Keeps the frame headers and breaks everything between them.
    let starts: Vec<usize> = frame_starts(&bytes);
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(bytes.len());
        bytes[start + 4..end].fill(0xff);
    }
    let text = refusal(bytes);
    assert!(text.starts_with("none of the ") && text.ends_with(" can be decoded"), "{text}");
}

/// Offsets of the frames of an MP3 at 128 kbit/s and 44.1 kHz.
fn frame_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 4 <= bytes.len() {
        starts.push(at);
        at += 417 + usize::from(bytes[at + 2] >> 1 & 1);
    }
    starts
}

#[test]
fn a_change_of_sample_rate_is_an_error_and_one_of_channels_is_not() {
    let stereo = encode(&music(2, 50_000, 44_100), MP3, 44_100);
    let mono = encode(&music(1, 50_000, 44_100), MP3, 44_100);
    let other = encode(&music(2, 50_000, 48_000), MP3, 48_000);
    let text = refusal([stereo.clone(), other].concat());
    assert!(text.starts_with("the sample rate changes from 44100 hz to 48000 hz after 1."), "{text}");
    for (first, second, channels) in [(&stereo, &mono, 2), (&mono, &stereo, 1)] {
        let (block, _) = decode([&first[..], &second[..]].concat());
        assert_eq!(block.len(), channels);
        assert!((100_000..106_000).contains(&block[0].len()), "{}", block[0].len());
        assert!(audio::measure::rms(&[block[channels - 1][60_000..90_000].to_vec()]) > 0.05);
    }
}

#[test]
fn tags_between_joined_mp3_files_are_not_taken_for_lost_music() {
    let plain = encode(&music(2, 50_000, 44_100), MP3, 44_100);
    let mut tagged = Cursor::new(plain.clone());
    let cover = Cover::new([&b"\x89PNG"[..], &vec![0x11; 400_000]].concat());
    tags::write(&mut tagged, &Tags { cover, ..Tags::default() }).expect("tagged");
    let old = [&b"TAG"[..], &[b'x'; 125]].concat();
    let (joined, _) = decode([plain.clone(), plain.clone()].concat());
    let (with_tags, report) = decode([plain, old, tagged.into_inner()].concat());
    assert!(joined == with_tags, "{report:?}");
    assert_eq!(report.silent_frames, 0);
}

#[test]
fn joined_ogg_files_play_one_after_the_other() {
    let dir = dir();
    let file = |n: usize| {
        let signal = music(2, n, 44_100);
        std::fs::read(made_by_ffmpeg(dir.path(), "a.ogg", &signal, 44_100, &["-c:a", "libvorbis"]))
            .expect("read")
    };
    let (block, _) = decode([file(40_000), file(30_000)].concat());
    assert_eq!(block[0].len(), 70_000);
}

#[test]
fn front_channels_of_surround_are_left_and_right() {
    let dir = dir();
    let original = music(6, 50_000, 48_000);
    for (name, options) in [
        ("a.wav", &["-c:a", "pcm_s24le"][..]),
        ("a.flac", &[]),
        ("a.ogg", &["-c:a", "libvorbis", "-q:a", "8"]),
    ] {
        let path = made_by_ffmpeg(dir.path(), name, &original, 48_000, options);
        let mut decoder = Decoder::open_path(&path, &DecodeLimits::default(), None).expect("opened");
        let front = decoder.info().front;
        assert_eq!(front, Front { left: 0, right: 1 });
        let two = audio::stereo(decoder.read_all().expect("decoded"), front);
        assert!(agreement_db(&original[..2], &two) > 5.0, "{name} {}", agreement_db(&original[..2], &two));
    }
}

#[test]
fn wav_headers_with_wrong_sizes_still_give_the_samples() {
    let original = music(2, 30_000, 44_100);
    let whole = encode(&original, Format::Wav(WavDepth::Bits16), 44_100);
    let data = whole.windows(4).position(|id| id == b"data").expect("a data chunk") + 4;
    for riff in [0, 7, u32::MAX] {
        for size in [0, u32::MAX, whole.len() as u32 * 2] {
            let mut bytes = whole.clone();
            bytes[4..8].copy_from_slice(&riff.to_le_bytes());
            bytes[data..data + 4].copy_from_slice(&size.to_le_bytes());
            assert_eq!(decode(bytes).0[0].len(), 30_000, "{riff} {size}");
        }
    }
}

#[test]
fn more_channels_than_anyone_has_are_refused() {
    let mut bytes = encode(&music(2, 3000, 44_100), Format::Wav(WavDepth::Bits16), 44_100);
    let fmt = bytes.windows(4).position(|id| id == b"fmt ").expect("a format chunk") + 8;
    bytes[fmt + 2..fmt + 4].copy_from_slice(&60_000u16.to_le_bytes());
    bytes[fmt + 12..fmt + 14].copy_from_slice(&(60_000u32 * 2).to_le_bytes()[..2]);
    let text = refusal(bytes);
    assert!(text.contains("wav"), "{text}");
    assert!(matches!(
        Error::Channels { channels: 65, max: 64 }.to_string().as_str(),
        "65 channels are not supported: at least 1 and at most 64"
    ));
}
