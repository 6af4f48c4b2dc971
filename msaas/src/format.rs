//! From options to a file format.

use anyhow::{Result, bail};
use audio::{Bitrate, FlacDepth, Format, Preset, WavDepth};

use crate::cli::{FormatArg, FormatArgs};

/// The file format that the arguments describe, in their own words or in those of demucs.
pub(crate) fn format(args: &FormatArgs) -> Result<Format> {
    let only = |format: &str| bail!("that option belongs to {format} files");
    let bits = match (args.int24, args.float32) {
        (true, _) => Some(24),
        (_, true) => Some(32),
        _ => args.bits,
    };
    let format = match kind(args) {
        FormatArg::Mp3 if bits.is_some() => return only("WAV and FLAC"),
        FormatArg::Wav | FormatArg::Flac
            if args.bitrate.is_some() || args.vbr.is_some() || args.mp3_preset.is_some() =>
        {
            return only("MP3");
        }
        FormatArg::Mp3 => Format::Mp3 {
            bitrate: match args.vbr {
                Some(quality) => Bitrate::Vbr(quality),
                None => Bitrate::Cbr(args.bitrate.unwrap_or(320)),
            },
            preset: args.mp3_preset.and_then(Preset::new).unwrap_or(Preset::BEST),
        },
        FormatArg::Wav => Format::Wav(match bits {
            Some(16) => WavDepth::Bits16,
            None | Some(24) => WavDepth::Bits24,
            Some(32) => WavDepth::Float32,
            Some(bits) => bail!("WAV files have 16, 24 or 32 bits, not {bits}"),
        }),
        FormatArg::Flac => Format::Flac(match bits {
            Some(16) => FlacDepth::Bits16,
            None | Some(24) => FlacDepth::Bits24,
            Some(bits) => bail!("FLAC files have 16 or 24 bits, not {bits}"),
        }),
    };
    // Finds out now, not after minutes of separation, whether the encoder takes these settings.
    format.encoder(std::io::Cursor::new(Vec::new()), args.rate.unwrap_or(44_100), 2)?;
    Ok(format)
}

fn kind(args: &FormatArgs) -> FormatArg {
    let of_demucs = if args.int24 || args.float32 { FormatArg::Wav } else { FormatArg::Mp3 };
    match args.format {
        Some(format) => format,
        None if args.flac => FormatArg::Flac,
        None if args.mp3 => FormatArg::Mp3,
        None => of_demucs,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(options: &[&str]) -> Result<Format> {
        let words = ["msaas", "separate", "song"].iter().chain(options);
        match Cli::try_parse_from(words)?.command {
            Command::Separate(args) => format(&args.recipe.format),
            _ => bail!("another command"),
        }
    }

    #[test]
    fn the_spellings_of_demucs_are_understood() {
        for (options, expected) in [
            (&[][..], Format::mp3(Bitrate::Cbr(320))),
            (&["--mp3", "--mp3-bitrate", "192"], Format::mp3(Bitrate::Cbr(192))),
            (&["--flac"], Format::Flac(FlacDepth::Bits24)),
            (&["--flac", "--int24"], Format::Flac(FlacDepth::Bits24)),
            (&["--int24"], Format::Wav(WavDepth::Bits24)),
            (&["--float32"], Format::Wav(WavDepth::Float32)),
            (&["--format", "wav", "--bits", "16"], Format::Wav(WavDepth::Bits16)),
            (
                &["--mp3-preset", "7"],
                Format::Mp3 { bitrate: Bitrate::Cbr(320), preset: Preset::new(7).expect("a preset") },
            ),
            (&["--vbr", "2"], Format::mp3(Bitrate::Vbr(2))),
        ] {
            assert_eq!(parse(options).unwrap(), expected, "{options:?}");
        }
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        for options in [
            &["--mp3", "--flac"][..],
            &["--mp3", "--format", "wav"],
            &["--int24", "--float32"],
            &["--int24", "--bits", "16"],
            &["--mp3", "--float32"],
            &["--flac", "--float32"],
            &["--flac", "--mp3-preset", "3"],
            &["--mp3-preset", "1"],
        ] {
            assert!(parse(options).is_err(), "{options:?}");
        }
    }
}
