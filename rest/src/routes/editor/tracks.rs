//! The tracks of a song: their numbers, and how requests name them.

use common::StemName;
use common::job::{Mix, Options};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FINAL;
use crate::error::Problem;
use crate::models::Models;

/// A track as it is shown. Its number is its place in the network, from 1, the same for every song.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Track {
    name: StemName,
    track_id: u64,
}

/// All tracks of a network.
pub(super) fn all(models: &Models, options: &Options) -> Result<Vec<Track>, Problem> {
    let sources = models.sources(&options.model)?;
    Ok((1..).zip(sources).map(|(track_id, name)| Track { name, track_id }).collect())
}

/// Which tracks a request names: `[1, 2]`, or the same below `instruments` or `tracks`, alone or in a list, each as
/// its number, its name, or the object that showed it.
pub(super) fn named(body: &[u8], tracks: &[Track]) -> Option<Vec<StemName>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let list = match body.as_object() {
        Some(members) => ["instruments", "tracks"].iter().find_map(|name| members.get(*name))?,
        None => &body,
    };
    let names: Option<Vec<StemName>> = match list {
        Value::Array(list) => list.iter().map(|track| one(track, tracks)).collect(),
        single => one(single, tracks).map(|track| vec![track]),
    };
    names.filter(|names| !names.is_empty())
}

fn one(named: &Value, tracks: &[Track]) -> Option<StemName> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Named {
        Number(u64),
        Text(String),
        Shown { track_id: u64 },
        Called { name: String },
    }
    let track = match Named::deserialize(named).ok()? {
        Named::Number(number) | Named::Shown { track_id: number } => numbered(number, tracks),
        Named::Text(text) | Named::Called { name: text } => called(&text, tracks),
    };
    track.map(|track| track.name.clone())
}

fn numbered(number: u64, tracks: &[Track]) -> Option<&Track> {
    tracks.iter().find(|track| track.track_id == number)
}

fn called<'a>(text: &str, tracks: &'a [Track]) -> Option<&'a Track> {
    let text = text.trim().to_lowercase();
    let name = if text == "base" { "bass" } else { &text };
    tracks.iter().find(|track| track.name.as_str() == name).or_else(|| numbered(text.parse().ok()?, tracks))
}

/// The stems that are asked for, and their mix.
pub(super) fn wanted(models: &Models, names: Vec<StemName>) -> Result<Options, Problem> {
    let gains = names.iter().map(|name| (name.clone(), 1.0)).collect();
    let mixes = FINAL.parse().map(|name| Mix { name, gains }).into_iter().collect();
    models.checked(Options { stems: names, mixes, ..models.usual() })
}

/// Numbers of the tracks that a job makes: one alone, or a list.
pub(super) fn numbers(models: &Models, options: &Options) -> Result<Value, Problem> {
    let tracks = all(models, options)?;
    let asked = |track: &&Track| options.stems.is_empty() || options.stems.contains(&track.name);
    let numbers: Vec<u64> = tracks.iter().filter(asked).map(|track| track.track_id).collect();
    Ok(if let [one] = numbers[..] { one.into() } else { numbers.into() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn models() -> Models {
        Models::new(vec!["htdemucs".parse().unwrap()])
    }

    fn names(body: &str) -> Option<Vec<String>> {
        let tracks = all(&models(), &Options::default()).unwrap();
        let names = named(body.as_bytes(), &tracks)?;
        Some(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn tracks_are_named_in_many_ways() {
        for body in [
            "[2, 4]",
            r#"["bass", "vocals"]"#,
            r#"["2", " Vocals "]"#,
            r#"{"instruments": ["base", 4]}"#,
            r#"{"tracks": [{"name": "bass", "track_id": 2}, {"name": "vocals"}]}"#,
            r#"{"tracks": [2, 4], "other": true}"#,
        ] {
            assert_eq!(names(body).unwrap(), ["bass", "vocals"], "{body}");
        }
        assert_eq!(names("1").unwrap(), ["drums"]);
        assert_eq!(names(r#"{"instruments": "drums"}"#).unwrap(), ["drums"]);
    }

    #[test]
    fn what_names_no_track_names_none() {
        for body in
            ["", "[]", "{}", "null", "[5]", "[0]", "[-1]", "[1.5]", "[\"flute\"]", "[1, \"x\"]", "[[1]]", "{"]
        {
            assert_eq!(names(body), None, "{body}");
        }
        assert_eq!(names(r#"{"instruments": []}"#), None);
    }

    #[test]
    fn a_job_makes_the_tracks_that_were_asked_for_and_their_mix() {
        let asked = |names: &[&str]| {
            let names = names.iter().map(|name| name.parse().unwrap()).collect();
            wanted(&models(), names).unwrap()
        };
        let numbers = |options: &Options| numbers(&models(), options).unwrap();
        let two = asked(&["vocals", "bass", "vocals"]);
        let sources = models().sources(&two.model).unwrap();
        let results: Vec<_> = two.results(&sources).iter().map(ToString::to_string).collect();
        assert_eq!(results, ["bass", "vocals", "final"]);
        assert_eq!(numbers(&two), json!([2, 4]));
        assert_eq!(numbers(&asked(&["other"])), json!(3));
        assert_eq!(numbers(&asked(&["drums", "bass", "other", "vocals"])), json!([1, 2, 3, 4]));
    }
}
