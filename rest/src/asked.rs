//! What a request for a job asks for: options in a query, in form fields, or as JSON.

use std::collections::BTreeMap;

use common::job::{Callback, Format, Mix, Options};
use common::{SongHash, StemName};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Code, Problem};
use crate::request::parse;
use crate::state::App;

/// Everything that is asked for; the song comes apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Asked {
    /// As they were written; of their model only [`Asked::model`] counts.
    pub(crate) options: Options,
    /// The network, if one was named.
    model: Option<String>,
    /// Who is told of the end.
    pub(crate) callback: Option<Callback>,
    format: Option<String>,
    bitrate_kbps: Option<u16>,
    bits: Option<u8>,
}

/// The JSON body of a request for a job whose song was sent before, or is behind a link.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskedJson {
    /// An upload.
    pub(crate) upload: Option<String>,
    /// A song of a job that is there.
    pub(crate) song: Option<SongHash>,
    /// A link to a file, which this server fetches.
    pub(crate) url: Option<String>,
    options: Option<Box<RawValue>>,
    callback: Option<CallbackJson>,
}

/// What options as JSON say of the network.
#[derive(Debug, Deserialize)]
struct Named {
    model: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallbackJson {
    url: String,
}

/// Names that [`Asked::set`] takes.
pub(crate) const NAMES: &[(&str, &str)] = &[
    ("model", "The network."),
    ("stems", "Stems to write, with commas between them; all where it is missing."),
    ("two_stems", "Write this stem and everything else."),
    ("mix", "A mix to write, as `name=stem:gain,stem:gain`; may stand there several times."),
    ("only_mixes", "`1`: write the mixes alone, and no stems."),
    ("format", "`mp3`, `wav` or `flac`."),
    ("bitrate_kbps", "Bit rate of MP3."),
    ("bits", "Bits of a sample of WAV (16, 24, 32) or FLAC (16, 24)."),
    ("rate_hz", "Sample rate of the results."),
    ("shifts", "Shifted passes that are averaged."),
    ("overlap", "Fraction by which segments overlap."),
    ("clip", "What happens above full scale: `common`, `rescale`, `clamp`, `none`."),
    ("options", "All options as one JSON object."),
    ("callback", "Address that is told of the end."),
];

impl Asked {
    /// From pairs of a query.
    pub(crate) fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Problem> {
        let mut asked = Self::default();
        pairs.iter().try_for_each(|(name, value)| asked.set(name, value))?;
        Ok(asked)
    }

    /// Takes a JSON body.
    pub(crate) fn take(&mut self, json: AskedJson) -> Result<(), Problem> {
        if let Some(options) = json.options {
            self.set("options", options.get())?;
        }
        json.callback.map_or(Ok(()), |callback| self.set("callback", &callback.url))
    }

    /// Options as a whole, and who is told.
    pub(crate) fn of(options: Options, callback: Option<String>) -> Self {
        let callback = callback.map(|url| Callback { url, data: None });
        Self { model: Some(options.model.to_string()), options, callback, ..Self::default() }
    }

    /// Takes one pair.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let options = &mut self.options;
        match name {
            "model" => self.model = Some(value.to_owned()),
            "stems" => {
                options.stems = if value.is_empty() { Vec::new() } else { words(value, "stems")? };
            }
            "two_stems" => options.two_stems = Some(word(value, "two_stems")?),
            "mix" => options.mixes.push(mix(value)?),
            "only_mixes" => options.only_mixes = word::<u8>(value, "only_mixes")? != 0,
            "format" => self.format = Some(value.to_owned()),
            "bitrate_kbps" => self.bitrate_kbps = Some(word(value, "bitrate_kbps")?),
            "bits" => self.bits = Some(word(value, "bits")?),
            "rate_hz" => options.rate_hz = Some(word(value, "rate_hz")?),
            "shifts" => options.shifts = word(value, "shifts")?,
            "overlap" => options.overlap = word(value, "overlap")?,
            "clip" => {
                let json = serde_json::Value::from(value);
                options.clip = serde_json::from_value(json).map_err(|_| {
                    Problem::new(Code::InvalidOption, "clip is common, rescale, clamp or none").param("clip")
                })?;
            }
            "options" => {
                *options = parse(value.as_bytes())?;
                self.model = parse::<Named>(value.as_bytes())?.model;
            }
            "callback" => self.callback = Some(Callback { url: value.to_owned(), data: None }),
            _ => {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
                return Err(Problem::new(Code::InvalidOption, format!("there is no option {shown}")));
            }
        }
        Ok(())
    }

    /// Options in their one form, and a callback address that can be used as far as its text tells.
    pub(crate) fn checked(mut self, app: &App) -> Result<(Options, Option<Callback>), Problem> {
        let invalid = |why: &str| Err(Problem::new(Code::InvalidOption, why).param("format"));
        let now = self.options.format;
        self.options.format = match (self.format.as_deref(), self.bitrate_kbps, self.bits) {
            (None, None, None) => now,
            (Some("mp3") | None, rate, None) => Format::Mp3 { bitrate_kbps: rate.unwrap_or(320) },
            (Some("wav"), None, bits) => Format::Wav { bits: bits.unwrap_or(16) },
            (Some("flac"), None, bits) => Format::Flac { bits: bits.unwrap_or(16) },
            (Some("mp3"), _, Some(_)) => return invalid("MP3 has no bits; bitrate_kbps says how good it is"),
            (Some("wav" | "flac"), Some(_), _) => return invalid("only MP3 has a bit rate"),
            (None, _, Some(_)) => return invalid("bits go with a format of wav or flac"),
            (Some(_), _, _) => return invalid("the format is mp3, wav or flac"),
        };
        if let Some(callback) = &self.callback {
            app.callbacks
                .look(&callback.url)
                .map_err(|error| Problem::new(Code::InvalidCallback, error.to_string()).param("callback"))?;
        }
        self.options.model = match &self.model {
            Some(model) => app.models.named(model)?,
            None => app.models.usual().model,
        };
        Ok((app.models.checked(self.options)?, self.callback))
    }
}

fn word<T: std::str::FromStr>(value: &str, param: &'static str) -> Result<T, Problem> {
    let invalid =
        || Problem::new(Code::InvalidOption, format!("{param} cannot be what was sent")).param(param);
    value.trim().parse().map_err(|_| invalid())
}

fn words(value: &str, param: &'static str) -> Result<Vec<StemName>, Problem> {
    value.split(',').map(|name| word(name, param)).collect()
}

/// `name=stem:gain,stem:gain`.
fn mix(value: &str) -> Result<Mix, Problem> {
    let invalid =
        || Problem::new(Code::InvalidOption, "a mix is written name=stem:gain,stem:gain").param("mix");
    let (name, gains) = value.split_once('=').ok_or_else(invalid)?;
    Ok(Mix { name: word(name, "mix")?, gains: self::gains(gains)? })
}

/// `stem:gain,stem:gain`; a stem without a gain counts once.
pub(crate) fn gains(value: &str) -> Result<BTreeMap<StemName, f32>, Problem> {
    let one = |part: &str| {
        let (stem, gain) = part.split_once(':').unwrap_or((part, "1"));
        Ok((word(stem, "mix")?, word(gain, "mix")?))
    };
    value.split(',').filter(|part| !part.trim().is_empty()).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Asked, Problem> {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Asked::from_pairs(&pairs)
    }

    #[test]
    fn a_query_and_json_say_the_same() {
        let query = asked("stems=vocals,bass&shifts=1&overlap=0.5&mix=karaoke%3Ddrums:1,bass:0.5&clip=clamp")
            .unwrap();
        let json = r#"{"stems": ["vocals", "bass"], "shifts": 1, "overlap": 0.5, "clip": "clamp",
            "mixes": [{"name": "karaoke", "gains": {"drums": 1, "bass": 0.5}}]}"#;
        assert_eq!(query.options, serde_json::from_str(json).unwrap());
    }

    #[test]
    fn what_cannot_be_asked_is_named() {
        for (query, param) in [
            ("stems=../x", Some("stems")),
            ("mix=x", Some("mix")),
            ("shifts=-1", Some("shifts")),
            ("clip=x", Some("clip")),
            ("what=1", None),
        ] {
            let problem = asked(query).unwrap_err();
            assert_eq!(problem.named(), param, "{query}");
        }
    }
}
