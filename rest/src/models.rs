//! The networks that requests may name, and their stems. What is installed is the workers' business.

use std::str::FromStr;

use common::job::Options;
use common::{ModelName, StemName};
use serde::Serialize;

use crate::error::{Code, Problem};

/// A network that requests may name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Model {
    /// Its name.
    pub name: ModelName,
    /// Its stems, in their order.
    pub stems: Vec<StemName>,
    /// What it is, in a sentence.
    pub about: String,
}

/// Names of the networks whose stems are known here.
pub const KNOWN: &str = "htdemucs,htdemucs_ft,htdemucs_6s";

const FOUR: &str = "drums+bass+other+vocals";

impl FromStr for Model {
    type Err = String;

    /// The name of one that is known, or of any with its stems: `name=stem+stem`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, stems, about) = match text.trim() {
            "htdemucs" => ("htdemucs", FOUR, "Four stems; the usual choice."),
            "htdemucs_ft" => {
                let about = "Four stems by four networks, each tuned to one; four times the work.";
                ("htdemucs_ft", FOUR, about)
            }
            "htdemucs_6s" => ("htdemucs_6s", "drums+bass+other+vocals+guitar+piano", "Six stems."),
            other => {
                let (name, stems) = other.split_once('=').ok_or_else(|| {
                    format!("the stems of {other} are not known here: name them, as in {other}={FOUR}")
                })?;
                (name, stems, "")
            }
        };
        let stems: Vec<StemName> =
            stems.split('+').map(str::parse).collect::<Result<_, _>>().map_err(|_| "no name of a stem")?;
        let name = name.parse().map_err(|_| "no name of a network".to_owned())?;
        if (1..stems.len()).any(|n| stems[..n].contains(&stems[n])) {
            return Err(format!("{name} has a stem twice"));
        }
        Ok(Self { name, stems, about: about.to_owned() })
    }
}

/// The networks that requests may name.
#[derive(Debug, Clone)]
pub struct Models {
    /// The usual one first.
    offered: Vec<Model>,
}

impl Models {
    /// These, the usual one first; of those with one name the first counts.
    #[must_use]
    pub fn new(models: Vec<Model>) -> Self {
        let mut offered: Vec<Model> = Vec::new();
        for model in models {
            if offered.iter().all(|other| other.name != model.name) {
                offered.push(model);
            }
        }
        Self { offered }
    }

    /// All of them, the usual one first.
    #[must_use]
    pub fn all(&self) -> &[Model] {
        &self.offered
    }

    /// What is asked for where a request says nothing.
    #[must_use]
    pub fn usual(&self) -> Options {
        let model = self.offered.first().map_or_else(ModelName::htdemucs, |model| model.name.clone());
        Options { model, ..Options::default() }
    }

    /// The stems of a network, also of one that is offered no more.
    ///
    /// # Errors
    /// [`Code::UnknownModel`], naming those that are known.
    pub fn sources(&self, model: &ModelName) -> Result<Vec<StemName>, Problem> {
        let offered = self.offered.iter().find(|offered| offered.name == *model);
        let known = offered.cloned().or_else(|| model.as_str().parse::<Model>().ok());
        Ok(known.ok_or_else(|| self.unknown(model.as_str()))?.stems)
    }

    /// The stems of all networks, of those that are offered no more too: under their names the older contract finds
    /// whatever was made last.
    fn stems(&self) -> Vec<StemName> {
        let known = KNOWN.split(',').filter_map(|name| name.parse::<Model>().ok());
        self.offered.iter().cloned().chain(known).flat_map(|model| model.stems).collect()
    }

    /// The name of a network in a request.
    ///
    /// # Errors
    /// [`Code::UnknownModel`] for what is no name at all.
    pub(crate) fn named(&self, text: &str) -> Result<ModelName, Problem> {
        text.parse().map_err(|_| self.unknown(text))
    }

    /// A request names no network of ours.
    fn unknown(&self, name: &str) -> Problem {
        let known = self.offered.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        Problem::new(Code::UnknownModel, format!("the model {shown} is not known, only {known}"))
            .param("model")
    }

    /// Options in their one form.
    ///
    /// # Errors
    /// [`Code::UnknownModel`] and [`Code::InvalidOption`].
    pub fn checked(&self, options: Options) -> Result<Options, Problem> {
        if !self.offered.iter().any(|model| model.name == options.model) {
            return Err(self.unknown(options.model.as_str()));
        }
        let (sources, all) = (self.sources(&options.model)?, self.stems());
        options
            .checked(&sources, &all)
            .map_err(|error| Problem::new(Code::InvalidOption, error.to_string()).param(error.param))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_offered_by_name_and_others_with_their_stems() {
        let models: Vec<Model> =
            ["mine=vocals+rest", "htdemucs", "mine=bass"].map(|text| text.parse().unwrap()).to_vec();
        let models = Models::new(models);
        assert_eq!(models.all().len(), 2);
        assert_eq!(models.usual().model.as_str(), "mine");
        assert_eq!(models.sources(&"mine".parse().unwrap()).unwrap().len(), 2);
        assert_eq!(models.sources(&"htdemucs_6s".parse().unwrap()).unwrap().len(), 6);
        let options = |model: &str| Options { model: model.parse().unwrap(), ..Options::default() };
        assert_eq!(models.checked(options("htdemucs_6s")).unwrap_err().code(), Code::UnknownModel);
        models.checked(options("htdemucs")).unwrap();
        for bad in ["", "mine", "mine=", "mine=a+a", "mine=A", "no/name=a", "=a"] {
            assert!(bad.parse::<Model>().is_err(), "{bad}");
        }
        assert_eq!(KNOWN.split(',').filter(|name| name.parse::<Model>().is_ok()).count(), 3);
    }
}
