//! From words on the command line to stems.

use anyhow::{Context, Result, bail, ensure};
use demucs::{Rest, Stem};

use crate::cli::{RestArg, SeparateArgs};

/// The stems that the arguments ask for, given the sources that the model has.
pub(crate) fn stems(args: &SeparateArgs, sources: &[String]) -> Result<Vec<Stem>> {
    let mut stems = if let Some(stem) = &args.two_stems {
        let rest = match args.rest {
            RestArg::Sum => Rest::Sum,
            RestArg::Minus => Rest::Minus,
        };
        vec![Stem::of(stem, sources)?, Stem::without(stem, rest, sources)?]
    } else if !args.stems.is_empty() {
        args.stems.iter().map(|stem| Stem::of(stem.trim(), sources)).collect::<Result<_, _>>()?
    } else if args.mixes.is_empty() {
        Stem::all(sources)
    } else {
        Vec::new()
    };
    for text in &args.mixes {
        stems.push(mix(text, sources)?);
    }
    for (i, stem) in stems.iter().enumerate() {
        ensure!(stems[..i].iter().all(|other| other.name != stem.name), "{} is asked for twice", stem.name);
    }
    Ok(stems)
}

/// Reads `NAME=drums+0.5*bass-vocals`; `mixture` is the song itself.
fn mix(text: &str, sources: &[String]) -> Result<Stem> {
    let (name, sum) = text.split_once('=').with_context(|| format!("\"{text}\" is not NAME=STEM+STEM"))?;
    let name = name.trim();
    let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    ensure!(
        !name.is_empty() && name.len() <= 64 && name.chars().all(plain),
        "\"{name}\" is no name for a mix: letters, digits, - and _ are possible"
    );
    let mut stem = Stem { name: name.to_owned(), gains: vec![0.0; sources.len()], mixture: 0.0 };
    for (sign, term) in terms(sum) {
        let (gain, source) = match term.split_once('*') {
            Some((gain, source)) => (gain.trim().parse().ok().filter(|g: &f32| g.is_finite()), source.trim()),
            None => (Some(1.0), term),
        };
        let Some(gain) = gain else { bail!("\"{term}\" in \"{text}\" has no gain that is a number") };
        if source == "mixture" {
            stem.mixture += sign * gain;
            continue;
        }
        for (sum, one) in stem.gains.iter_mut().zip(Stem::of(source, sources)?.gains) {
            *sum += sign * gain * one;
        }
    }
    ensure!(stem.mixture != 0.0 || stem.gains.iter().any(|g| *g != 0.0), "the mix \"{text}\" is empty");
    Ok(stem)
}

/// Splits at `+` and `-`.
fn terms(sum: &str) -> Vec<(f32, &str)> {
    let mut terms = Vec::new();
    let (mut sign, mut start) = (1.0, 0);
    for (at, c) in sum.char_indices().chain([(sum.len(), '+')]) {
        if c == '+' || c == '-' {
            let term = sum[start..at].trim();
            if !term.is_empty() {
                terms.push((sign, term));
            }
            sign = if c == '-' { -1.0 } else { 1.0 };
            start = at + 1;
        }
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gains(text: &str) -> Result<Vec<f32>> {
        let sources: Vec<String> = ["drums", "bass", "other", "vocals"].map(String::from).to_vec();
        mix(text, &sources).map(|stem| stem.gains)
    }

    #[test]
    fn a_mix_is_a_sum_with_gains() {
        assert_eq!(gains("karaoke=drums+bass+other").unwrap(), [1.0, 1.0, 1.0, 0.0]);
        assert_eq!(gains("practice = drums + 0.25*vocals").unwrap(), [1.0, 0.0, 0.0, 0.25]);
        assert_eq!(gains("odd=-2*bass-drums").unwrap(), [-1.0, -2.0, 0.0, 0.0]);
        assert_eq!(gains("karaoke=mixture-vocals").unwrap(), [0.0, 0.0, 0.0, -1.0]);
    }

    #[test]
    fn a_mix_that_makes_no_sense_is_refused_in_words() {
        for text in ["drums+bass", "a=", "a=flute", "a=x*drums", "../a=drums", "a=drums-drums", "a=inf*drums"]
        {
            assert!(gains(text).is_err(), "{text}");
        }
    }
}
