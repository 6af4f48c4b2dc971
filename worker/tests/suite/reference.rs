//! What one engine makes of a song in one pass, in this process: what every division has to equal.

use common::StemName;
use demucs::{Shifts, Stem};
use separation::{ClipMode, Plan, Reading, Song, Stop, Target, Wanted};
use worker::Loaded;

/// The files of the wanted stems; of all where none is named.
pub(crate) fn in_one_pass(
    loaded: &Loaded,
    bytes: &[u8],
    format: audio::Format,
    stems: &[StemName],
) -> Vec<Vec<u8>> {
    let engine = loaded.engine();
    let reading = Reading { rate: engine.rate(), ..Reading::default() };
    let stop = Stop::default();
    let song = Song::read(Box::new(std::io::Cursor::new(bytes.to_vec())), &reading, &stop).unwrap();
    let is_wanted = |stem: &Stem| stems.is_empty() || stems.iter().any(|name| name.as_str() == stem.name);
    let wanted = |stem: Stem| Wanted {
        tags: tags::Tags { title: Some(format!("song ({})", stem.name)), ..tags::Tags::default() },
        stem,
        target: Target::Unnamed,
        kept: false,
    };
    let plan = Plan {
        results: Stem::all(engine.sources()).into_iter().filter(is_wanted).map(wanted).collect(),
        shifts: Shifts::Off,
        overlap: 0.25,
        chunk_s: None,
        format,
        rate: separation::file_rate(format, song.rate()),
        clip: ClipMode::Common,
        temp_dir: None,
        threads: 1,
        pulse: separation::Pulse::default(),
    };
    let sealed = separation::separate(engine, song, &plan, &stop, &mut |_| ()).unwrap();
    let bytes = |sealed: separation::Sealed| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut sealed.into_file().unwrap(), &mut bytes).unwrap();
        bytes
    };
    sealed.into_iter().map(bytes).collect()
}
