//! From words on the command line to stems.

use anyhow::{Context, Result, ensure};
use demucs::{Rest, Stem};

use crate::cli::{OtherArg, RecipeArgs, SeparateArgs};

/// How a mix is called that has no name.
const MIX: &str = "mix";
/// What `--stems` says for no stem at all.
const NONE: &str = "none";
/// What the song itself is called in a mix.
const MIXTURE: &str = "mixture";
/// Largest gain of a stem in a mix.
const MAX_GAIN: f32 = 100.0;

/// The stems that the arguments ask for, given the sources that the model has.
pub(crate) fn stems(args: &SeparateArgs, sources: &[String]) -> Result<Vec<Stem>> {
    let recipe = &args.recipe;
    let mut stems = if let Some(stem) = &recipe.two_stems {
        let other = match args.other_method {
            OtherArg::None => None,
            OtherArg::Add => Some(Stem::without(stem, Rest::Sum, sources)?),
            OtherArg::Minus => Some(Stem::without(stem, Rest::Minus, sources)?),
        };
        [Stem::of(stem, sources)?].into_iter().chain(other).collect()
    } else if let Some(wanted) = wanted(recipe) {
        wanted.into_iter().map(|stem| Stem::of(stem, sources)).collect::<Result<_, _>>()?
    } else {
        Stem::all(sources)
    };
    for text in &recipe.mixes {
        stems.push(mix(text, sources)?);
    }
    ensure!(!stems.is_empty(), "nothing is asked for: --stems none needs a --mix");
    for (i, stem) in stems.iter().enumerate() {
        ensure!(stems[..i].iter().all(|other| other.name != stem.name), "{} is asked for twice", stem.name);
    }
    Ok(stems)
}

/// The sources that the results are made of, where that is plain from the arguments: of a bag of
/// specialists only theirs are fetched and loaded.
pub(crate) fn needed_sources(args: &SeparateArgs) -> Option<Vec<&str>> {
    let recipe = &args.recipe;
    match &recipe.two_stems {
        _ if !recipe.mixes.is_empty() => None,
        Some(_) if args.other_method == OtherArg::Add => None,
        Some(stem) => Some(vec![stem]),
        None => wanted(recipe).filter(|stems| !stems.is_empty()),
    }
}

/// What `--stems` names; nothing where it was not given.
pub(crate) fn wanted(recipe: &RecipeArgs) -> Option<Vec<&str>> {
    let stems: Vec<&str> = recipe.stems.iter().map(|stem| stem.trim()).collect();
    if stems == [NONE] {
        return Some(Vec::new());
    }
    (!stems.is_empty()).then_some(stems)
}

/// Reads `[NAME:]STEM=GAIN,...`. Stems that are not named have gain 1, the song itself has gain 0.
pub(crate) fn mix(text: &str, sources: &[String]) -> Result<Stem> {
    let (name, gains) = text.split_once(':').unwrap_or((MIX, text));
    let name = name.trim();
    let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    ensure!(
        !name.is_empty() && name.len() <= 64 && name.chars().all(plain),
        "\"{name}\" is no name for a mix: letters, digits, - and _ are possible"
    );
    let mut stem = Stem { name: name.to_owned(), gains: vec![1.0; sources.len()], mixture: 0.0 };
    let mut named = Vec::new();
    for term in gains.split(',') {
        let (source, gain) = term
            .split_once('=')
            .with_context(|| format!("\"{text}\" is no mix: [NAME:]STEM=GAIN,... is possible"))?;
        let (source, gain) = (source.trim(), gain.trim());
        let gain = gain.parse().ok().filter(|g: &f32| g.abs() <= MAX_GAIN).with_context(|| {
            format!("\"{gain}\" in \"{text}\" is no gain: -{MAX_GAIN} to {MAX_GAIN} is possible")
        })?;
        ensure!(!named.contains(&source), "\"{text}\" names {source} twice");
        named.push(source);
        if source == MIXTURE {
            stem.mixture = gain;
            continue;
        }
        let chosen = Stem::of(source, sources)?;
        if let Some(index) = (0..sources.len()).find(|index| chosen.needs(*index)) {
            stem.gains[index] = gain;
        }
    }
    ensure!(stem.mixture != 0.0 || stem.gains.iter().any(|g| *g != 0.0), "the mix \"{text}\" is silent");
    Ok(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, Vec<f32>, f32)> {
        let sources: Vec<String> = ["drums", "bass", "other", "vocals"].map(String::from).to_vec();
        mix(text, &sources).map(|stem| (stem.name, stem.gains, stem.mixture))
    }

    #[test]
    fn stems_that_a_mix_does_not_name_stay_as_they_are() {
        let expected = |name: &str, gains: [f32; 4], mixture| (name.to_owned(), gains.to_vec(), mixture);
        for (text, result) in [
            ("vocals=0", expected("mix", [1.0, 1.0, 1.0, 0.0], 0.0)),
            ("vocals=0,drums=1.5", expected("mix", [1.5, 1.0, 1.0, 0.0], 0.0)),
            ("karaoke: vocals = 0", expected("karaoke", [1.0, 1.0, 1.0, 0.0], 0.0)),
            ("odd:bass=-2e1", expected("odd", [1.0, -20.0, 1.0, 1.0], 0.0)),
            ("song:drums=0,bass=0,other=0,vocals=0,mixture=1", expected("song", [0.0; 4], 1.0)),
        ] {
            assert_eq!(read(text).unwrap(), result, "{text}");
        }
    }

    #[test]
    fn a_mix_that_makes_no_sense_is_refused_in_words() {
        for text in [
            "",
            "vocals",
            "a:",
            "a:vocals",
            "flute=1",
            "vocals=x",
            "vocals=",
            "../a:drums=1",
            ":drums=1",
            "drums=1,drums=2",
            "drums=nan",
            "drums=inf",
            "drums=100.1",
            "drums=0,bass=0,other=0,vocals=0",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
