//! Looks at a song: a bad one fails here, a short one is separated at once, a long one divided.

use std::io::BufReader;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use common::failpoint;
use common::job::{ClipMode, Format, Options, Record};
use common::queue::{Outcome, Span, Spans, TaskKind};
use common::{ModelName, StemName};
use demucs::{Loudness, Mixture, Rest, Shifts, Stem};
use separation::{Pulse, Song, Target, Wanted};
use serde::{Deserialize, Serialize};

use super::files::Place;
use super::results::{Origin, publish};
use super::{Failed, Room, Tools, blocking};
use crate::engines::{Held, Loaded};
use crate::lease::Lease;

/// What a plan tells its spans and its merge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Layout {
    /// Version of this text.
    pub(crate) v: u32,
    /// Loudness of the whole song.
    pub(crate) loudness: Loudness,
    /// Segments of a span, from which all spans follow.
    pub(crate) segments: usize,
    /// Whether the sources are kept: then all networks of a bag run.
    #[serde(default)]
    pub(crate) keep: bool,
}

/// Version of [`Layout`] that is written.
pub(crate) const LAYOUT: u32 = 1;

/// Title of a song that has none: of its file's name nothing is known here.
const UNTITLED: &str = "song";

pub(crate) async fn perform(tools: &Arc<Tools>, lease: &Lease, record: &Record) -> Result<Outcome, Failed> {
    let loaded = engine(tools, lease, &record.options.model).await?;
    let rate = loaded.engine().rate();
    let (song, room) = tools.songs.decoded(tools, lease, record, rate).await?;
    failpoint::reach("plan.decoded");
    let (engine, sources) = (loaded.engine(), loaded.engine().sources());
    let mut order = order(record, sources, song.rate(), false)?;
    let mut all = engine.spans(song.frames(), &order.request(), usize::MAX)?;
    let keep = tools.ledger.keeps_sources() && {
        let with_sources = self::order(record, sources, song.rate(), true)?;
        let passes = engine.spans(song.frames(), &with_sources.request(), usize::MAX)?;
        // Not where it would take networks that the results do not need.
        let free = passes.len() == all.len();
        if free {
            (order, all) = (with_sources, passes);
        }
        free
    };
    let request = order.request();
    let total: usize = all.iter().map(|span| span.count).sum();
    // A frame of a pass keeps two channels of each source.
    let frame_bytes = (all.len() * loaded.engine().sources().len() * 2 * size_of::<f32>()) as u64;
    let bytes = song.frames() as u64 * frame_bytes;
    let segments = tools.settings.segments_of_span(total, bytes, loaded.segment_s());
    if segments >= total || lease.claim().task.kind == TaskKind::Derive {
        return whole(tools, lease, record, loaded, (song, room), order).await;
    }
    let spans = loaded.engine().spans(song.frames(), &request, segments)?;
    let (song, loudness) = blocking(move || {
        let mut song = song;
        let loudness = Loudness::of(&mut song).map_err(separation::Error::Separate)?;
        Ok((song, loudness))
    })
    .await?;
    lease.beat().tick();
    tools.songs.put_back(record, rate, (song, room)).await;
    let layout = Layout { v: LAYOUT, loudness, segments, keep };
    let merge = serde_json::to_string(&layout).map_err(|error| Failed::Permanent(error.to_string()))?;
    let spans = spans.iter().map(|span| Span { units: span.count as u32, part: merge.clone() }).collect();
    Ok(Outcome::Planned(Spans { fingerprint: tools.engines.fingerprint(), merge, spans }))
}

/// The engine of a model.
pub(crate) async fn engine(tools: &Arc<Tools>, lease: &Lease, model: &ModelName) -> Result<Held, Failed> {
    let (engines, beat) = (Arc::clone(&tools.engines), lease.beat().clone());
    let turn = beat.meanwhile(engines.turn(model)).await?;
    blocking(move || {
        let mut watch = || {
            beat.tick();
            if beat.ended().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let held = engines.enter(turn, &mut watch);
        held.map_err(|error| beat.ended().map_or_else(|| error.into(), Failed::Ended))
    })
    .await
}

/// Separates the whole song in one go, without anything passing through the store.
async fn whole(
    tools: &Arc<Tools>,
    lease: &Lease,
    record: &Record,
    loaded: Held,
    (song, _room): (Song, Room),
    mut order: separation::Plan,
) -> Result<Outcome, Failed> {
    let sources = names_of(loaded.engine().sources())?;
    let decoded = (song.file_frames() as u64, song.rate());
    prepare(tools, lease, record, &mut order).await?;
    let _room_of_results = room_for(tools, lease, &song, &order, &loaded).await?;
    let audio_s = song.frames() as f64 / f64::from(loaded.engine().rate());
    let beat = lease.beat().clone();
    let sealed = blocking(move || {
        let _span = tracing::info_span!("separate").entered();
        let start = Instant::now();
        let mut watch = |progress: demucs::Progress| {
            beat.units(progress.segments_done, progress.segments_total);
            failpoint::reach("whole.midway");
        };
        let sealed = separation::separate(loaded.engine(), song, &order, beat.stop(), &mut watch);
        let sealed = sealed.map_err(|error| beat.ended().map_or_else(|| error.into(), Failed::Ended))?;
        loaded.separated(audio_s, start.elapsed());
        Ok(sealed)
    })
    .await?;
    let origin = Origin { sources, song: decoded, engine: tools.engines.fingerprint() };
    publish(tools, lease, record, origin, sealed).await
}

/// Room in the temporary folder for the results of a song.
pub(crate) async fn room_for(
    tools: &Tools,
    lease: &Lease,
    song: &Song,
    order: &separation::Plan,
    loaded: &Loaded,
) -> Result<Room, Failed> {
    let bytes = order.scratch_bytes((song.file_frames(), song.rate()), loaded.engine().rate());
    Ok(lease.beat().meanwhile(tools.disk.room(bytes)).await?)
}

/// What a network separates, as names of stems.
pub(crate) fn names_of(sources: &[String]) -> Result<Vec<StemName>, Failed> {
    let name = |source: &String| {
        source.parse().map_err(|_| Failed::Permanent(format!("{source} is no name for a stem")))
    };
    sources.iter().map(name).collect()
}

/// Gives every result the song's own tags and cover, its title with the name of the stem; says how it is all to be encoded.
pub(crate) async fn prepare(
    tools: &Arc<Tools>,
    lease: &Lease,
    record: &Record,
    order: &mut separation::Plan,
) -> Result<(), Failed> {
    let file = tools.songs.file(tools, lease, record).await?;
    let tags = blocking(move || Ok(tags::read(&mut BufReader::new(Place::new(file)?)))).await?;
    for wanted in order.results.iter_mut().filter(|wanted| !wanted.kept) {
        let title = tags.title.as_deref().unwrap_or(UNTITLED);
        wanted.tags = tags::Tags { title: Some(format!("{title} ({})", wanted.stem.name)), ..tags.clone() };
    }
    order.temp_dir.clone_from(&tools.settings.temp_dir);
    order.threads = tools.encoders();
    // Blocks that are encoded renew the lease too.
    let beat = lease.beat().clone();
    order.pulse = Pulse::new(move || beat.tick());
    Ok(())
}

/// The separation that a record asks for; with `keep` all sources come after the results.
pub(crate) fn order(
    record: &Record,
    sources: &[String],
    song_rate: u32,
    keep: bool,
) -> Result<separation::Plan, Failed> {
    let options = &record.options;
    let format = format(options.format);
    let wanted = |stem| Wanted { stem, target: Target::Unnamed, tags: tags::Tags::default(), kept: false };
    let kept = if keep { Stem::all(sources) } else { Vec::new() };
    let shifts = match usize::from(options.shifts) {
        0 => Shifts::Off,
        count => Shifts::Drawn { count, seed: *record.song.bytes() },
    };
    Ok(separation::Plan {
        results: stems(options, sources)
            .map_err(|e| Failed::Permanent(e.to_string()))?
            .into_iter()
            .map(wanted)
            .chain(kept.into_iter().map(Wanted::kept))
            .collect(),
        shifts,
        overlap: options.overlap,
        chunk_s: None,
        format,
        rate: options.rate_hz.unwrap_or_else(|| separation::file_rate(format, song_rate)),
        clip: match options.clip {
            ClipMode::Common => separation::ClipMode::Common,
            ClipMode::Rescale => separation::ClipMode::Rescale,
            ClipMode::Clamp => separation::ClipMode::Clamp,
            ClipMode::None => separation::ClipMode::None,
        },
        temp_dir: None,
        threads: 0,
        pulse: Pulse::default(),
    })
}

fn format(format: Format) -> audio::Format {
    use audio::{Bitrate, FlacDepth, WavDepth};
    match format {
        Format::Mp3 { bitrate_kbps } => audio::Format::mp3(Bitrate::Cbr(bitrate_kbps)),
        Format::Wav { bits: 16 } => audio::Format::Wav(WavDepth::Bits16),
        Format::Wav { bits: 32 } => audio::Format::Wav(WavDepth::Float32),
        Format::Wav { .. } => audio::Format::Wav(WavDepth::Bits24),
        Format::Flac { bits: 16 } => audio::Format::Flac(FlacDepth::Bits16),
        Format::Flac { .. } => audio::Format::Flac(FlacDepth::Bits24),
    }
}

fn stems(options: &Options, sources: &[String]) -> demucs::Result<Vec<Stem>> {
    let mut stems = match &options.two_stems {
        Some(stem) => {
            vec![Stem::of(stem.as_str(), sources)?, Stem::without(stem.as_str(), Rest::Sum, sources)?]
        }
        None if options.only_mixes => Vec::new(),
        None if options.stems.is_empty() => Stem::all(sources),
        None => {
            options.stems.iter().map(|stem| Stem::of(stem.as_str(), sources)).collect::<Result<_, _>>()?
        }
    };
    for mix in &options.mixes {
        let gain = |source: &String| {
            mix.gains.iter().find(|(stem, _)| stem.as_str() == source).map_or(0.0, |(_, g)| *g)
        };
        let gains = sources.iter().map(gain).collect();
        stems.push(Stem { name: mix.name.to_string(), gains, mixture: 0.0 });
    }
    Ok(stems)
}
