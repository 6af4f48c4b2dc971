//! What is asked of a job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{JobKey, ModelName, SongHash, StemName};

/// Options of a job. Two that ask for the same have the same [`Options::canonical`] text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The network.
    pub model: ModelName,
    /// Stems to write; all of the network where none is named.
    pub stems: Vec<StemName>,
    /// Write this stem and everything else, as `<stem>` and `no_<stem>`, instead of `stems`.
    pub two_stems: Option<StemName>,
    /// Mixes to write beside them.
    pub mixes: Vec<Mix>,
    /// Write the mixes alone, and no stems.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_mixes: bool,
    /// Files of the results.
    pub format: Format,
    /// Sample rate of the results in Hz; the song's where the format has it.
    pub rate_hz: Option<u32>,
    /// Shifted passes that are averaged; 0 is one pass, not shifted.
    pub shifts: u8,
    /// Fraction by which segments overlap.
    pub overlap: f64,
    /// What happens to samples above full scale.
    pub clip: ClipMode,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            model: ModelName::htdemucs(),
            stems: Vec::new(),
            two_stems: None,
            mixes: Vec::new(),
            only_mixes: false,
            format: Format::default(),
            rate_hz: None,
            shifts: 0,
            overlap: 0.25,
            clip: ClipMode::default(),
        }
    }
}

/// A sum of stems with a gain for each; a stem that is not named is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Its name among the results.
    pub name: StemName,
    /// Factor for each stem, -100 to 100.
    pub gains: BTreeMap<StemName, f32>,
}

/// The file format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Format {
    /// MP3 at a constant bit rate in kbit/s.
    Mp3 {
        /// One of [`MP3_RATES_KBPS`].
        bitrate_kbps: u16,
    },
    /// WAV, integers of 16 or 24 bits or floats of 32.
    Wav {
        /// 16, 24 or 32.
        bits: u8,
    },
    /// FLAC of 16 or 24 bits.
    Flac {
        /// 16 or 24.
        bits: u8,
    },
}

impl Default for Format {
    fn default() -> Self {
        Self::Mp3 { bitrate_kbps: 320 }
    }
}

impl Format {
    /// File name extension without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp3 { .. } => "mp3",
            Self::Wav { .. } => "wav",
            Self::Flac { .. } => "flac",
        }
    }

    /// Media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Mp3 { .. } => "audio/mpeg",
            Self::Wav { .. } => "audio/wav",
            Self::Flac { .. } => "audio/flac",
        }
    }
}

/// What happens to samples above full scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClipMode {
    /// One gain for all results of a song, so that stems still add up to it.
    #[default]
    Common,
    /// A gain for each result, as the original does.
    Rescale,
    /// Cut at full scale.
    Clamp,
    /// Leave them; they survive only in 32-bit WAV.
    None,
}

/// Options that cannot be met, with the parameter that is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct InvalidOptions {
    /// Name of the parameter.
    pub param: &'static str,
    /// What is wrong, as a sentence for people.
    pub why: String,
}

/// Constant bit rates of MP3 in kbit/s: lower ones have no room for the tag that keeps the length.
pub const MP3_RATES_KBPS: [u16; 10] = [64, 80, 96, 112, 128, 160, 192, 224, 256, 320];

/// Mixes of one job at most: each is a result of its own.
pub const MOST_MIXES: usize = 32;

impl Options {
    /// The same request in its one form: sorted, nothing twice, all values checked.
    ///
    /// `sources` are those of the model, `foreign` those of other networks whose results lie beside its own under the
    /// names of a song's stems: no mix may be taken for one of either, nor for what is left without it.
    ///
    /// # Errors
    /// [`InvalidOptions`] with the first parameter that cannot be met.
    pub fn checked(mut self, sources: &[StemName], foreign: &[StemName]) -> Result<Self, InvalidOptions> {
        let invalid = |param, why| Err(InvalidOptions { param, why });
        let known = |stem: &StemName| sources.contains(stem);
        let list = || sources.iter().map(StemName::as_str).collect::<Vec<_>>().join(", ");
        if let Some(stem) = self.stems.iter().chain(&self.two_stems).find(|stem| !known(stem)) {
            return invalid("stems", format!("{} has no stem {stem}, only {}", self.model, list()));
        }
        if self.two_stems.is_some() && !self.stems.is_empty() {
            return invalid("two_stems", "stems and two_stems cannot both be asked for".to_owned());
        }
        self.stems.sort_unstable_by_key(|stem| sources.iter().position(|source| source == stem));
        self.stems.dedup();
        if self.stems.len() == sources.len() {
            self.stems.clear();
        }
        if self.only_mixes && (self.mixes.is_empty() || self.two_stems.is_some() || !self.stems.is_empty()) {
            return invalid("only_mixes", "only_mixes goes with mixes, and with no stems".to_owned());
        }
        if self.mixes.len() > MOST_MIXES {
            let why = format!("{} mixes are too many, {MOST_MIXES} are possible", self.mixes.len());
            return invalid("mixes", why);
        }
        for mix in &self.mixes {
            let means = |stem: &StemName| mix.name == *stem || mix.name == stem.without();
            if sources.iter().chain(foreign).any(means) {
                return invalid("mixes", format!("{} means a stem: a mix needs another name", mix.name));
            }
            if let Some(stem) = mix.gains.keys().find(|stem| !known(stem)) {
                return invalid("mixes", format!("{} has no stem {stem}, only {}", self.model, list()));
            }
            if mix.gains.values().any(|gain| !(-100.0..=100.0).contains(gain)) {
                return invalid("mixes", format!("a gain of the mix {} is not from -100 to 100", mix.name));
            }
            if mix.gains.values().all(|gain| *gain == 0.0) {
                return invalid("mixes", format!("the mix {} is empty", mix.name));
            }
        }
        self.mixes.sort_by(|a, b| a.name.cmp(&b.name));
        let results = self.results(sources);
        if let Some(name) =
            results.iter().enumerate().find_map(|(i, name)| results[..i].contains(name).then_some(name))
        {
            return invalid("mixes", format!("{name} is asked for twice"));
        }
        match self.format {
            Format::Mp3 { bitrate_kbps } if !MP3_RATES_KBPS.contains(&bitrate_kbps) => {
                return invalid("format", format!("the bit rates of MP3 are {MP3_RATES_KBPS:?} kbit/s"));
            }
            Format::Wav { bits } if ![16, 24, 32].contains(&bits) => {
                return invalid("format", format!("WAV files have 16, 24 or 32 bits, not {bits}"));
            }
            Format::Flac { bits } if ![16, 24].contains(&bits) => {
                return invalid("format", format!("FLAC files have 16 or 24 bits, not {bits}"));
            }
            _ => {}
        }
        if self.rate_hz.is_some_and(|rate| !(8_000..=192_000).contains(&rate)) {
            return invalid("rate_hz", "the sample rate is not from 8000 to 192000 Hz".to_owned());
        }
        if self.shifts > 20 {
            return invalid("shifts", format!("{} shifts are too many, 20 are possible", self.shifts));
        }
        if !(0.0..=0.9).contains(&self.overlap) {
            return invalid("overlap", "the overlap is not from 0 to 0.9".to_owned());
        }
        Ok(self)
    }

    /// Names of all results, in the order in which they are made.
    #[must_use]
    pub fn results(&self, sources: &[StemName]) -> Vec<StemName> {
        let stems = match &self.two_stems {
            Some(stem) => vec![stem.clone(), stem.without()],
            None if self.only_mixes => Vec::new(),
            None if self.stems.is_empty() => sources.to_vec(),
            None => self.stems.clone(),
        };
        stems.into_iter().chain(self.mixes.iter().map(|mix| mix.name.clone())).collect()
    }

    /// What of a job decides its sources: jobs that agree in it need one separation.
    #[must_use]
    pub fn separation(&self, song: &SongHash) -> JobKey {
        let Self { model, shifts, overlap, .. } = self.clone();
        Self { model, shifts, overlap, ..Self::default() }.key(song)
    }

    /// One text for one request; of options that went through [`Options::checked`].
    #[must_use]
    pub fn canonical(&self) -> String {
        // Fields in the order of their declaration, maps in the order of their keys.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The key of this work on a song.
    #[must_use]
    pub fn key(&self, song: &SongHash) -> JobKey {
        let mut digest = Sha256::new();
        digest.update(b"job-key 1\n");
        digest.update(song.bytes());
        digest.update(self.canonical());
        JobKey::new(digest.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Vec<StemName> {
        ["drums", "bass", "other", "vocals"].map(|name| name.parse().unwrap()).to_vec()
    }

    fn checked(json: &str) -> Result<Options, String> {
        let options: Options = serde_json::from_str(json).map_err(|e| e.to_string())?;
        options.checked(&sources(), &["piano".parse().unwrap()]).map_err(|e| format!("{}: {e}", e.param))
    }

    #[test]
    fn the_same_request_has_the_same_key_however_it_is_written() {
        let song = SongHash::new([9; 32]);
        let key = |json| checked(json).unwrap().key(&song);
        assert_eq!(key("{}"), key(r#"{"stems": ["vocals", "bass", "drums", "other"], "shifts": 0}"#));
        assert_eq!(key(r#"{"stems": ["vocals", "bass"]}"#), key(r#"{"stems": ["bass", "vocals", "bass"]}"#));
        let others = [r#"{"shifts": 1}"#, r#"{"overlap": 0.5}"#, r#"{"format": {"wav": {"bits": 24}}}"#];
        assert!(others.iter().all(|other| key(other) != key("{}")));
        assert_ne!(Options::default().key(&song), Options::default().key(&SongHash::new([8; 32])));
    }

    #[test]
    fn impossible_options_are_refused_with_the_parameter() {
        for (json, start) in [
            (r#"{"stems": ["flute"]}"#, "stems: htdemucs has no stem flute, only drums, bass, other, vocals"),
            (r#"{"two_stems": "vocals", "stems": ["bass"]}"#, "two_stems: "),
            (r#"{"mixes": [{"name": "a", "gains": {}}]}"#, "mixes: the mix a is empty"),
            (r#"{"mixes": [{"name": "bass", "gains": {"bass": 2}}]}"#, "mixes: bass means a stem"),
            (
                r#"{"stems": ["bass"], "mixes": [{"name": "drums", "gains": {"bass": 1}}]}"#,
                "mixes: drums means",
            ),
            (r#"{"mixes": [{"name": "no_piano", "gains": {"bass": 1}}]}"#, "mixes: no_piano means a stem"),
            (
                r#"{"mixes": [{"name": "a", "gains": {"bass": 1}}, {"name": "a", "gains": {"drums": 1}}]}"#,
                "mixes: a is asked for twice",
            ),
            (r#"{"mixes": [{"name": "a", "gains": {"bass": 1e9}}]}"#, "mixes: "),
            (r#"{"format": {"mp3": {"bitrate_kbps": 3}}}"#, "format: "),
            (r#"{"overlap": 1}"#, "overlap: "),
            (r#"{"shifts": 21}"#, "shifts: "),
            (r#"{"rate_hz": 1}"#, "rate_hz: "),
            (r#"{"what": 1}"#, "unknown field"),
        ] {
            let error = checked(json).unwrap_err();
            assert!(error.starts_with(start), "{json}: {error}");
        }
        let mixes: Vec<_> =
            (0..=MOST_MIXES).map(|n| format!(r#"{{"name": "m{n}", "gains": {{"bass": 1}}}}"#)).collect();
        let error = checked(&format!(r#"{{"mixes": [{}]}}"#, mixes.join(", "))).unwrap_err();
        assert_eq!(error, "mixes: 33 mixes are too many, 32 are possible");
    }

    #[test]
    fn two_stems_are_named_as_files() {
        let options = checked(r#"{"two_stems": "vocals"}"#).unwrap();
        let names: Vec<String> = options.results(&sources()).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["vocals", "no_vocals"]);
    }
}
