//! What comes out: stems as sums of the network's sources.

use crate::block::Block;
use crate::error::{BoxError, Error, Result};

/// One output: a weighted sum of sources, and of the mixture itself.
///
/// A single source, "everything but the vocals" and a karaoke mix are all of this kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Stem {
    /// What it is called: `vocals`, `no_vocals`, ...
    pub name: String,
    /// Gain of each source, in the network's order.
    pub gains: Vec<f32>,
    /// Gain of the mixture.
    pub mixture: f32,
}

/// How the rest beside a chosen stem is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// The sum of all other sources.
    Sum,
    /// The mixture minus the chosen stem.
    Minus,
}

impl Stem {
    /// The stem of one source.
    ///
    /// # Errors
    /// [`Error::Request`] naming the sources there are.
    pub fn of(source: &str, sources: &[String]) -> Result<Self> {
        let index = find(source, sources)?;
        let gains = (0..sources.len()).map(|i| f32::from(u8::from(i == index))).collect();
        Ok(Self { name: source.to_owned(), gains, mixture: 0.0 })
    }

    /// One stem for each source.
    #[must_use]
    pub fn all(sources: &[String]) -> Vec<Self> {
        let gains = |index| (0..sources.len()).map(|i| f32::from(u8::from(i == index))).collect();
        let stem = |(i, name): (usize, &String)| Self { name: name.clone(), gains: gains(i), mixture: 0.0 };
        sources.iter().enumerate().map(stem).collect()
    }

    /// Everything beside one source, called `no_<source>`.
    ///
    /// # Errors
    /// [`Error::Request`] naming the sources there are.
    pub fn without(source: &str, rest: Rest, sources: &[String]) -> Result<Self> {
        let index = find(source, sources)?;
        let gain = |i| match rest {
            Rest::Sum => f32::from(u8::from(i != index)),
            Rest::Minus => -f32::from(u8::from(i == index)),
        };
        Ok(Self {
            name: format!("no_{source}"),
            gains: (0..sources.len()).map(gain).collect(),
            mixture: if rest == Rest::Minus { 1.0 } else { 0.0 },
        })
    }

    /// Whether the stem needs this source.
    #[must_use]
    pub fn needs(&self, source: usize) -> bool {
        self.gains[source] != 0.0
    }
}

fn find(source: &str, sources: &[String]) -> Result<usize> {
    sources.iter().position(|s| s == source).ok_or_else(|| {
        Error::Request(format!("there is no stem \"{source}\" in this model, it has {}", sources.join(", ")))
    })
}

/// Takes finished stems, block by block, from the start of the song to its end.
pub trait StemSink {
    /// Takes the next samples of stem `stem` (its index in the request). Stems that are alike get the same block; where
    /// it is dropped, its memory serves a later one.
    ///
    /// # Errors
    /// Whatever keeps the samples from being stored; the separation ends.
    fn write(&mut self, stem: usize, block: Block) -> std::result::Result<(), BoxError>;
}

/// Collects whole stems in memory.
impl StemSink for Vec<[Vec<f32>; 2]> {
    fn write(&mut self, stem: usize, block: Block) -> std::result::Result<(), BoxError> {
        if self.len() <= stem {
            self.resize_with(stem + 1, Default::default);
        }
        for (channel, samples) in self[stem].iter_mut().zip(block.iter()) {
            channel.extend_from_slice(samples);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_by_subtraction_needs_only_the_chosen_source() {
        let sources: Vec<String> = ["drums", "bass", "other", "vocals"].map(String::from).to_vec();
        let rest = Stem::without("vocals", Rest::Minus, &sources).unwrap();
        assert_eq!((0..4).filter(|s| rest.needs(*s)).collect::<Vec<_>>(), [3]);
        let rest = Stem::without("vocals", Rest::Sum, &sources).unwrap();
        assert_eq!((0..4).filter(|s| rest.needs(*s)).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn an_unknown_stem_is_answered_with_those_that_exist() {
        let error = Stem::of("flute", &["drums".into(), "bass".into()]).unwrap_err();
        assert_eq!(error.to_string(), "there is no stem \"flute\" in this model, it has drums, bass");
    }
}
