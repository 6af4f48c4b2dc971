//! From options on the command line to those of a server's job.

use anyhow::{Context, Result, bail, ensure};
use common::StemName;
use common::job::{ClipMode, Format, Mix, Options};

use crate::cli::{ClipArg, RecipeArgs};
use crate::format::format;
use crate::recipe;

/// What the arguments ask of a model with these sources, in its one form: what a server would refuse fails here.
pub(crate) fn options(args: &RecipeArgs, model: &str, sources: &[String]) -> Result<Options> {
    let names = sources.iter().map(|source| stem(source)).collect::<Result<Vec<_>>>()?;
    let wanted = recipe::wanted(args);
    let options = Options {
        model: model.parse().with_context(|| format!("\"{model}\" is no name of a network"))?,
        stems: wanted.iter().flatten().map(|name| stem(name)).collect::<Result<_>>()?,
        two_stems: args.two_stems.as_deref().map(stem).transpose()?,
        mixes: args.mixes.iter().map(|text| mix(text, sources)).collect::<Result<_>>()?,
        only_mixes: wanted.as_ref().is_some_and(Vec::is_empty),
        format: of_server(format(&args.format)?)?,
        rate_hz: args.format.rate,
        shifts: args.shifts,
        overlap: args.overlap,
        clip: clip(args.clip_mode)?,
    };
    Ok(options.checked(&names, &[])?)
}

/// A mix as a server has it: stems that are not named count once, as they do for `msaas separate`.
pub(crate) fn mix(text: &str, sources: &[String]) -> Result<Mix> {
    let sum = recipe::mix(text, sources)?;
    ensure!(sum.mixture == 0.0, "\"{text}\": a server mixes stems, not the song itself");
    ensure!(!sources.contains(&sum.name), "\"{text}\": a stem is called {} already", sum.name);
    let gains = sources.iter().zip(&sum.gains).filter(|(_, gain)| **gain != 0.0);
    let gains = gains.map(|(source, gain)| Ok((stem(source)?, *gain))).collect::<Result<_>>()?;
    Ok(Mix { name: stem(&sum.name)?, gains })
}

fn stem(name: &str) -> Result<StemName> {
    let name = name.trim();
    name.parse().with_context(|| format!("\"{name}\" is no name of a stem: a-z, 0-9 and _ are possible"))
}

fn of_server(format: audio::Format) -> Result<Format> {
    Ok(match format {
        audio::Format::Mp3 { preset, .. } if preset != audio::Preset::BEST => {
            bail!("a server writes MP3 at the best preset only")
        }
        audio::Format::Mp3 { bitrate: audio::Bitrate::Cbr(bitrate_kbps), .. } => Format::Mp3 { bitrate_kbps },
        audio::Format::Mp3 { bitrate: audio::Bitrate::Vbr(_), .. } => {
            bail!("a server writes MP3 at constant bit rates only")
        }
        audio::Format::Wav(depth) => Format::Wav {
            bits: match depth {
                audio::WavDepth::Bits16 => 16,
                audio::WavDepth::Bits24 => 24,
                audio::WavDepth::Float32 => 32,
            },
        },
        audio::Format::Flac(depth) => Format::Flac {
            bits: match depth {
                audio::FlacDepth::Bits16 => 16,
                audio::FlacDepth::Bits24 => 24,
            },
        },
    })
}

fn clip(arg: ClipArg) -> Result<ClipMode> {
    Ok(match arg {
        ClipArg::Common => ClipMode::Common,
        ClipArg::Rescale => ClipMode::Rescale,
        ClipArg::Clamp => ClipMode::Clamp,
        ClipArg::None => ClipMode::None,
        ClipArg::Tanh => bail!("a server's clip modes are common, rescale, clamp and none"),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn asked(words: &[&str]) -> Result<Options> {
        let words = ["msaas", "submit", "song"].iter().chain(words);
        let Command::Submit(args) = Cli::try_parse_from(words)?.command else { bail!("another command") };
        let sources = ["drums", "bass", "other", "vocals"].map(String::from);
        options(&args.recipe, "htdemucs", &sources)
    }

    fn json(words: &[&str]) -> serde_json::Value {
        serde_json::to_value(asked(words).unwrap()).unwrap()
    }

    #[test]
    fn what_is_not_said_is_what_a_server_does_anyway() {
        assert_eq!(asked(&[]).unwrap(), Options::default());
    }

    #[test]
    fn options_mean_what_they_mean_for_separate() {
        assert_eq!(json(&["--flac"])["format"]["flac"]["bits"], 24);
        assert_eq!(json(&["--float32"])["format"]["wav"]["bits"], 32);
        assert_eq!(json(&["--stems", "none", "--mix", "a:vocals=0"])["only_mixes"], true);
        assert_eq!(json(&["--bitrate", "192"])["format"]["mp3"]["bitrate_kbps"], 192);
        assert_eq!(json(&["--stems", "vocals, bass"])["stems"], serde_json::json!(["bass", "vocals"]));
        let mix = &json(&["--mix", "karaoke:vocals=0,drums=0.5"])["mixes"][0];
        assert_eq!(mix["name"], "karaoke");
        assert_eq!(mix["gains"], serde_json::json!({ "drums": 0.5, "bass": 1.0, "other": 1.0 }));
    }

    #[test]
    fn what_a_server_cannot_do_is_refused_in_words() {
        for words in [
            &["--vbr", "2"][..],
            &["--clip-mode", "tanh"],
            &["--mix", "song:mixture=1"],
            &["--mix", "Karaoke:vocals=0"],
            &["--mix", "bass:vocals=0"],
            &["--stems", "flute"],
            &["--stems", "none"],
            &["--overlap", "0.95"],
        ] {
            assert!(asked(words).is_err(), "{words:?}");
        }
    }
}
