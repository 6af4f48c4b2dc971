//! Jobs and options as messages.

use common::StemName;
use common::job::{self, ClipMode, View};
use common::queue::State;
use proto::options::Format;
use proto::{Clip, Flac, Job, Mix, Mp3, Options, Progress, Stem, Wav};

use crate::error::{Code, Problem};
use crate::models::Models;

/// A job as it is shown.
pub(super) fn job(view: &View) -> Job {
    let progress = &view.progress;
    Job {
        id: view.id.to_string(),
        state: state(view.state).into(),
        song: view.song.to_string(),
        title: view.title.clone(),
        artist: view.artist.clone(),
        size_bytes: view.size_bytes,
        options: Some(shown(&view.options)),
        progress: Some(Progress {
            percent: progress.percent,
            segments_done: progress.segments_done,
            segments_total: progress.segments_total,
            speed: progress.speed,
            eta_s: progress.eta_s,
            queue_position: progress.queue_position,
        }),
        stems: view.stems.iter().map(stem).collect(),
        error: view.error.as_ref().map(|error| error.detail.clone()),
        created_at: view.created_at.clone(),
        started_at: view.started_at.clone(),
        completed_at: view.completed_at.clone(),
        expires_at: view.expires_at.clone(),
        deduplicated: false,
    }
}

fn stem(stem: &job::Stem) -> Stem {
    Stem {
        name: stem.name.to_string(),
        frames: stem.frames,
        rate_hz: stem.rate_hz,
        size_bytes: stem.size_bytes,
        sha256: stem.sha256.clone(),
    }
}

fn state(state: State) -> proto::State {
    match state {
        State::Queued => proto::State::Queued,
        State::Running => proto::State::Running,
        State::Succeeded => proto::State::Succeeded,
        State::Failed => proto::State::Failed,
        State::Canceled => proto::State::Canceled,
    }
}

/// The state of a list's request; none where all are asked for.
pub(super) fn state_asked_for(number: i32) -> Result<Option<State>, Problem> {
    let unknown = |_| Problem::new(Code::InvalidRequest, "there is no such state").param("state");
    Ok(match proto::State::try_from(number).map_err(unknown)? {
        proto::State::Unspecified => None,
        proto::State::Queued => Some(State::Queued),
        proto::State::Running => Some(State::Running),
        proto::State::Succeeded => Some(State::Succeeded),
        proto::State::Failed => Some(State::Failed),
        proto::State::Canceled => Some(State::Canceled),
    })
}

fn shown(options: &job::Options) -> Options {
    let format = match options.format {
        job::Format::Mp3 { bitrate_kbps } => Format::Mp3(Mp3 { bitrate_kbps: bitrate_kbps.into() }),
        job::Format::Wav { bits } => Format::Wav(Wav { bits: bits.into() }),
        job::Format::Flac { bits } => Format::Flac(Flac { bits: bits.into() }),
    };
    let mix = |mix: &job::Mix| Mix {
        name: mix.name.to_string(),
        gains: mix.gains.iter().map(|(stem, gain)| (stem.to_string(), *gain)).collect(),
    };
    Options {
        model: options.model.to_string(),
        stems: options.stems.iter().map(ToString::to_string).collect(),
        two_stems: options.two_stems.as_ref().map(ToString::to_string),
        mixes: options.mixes.iter().map(mix).collect(),
        only_mixes: options.only_mixes,
        format: Some(format),
        rate_hz: options.rate_hz,
        shifts: options.shifts.into(),
        overlap: Some(options.overlap),
        clip: match options.clip {
            ClipMode::Common => Clip::Common,
            ClipMode::Rescale => Clip::Rescale,
            ClipMode::Clamp => Clip::Clamp,
            ClipMode::None => Clip::None,
        }
        .into(),
    }
}

/// Options as they are asked for; what they mean is checked later.
pub(super) fn options(asked: Options, models: &Models) -> Result<job::Options, Problem> {
    let otherwise = models.usual();
    let model = match &*asked.model {
        "" => otherwise.model,
        model => models.named(model)?,
    };
    let format = match asked.format {
        None => otherwise.format,
        Some(Format::Mp3(Mp3 { bitrate_kbps: 0 })) => job::Format::default(),
        Some(Format::Mp3(Mp3 { bitrate_kbps })) => {
            job::Format::Mp3 { bitrate_kbps: small(bitrate_kbps, "format")? }
        }
        Some(Format::Wav(Wav { bits })) => job::Format::Wav { bits: small(or_16(bits), "format")? },
        Some(Format::Flac(Flac { bits })) => job::Format::Flac { bits: small(or_16(bits), "format")? },
    };
    let clip = Clip::try_from(asked.clip).map_err(|_| impossible("clip"))?;
    Ok(job::Options {
        model,
        stems: asked.stems.iter().map(|stem| name(stem, "stems")).collect::<Result<_, _>>()?,
        two_stems: asked.two_stems.map(|stem| name(&stem, "two_stems")).transpose()?,
        mixes: asked.mixes.iter().map(mix).collect::<Result<_, _>>()?,
        only_mixes: asked.only_mixes,
        format,
        rate_hz: asked.rate_hz,
        shifts: small(asked.shifts, "shifts")?,
        overlap: asked.overlap.unwrap_or(otherwise.overlap),
        clip: match clip {
            Clip::Unspecified | Clip::Common => ClipMode::Common,
            Clip::Rescale => ClipMode::Rescale,
            Clip::Clamp => ClipMode::Clamp,
            Clip::None => ClipMode::None,
        },
    })
}

fn mix(mix: &Mix) -> Result<job::Mix, Problem> {
    let gains = mix.gains.iter().map(|(stem, gain)| Ok((name(stem, "mixes")?, *gain)));
    Ok(job::Mix { name: name(&mix.name, "mixes")?, gains: gains.collect::<Result<_, Problem>>()? })
}

fn or_16(bits: u32) -> u32 {
    if bits == 0 { 16 } else { bits }
}

fn name(text: &str, param: &'static str) -> Result<StemName, Problem> {
    text.parse().map_err(|_| impossible(param))
}

fn small<T: TryFrom<u32>>(number: u32, param: &'static str) -> Result<T, Problem> {
    T::try_from(number).map_err(|_| impossible(param))
}

fn impossible(param: &'static str) -> Problem {
    Problem::new(Code::InvalidOption, format!("{param} cannot be what was sent")).param(param)
}
