use audio::measure::lag;
use audio::{Bitrate, DecodeLimits, Decoder, FlacDepth, Format, WavDepth, stereo};

use crate::support::{FRAMES, agreement_db, decoded_by_ffmpeg, dir, encode, made_by_ffmpeg, music};

/// One way to make a file, and what must come out of it.
struct Kind {
    name: &'static str,
    rate: u32,
    channels: usize,
    options: &'static [&'static str],
    /// The file says where the music starts and ends.
    gapless: bool,
    /// Least agreement with ffmpeg's decoder, dB.
    min_db: f64,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "u8.wav",
        rate: 44_100,
        channels: 2,
        options: &["-c:a", "pcm_u8"],
        gapless: true,
        min_db: 200.0,
    },
    Kind {
        name: "s16.wav",
        rate: 44_100,
        channels: 2,
        options: &["-c:a", "pcm_s16le"],
        gapless: true,
        min_db: 200.0,
    },
    Kind {
        name: "s24.wav",
        rate: 96_000,
        channels: 2,
        options: &["-c:a", "pcm_s24le"],
        gapless: true,
        min_db: 140.0,
    },
    Kind {
        name: "s32.wav",
        rate: 48_000,
        channels: 2,
        options: &["-c:a", "pcm_s32le"],
        gapless: true,
        min_db: 140.0,
    },
    Kind {
        name: "f32.wav",
        rate: 8_000,
        channels: 1,
        options: &["-c:a", "pcm_f32le"],
        gapless: true,
        min_db: 200.0,
    },
    Kind {
        name: "f64.wav",
        rate: 192_000,
        channels: 2,
        options: &["-c:a", "pcm_f64le"],
        gapless: true,
        min_db: 140.0,
    },
    Kind {
        name: "rf64.wav",
        rate: 44_100,
        channels: 2,
        options: &["-c:a", "pcm_s16le", "-rf64", "always"],
        gapless: true,
        min_db: 200.0,
    },
    Kind {
        name: "surround.wav",
        rate: 48_000,
        channels: 6,
        options: &["-c:a", "pcm_s24le"],
        gapless: true,
        min_db: 140.0,
    },
    Kind {
        name: "s24.flac",
        rate: 96_000,
        channels: 2,
        options: &["-sample_fmt", "s32"],
        gapless: true,
        min_db: 140.0,
    },
    Kind {
        name: "s16.flac",
        rate: 44_100,
        channels: 2,
        options: &["-sample_fmt", "s16"],
        gapless: true,
        min_db: 200.0,
    },
    Kind {
        name: "be16.aiff",
        rate: 44_100,
        channels: 2,
        options: &["-c:a", "pcm_s16be"],
        gapless: true,
        min_db: 200.0,
    },
    Kind {
        name: "be24.aiff",
        rate: 48_000,
        channels: 2,
        options: &["-c:a", "pcm_s24be"],
        gapless: true,
        min_db: 140.0,
    },
    Kind {
        name: "sowt.aifc",
        rate: 48_000,
        channels: 2,
        options: &["-c:a", "pcm_s16le", "-f", "aiff"],
        gapless: true,
        min_db: 200.0,
    },
    Kind {
        name: "alac.m4a",
        rate: 44_100,
        channels: 2,
        options: &["-c:a", "alac"],
        gapless: true,
        min_db: 200.0,
    },
    Kind {
        name: "aac.m4a",
        rate: 44_100,
        channels: 2,
        options: &["-c:a", "aac", "-b:a", "192k"],
        gapless: true,
        min_db: 80.0,
    },
    Kind {
        name: "mono.m4a",
        rate: 48_000,
        channels: 1,
        options: &["-c:a", "aac", "-b:a", "96k"],
        gapless: true,
        min_db: 80.0,
    },
    Kind {
        name: "moov-first.m4a",
        rate: 48_000,
        channels: 2,
        options: &["-c:a", "aac", "-movflags", "+faststart"],
        gapless: true,
        min_db: 80.0,
    },
    Kind {
        name: "adts.aac",
        rate: 44_100,
        channels: 2,
        options: &["-c:a", "aac", "-b:a", "192k"],
        gapless: false,
        min_db: 80.0,
    },
    Kind {
        name: "vorbis.ogg",
        rate: 44_100,
        channels: 2,
        options: &["-c:a", "libvorbis", "-q:a", "6"],
        gapless: true,
        min_db: 80.0,
    },
    // symphonia 0.6.1 gets short blocks of uncoupled channels wrong; 5.1 is coupled.
    Kind {
        name: "three.ogg",
        rate: 48_000,
        channels: 3,
        options: &["-af", "channelmap=0|1|2:3.0", "-c:a", "libvorbis", "-q:a", "4"],
        gapless: true,
        min_db: 25.0,
    },
    Kind {
        name: "eight.ogg",
        rate: 48_000,
        channels: 8,
        options: &["-af", "channelmap=0|1|2|3|4|5|6|7:7.1", "-c:a", "libvorbis", "-q:a", "4"],
        gapless: true,
        min_db: 25.0,
    },
    Kind {
        name: "surround.ogg",
        rate: 48_000,
        channels: 6,
        options: &["-c:a", "libvorbis", "-q:a", "4"],
        gapless: true,
        min_db: 80.0,
    },
    Kind {
        name: "cbr.mp3",
        rate: 44_100,
        channels: 2,
        options: &["-c:a", "libmp3lame", "-b:a", "320k"],
        gapless: true,
        min_db: 90.0,
    },
    Kind {
        name: "vbr.mp3",
        rate: 48_000,
        channels: 2,
        options: &["-c:a", "libmp3lame", "-q:a", "2"],
        gapless: true,
        min_db: 90.0,
    },
    Kind {
        name: "untagged.mp3",
        rate: 44_100,
        channels: 2,
        options: &["-c:a", "libmp3lame", "-q:a", "4", "-write_xing", "0"],
        gapless: false,
        min_db: 90.0,
    },
    Kind {
        name: "mono.mp3",
        rate: 22_050,
        channels: 1,
        options: &["-c:a", "libmp3lame", "-b:a", "64k"],
        gapless: true,
        min_db: 90.0,
    },
    Kind {
        name: "low.mp3",
        rate: 8_000,
        channels: 1,
        options: &["-c:a", "libmp3lame", "-b:a", "16k"],
        gapless: true,
        min_db: 90.0,
    },
    Kind {
        name: "shine.mp3",
        rate: 44_100,
        channels: 2,
        options: &["-c:a", "libshine", "-b:a", "128k"],
        gapless: false,
        min_db: 90.0,
    },
];

#[test]
fn every_kind_of_file_decodes_to_the_length_and_alignment_of_the_original() {
    let dir = dir();
    let mut wrong = Vec::new();
    for kind in KINDS {
        let original = music(kind.channels, FRAMES, kind.rate);
        let path = made_by_ffmpeg(dir.path(), kind.name, &original, kind.rate, kind.options);
        let mut decoder = Decoder::open_path(&path, &DecodeLimits::default(), None).expect(kind.name);
        let front = decoder.info().front;
        assert_eq!(
            (decoder.info().sample_rate, decoder.info().channels),
            (kind.rate, kind.channels),
            "{}",
            kind.name
        );
        let ours = decoder.read_all().expect(kind.name);
        let theirs = decoded_by_ffmpeg(&path, kind.channels, "0:a:0");
        let late = lag(&original[0], &stereo(ours.clone(), front)[0], 4096).expect("sound");
        let db = agreement_db(&theirs, &ours);
        println!(
            "{:15} ours {} ffmpeg {} lag {} ({:.2}) agreement {db:.0} dB, {:?}",
            kind.name,
            ours[0].len(),
            theirs[0].len(),
            late.frames,
            late.fine,
            decoder.report()
        );
        let length = if kind.gapless { FRAMES } else { theirs[0].len() };
        let aligned = !kind.gapless || late.frames == 0 && late.fine.abs() < 0.1;
        if ours[0].len() != length || !aligned || db < kind.min_db || decoder.report().skipped_packets > 0 {
            wrong.push(kind.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn our_own_files_decode_to_the_length_and_alignment_of_the_original() {
    let formats = [
        Format::mp3(Bitrate::Cbr(320)),
        Format::mp3(Bitrate::Cbr(128)),
        Format::mp3(Bitrate::Vbr(0)),
        Format::Wav(WavDepth::Bits16),
        Format::Wav(WavDepth::Bits24),
        Format::Wav(WavDepth::Float32),
        Format::Flac(FlacDepth::Bits16),
        Format::Flac(FlacDepth::Bits24),
    ];
    let dir = dir();
    for format in formats {
        for channels in [1, 2] {
            let original = music(channels, FRAMES, 44_100);
            let path = dir.path().join("song");
            std::fs::write(&path, encode(&original, format, 44_100)).expect("written");
            let ours = Decoder::open_path(&path, &DecodeLimits::default(), None)
                .and_then(|mut d| d.read_all())
                .expect("decoded");
            let theirs = decoded_by_ffmpeg(&path, channels, "0:a:0");
            let late = lag(&original[0], &ours[0], 4096).expect("sound");
            assert_eq!((ours[0].len(), theirs[0].len()), (FRAMES, FRAMES), "{format:?}");
            assert!(late.frames == 0 && late.fine.abs() < 0.1, "{format:?} {late:?}");
            assert!(agreement_db(&theirs, &ours) > 90.0, "{format:?} {}", agreement_db(&theirs, &ours));
        }
    }
}

#[test]
fn any_track_of_a_file_with_several_can_be_chosen() {
    let dir = dir();
    let rate = 44_100;
    let mut args = Vec::new();
    let mut maps = Vec::new();
    let tracks: Vec<_> = (0..3).map(|i| music(2, 30_000 + 1000 * i, 44_100 + 7000 * i as u32)).collect();
    for (i, track) in tracks.iter().enumerate() {
        let source = dir.path().join(format!("{i}.wav"));
        std::fs::write(&source, encode(track, Format::Wav(WavDepth::Float32), rate)).expect("written");
        args.extend(["-i".to_owned(), source.display().to_string()]);
        maps.extend(["-map".to_owned(), format!("{i}:a")]);
    }
    let path = dir.path().join("song.stem.mp4");
    args.extend(maps);
    args.extend(["-c:a", "aac", "-b:a", "192k"].map(str::to_owned));
    args.push(path.display().to_string());
    crate::support::ffmpeg(args);
    for (i, track) in tracks.iter().enumerate() {
        let mut decoder = Decoder::open_path(&path, &DecodeLimits::default(), Some(i)).expect("opened");
        assert_eq!((decoder.info().tracks, decoder.info().track), (3, i));
        let ours = decoder.read_all().expect("decoded");
        let theirs = decoded_by_ffmpeg(&path, 2, &format!("0:a:{i}"));
        let late = lag(&track[0], &ours[0], 4096).expect("sound");
        println!("track {i}: ours {} ffmpeg {} wanted {}", ours[0].len(), theirs[0].len(), track[0].len());
        assert_eq!(ours[0].len(), track[0].len());
        assert!(late.frames == 0 && agreement_db(&theirs, &ours) > 80.0, "{late:?}");
    }
    let missing = Decoder::open_path(&path, &DecodeLimits::default(), Some(3)).expect_err("no such track");
    assert_eq!(missing.to_string(), "there is no audio track 3: the file has 3, counted from 0");
}

/// A box of an MP4 file.
fn mp4_box(kind: [u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let size = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    [&(size as u32).to_be_bytes()[..], &kind, &parts.concat()].concat()
}

#[test]
fn the_note_of_itunes_is_honoured_where_there_is_no_edit_list() {
    let dir = dir();
    let original = music(2, FRAMES, 44_100);
    let options = ["-c:a", "aac", "-use_editlist", "0", "-fflags", "+bitexact", "-flags", "+bitexact"];
    let path = made_by_ffmpeg(dir.path(), "a.m4a", &original, 44_100, &options);
    let mut bytes = std::fs::read(&path).expect("read");
    let decode = |bytes: &[u8]| {
        let source = std::io::Cursor::new(bytes.to_vec());
        Decoder::open(Box::new(source), &DecodeLimits::default(), None)
            .and_then(|mut d| d.read_all())
            .expect("decoded")
    };
    assert_eq!(lag(&original[0], &decode(&bytes)[0], 4096).expect("sound").frames, 1024);
    // The index stands at the end, so a longer one moves nothing.
    let at = bytes.windows(4).rposition(|kind| kind == b"moov").expect("an index") - 4;
    let note = format!(" 00000000 00000400 00000000 {FRAMES:016X} 00000000");
    let item = mp4_box(
        *b"----",
        &[
            &mp4_box(*b"mean", &[&[0; 4], b"com.apple.iTunes"]),
            &mp4_box(*b"name", &[&[0; 4], b"iTunSMPB"]),
            &mp4_box(*b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], note.as_bytes()]),
        ],
    );
    let handler = mp4_box(*b"hdlr", &[&[0; 8], b"mdirappl", &[0; 9]]);
    let meta = mp4_box(*b"meta", &[&[0; 4], &handler, &mp4_box(*b"ilst", &[&item])]);
    let udta = mp4_box(*b"udta", &[&meta]);
    let moov = mp4_box(*b"moov", &[&bytes[at + 8..], &udta]);
    bytes.splice(at.., moov);
    let ours = decode(&bytes);
    assert_eq!((ours[0].len(), lag(&original[0], &ours[0], 4096).expect("sound").frames), (FRAMES, 0));
}
