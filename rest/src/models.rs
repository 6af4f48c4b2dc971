//! The networks that requests may name, and their stems. What is installed is the workers' business.

use common::job::Options;
use common::{ModelName, StemName};
use serde::Serialize;

use crate::error::{Code, Problem};

/// A network that requests may name.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Model {
    /// Its name.
    pub name: &'static str,
    /// Its stems, in their order.
    pub stems: &'static [&'static str],
    /// What it is, in a sentence.
    pub about: &'static str,
}

/// All of them, the default one first.
pub const MODELS: &[Model] = &[
    Model {
        name: "htdemucs",
        stems: &["drums", "bass", "other", "vocals"],
        about: "Four stems; the usual choice.",
    },
    Model {
        name: "htdemucs_ft",
        stems: &["drums", "bass", "other", "vocals"],
        about: "Four stems by four networks, each tuned to one; four times the work.",
    },
    Model {
        name: "htdemucs_6s",
        stems: &["drums", "bass", "other", "vocals", "guitar", "piano"],
        about: "Six stems.",
    },
];

/// The stems of a network.
///
/// # Errors
/// [`Code::UnknownModel`], naming those that are known.
pub fn sources(model: &ModelName) -> Result<Vec<StemName>, Problem> {
    let found = MODELS.iter().find(|known| known.name == model.as_str());
    let found = found.ok_or_else(|| unknown(model.as_str()))?;
    Ok(found.stems.iter().filter_map(|stem| stem.parse().ok()).collect())
}

/// A request names no network of ours.
pub(crate) fn unknown(name: &str) -> Problem {
    let known = MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", ");
    let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    Problem::new(Code::UnknownModel, format!("the model {shown} is not known, only {known}")).param("model")
}

/// Options in their one form.
///
/// # Errors
/// [`Code::UnknownModel`] and [`Code::InvalidOption`].
pub fn checked(options: Options) -> Result<Options, Problem> {
    let sources = sources(&options.model)?;
    options
        .checked(&sources)
        .map_err(|error| Problem::new(Code::InvalidOption, error.to_string()).param(error.param))
}
