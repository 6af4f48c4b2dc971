//! What a job's song is called, for people and as a folder, and how its state is told.

use common::job::View;
use common::queue::State;

use super::plain;

/// Longest name of a folder in bytes; file systems take 255.
const LONGEST: usize = 120;

/// Digits of a hash that stand for a song without a title.
const DIGITS: usize = 16;

/// `Artist - Title`, as far as the song says, or the beginning of its hash.
pub(crate) fn label(job: &View) -> String {
    let said = |text: &Option<String>| {
        text.as_deref().map(plain).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    match (said(&job.artist), said(&job.title)) {
        (Some(artist), Some(title)) => format!("{artist} - {title}"),
        (None, Some(title)) => title,
        (_, None) => job.song.to_string()[..DIGITS].to_owned(),
    }
}

/// A state in words.
pub(crate) fn word(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Running => "running",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Canceled => "canceled",
    }
}

/// A song's label as the name of a folder, which leads nowhere else and is not hidden.
pub(crate) fn track(job: &View) -> String {
    let label = label(job);
    let harmless = |c: char| if c.is_alphanumeric() || " -_.,()'&+!".contains(c) { c } else { '_' };
    let mut name: String = label.trim_start_matches('.').chars().map(harmless).collect();
    while name.len() > LONGEST {
        name.pop();
    }
    let name = name.trim_matches(|c: char| c == ' ' || c == '.');
    if name.is_empty() { job.song.to_string()[..DIGITS].to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(title: &str, artist: &str) -> View {
        let mut job = serde_json::json!({
            "id": format!("0-{}", "0".repeat(32)), "state": "queued", "song": "5f".repeat(32), "size_bytes": 1,
            "options": {}, "progress": { "percent": 0, "segments_done": 0, "segments_total": 0 }, "stems": [],
            "created_at": "", "expires_at": "",
        });
        job["title"] = title.into();
        job["artist"] = artist.into();
        serde_json::from_value(job).unwrap()
    }

    #[test]
    fn a_song_is_called_by_its_tags_or_its_hash() {
        assert_eq!(label(&job("Song", "Band")), "Band - Song");
        assert_eq!(label(&job("Song\n\u{1b}[2J", " ")), "Song  [2J");
        assert_eq!(label(&job("", "Band")), "5f".repeat(8));
    }

    #[test]
    fn a_title_cannot_lead_to_another_folder() {
        for (title, folder) in [
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", &*"5f".repeat(8)),
            ("a/b\\c:d", "a_b_c_d"),
            (".hidden", "hidden"),
            ("Ænima", "Ænima"),
            (&"é".repeat(200), &"é".repeat(60)),
        ] {
            assert_eq!(track(&job(title, "")), folder, "{title}");
        }
    }
}
