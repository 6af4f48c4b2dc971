//! `msaas separate`: songs in, files out.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use audio::{Bitrate, FlacDepth, Format, WavDepth};
use demucs::{Bag, Device, Separator, Settings};

use crate::cli::{FormatArg, FormatArgs, RestArg, SeparateArgs};
use crate::engine::Engine;
use crate::job::{Order, Outcome, name_of};
use crate::{commands, recipe, stop, terminal};

/// Runs the command.
pub(crate) fn run(args: &SeparateArgs) -> Result<()> {
    let format = format(&args.format)?;
    ensure!(args.max_seconds > 0.0, "--max-seconds has to be above 0");
    let songs = songs(args)?;
    stop::listen()?;
    let device = device(&args.device)?;
    let separator = load(args, &device)?;
    let order = Order {
        args,
        stems: recipe::stems(args, separator.bag().sources())?,
        format,
        engine_rate: separator.bag().samplerate(),
    };
    let engine = Engine::start(separator)?;
    let (mut failed, many) = (0, songs.len() > 1);
    for (path, dir) in &songs {
        if args.skip_existing && order.stems.iter().all(|stem| order.path_of(dir, stem).is_file()) {
            say(args, &format!("{}: already separated", path.display()));
            continue;
        }
        match order.run(&engine, path, dir) {
            Ok(outcome) => report(args, path, &outcome)?,
            Err(error) if many && !stop::requested() => {
                failed += 1;
                terminal::complain(&format!("msaas: {}: {}", path.display(), terminal::sentence(&error)));
            }
            Err(error) => return Err(error.context(path.display().to_string())),
        }
    }
    ensure!(failed == 0, "{failed} of {} songs could not be separated", songs.len());
    Ok(())
}

fn say(args: &SeparateArgs, line: &str) {
    if !args.quiet {
        terminal::complain(line);
    }
}

fn report(args: &SeparateArgs, path: &Path, outcome: &Outcome) -> Result<()> {
    if outcome.damaged > 0 {
        terminal::complain(&format!(
            "msaas: {}: {} damaged packets became silence",
            path.display(),
            outcome.damaged
        ));
    }
    say(
        args,
        &format!(
            "{}: {:.1} s of audio in {:.1} s ({:.2} x real time)",
            path.display(),
            outcome.audio_s,
            outcome.wall_s,
            outcome.audio_s / outcome.wall_s.max(1e-9)
        ),
    );
    outcome.paths.iter().try_for_each(|path| terminal::print(&path.display().to_string()))
}

/// Fetches the weights if they are missing and builds the networks that the stems need.
fn load(args: &SeparateArgs, device: &Device) -> Result<Separator> {
    let store = commands::models::open(&args.store)?;
    let wanted = needed_sources(args);
    let wanted = wanted.as_deref();
    let mut watcher = commands::models::Watcher::new(args.quiet);
    store.ensure_for(&args.model, wanted, &mut |event| watcher.hear(&event))?;
    drop(watcher);
    let loaded = store.load(&args.model, wanted)?;
    let bag = Bag::new(loaded.members, loaded.weights.as_deref(), device)?;
    let settings = Settings {
        overlap: args.overlap,
        batch: usize::from(args.batch),
        threads: usize::from(args.threads),
    };
    Ok(Separator::new(bag, settings)?)
}

/// The sources that the results are made of, where that is plain from the arguments: of a bag of
/// specialists only theirs are fetched and loaded.
fn needed_sources(args: &SeparateArgs) -> Option<Vec<&str>> {
    match &args.two_stems {
        Some(stem) if args.rest == RestArg::Minus && args.mixes.is_empty() => Some(vec![stem]),
        None if args.mixes.is_empty() && !args.stems.is_empty() => {
            Some(args.stems.iter().map(|stem| stem.trim()).collect())
        }
        _ => None,
    }
}

/// The device that a word names.
fn device(word: &str) -> Result<Device> {
    let (kind, index) = word.split_once(':').unwrap_or((word, "0"));
    let index = index.parse().with_context(|| format!("\"{word}\" names no device"))?;
    match kind {
        "cpu" => Ok(Device::Cpu),
        "cuda" => Device::new_cuda(index).context("no CUDA device can be used"),
        "metal" => Device::new_metal(index).context("no Metal device can be used"),
        "auto" => Ok(Device::new_cuda(0).or_else(|_| Device::new_metal(0)).unwrap_or(Device::Cpu)),
        _ => bail!("\"{word}\" names no device: auto, cpu, cuda, cuda:N and metal are possible"),
    }
}

/// The file format that the arguments describe.
fn format(args: &FormatArgs) -> Result<Format> {
    let only = |format: &str| bail!("that option belongs to {format} files");
    let format = match args.format {
        FormatArg::Mp3 if args.bits.is_some() => return only("WAV and FLAC"),
        FormatArg::Wav | FormatArg::Flac if args.bitrate.is_some() || args.vbr.is_some() => {
            return only("MP3");
        }
        FormatArg::Mp3 => Format::Mp3(match args.vbr {
            Some(quality) => Bitrate::Vbr(quality),
            None => Bitrate::Cbr(args.bitrate.unwrap_or(320)),
        }),
        FormatArg::Wav => Format::Wav(match args.bits {
            Some(16) => WavDepth::Bits16,
            None | Some(24) => WavDepth::Bits24,
            Some(32) => WavDepth::Float32,
            Some(bits) => bail!("WAV files have 16, 24 or 32 bits, not {bits}"),
        }),
        FormatArg::Flac => Format::Flac(match args.bits {
            Some(16) => FlacDepth::Bits16,
            None | Some(24) => FlacDepth::Bits24,
            Some(bits) => bail!("FLAC files have 16 or 24 bits, not {bits}"),
        }),
    };
    // Finds out now, not after minutes of separation, whether the encoder takes these settings.
    format.encoder(std::io::Cursor::new(Vec::new()), args.rate.unwrap_or(44_100), 2)?;
    Ok(format)
}

/// Every song with the folder of its results, folders walked in order of their names.
fn songs(args: &SeparateArgs) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    for path in &args.songs {
        if path.is_dir() {
            let before = found.len();
            walk(path, &args.out, &args.out, &mut HashSet::new(), &mut found)?;
            ensure!(found.len() > before, "there is no audio file in {}", path.display());
        } else {
            // One that is missing fails in its turn, as any other bad song does.
            found.push((path.clone(), args.out.clone()));
        }
    }
    let mut taken = HashSet::new();
    let song = |(path, parent): (PathBuf, PathBuf)| {
        let full = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let numbered = (2..).map(|i| format!("{full}-{i}"));
        let mut names =
            [name_of(&path), full.clone()].into_iter().chain(numbered).map(|name| parent.join(name));
        let dir = names.find(|dir| taken.insert(dir.clone())).unwrap_or(parent);
        (path, dir)
    };
    Ok(found.into_iter().map(song).collect())
}

/// Adds the songs of a folder and of those in it; `seen` are the folders so far, which links may lead back to.
fn walk(
    dir: &Path,
    out: &Path,
    results: &Path,
    seen: &mut HashSet<PathBuf>,
    found: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<()> {
    let read = || format!("cannot read the folder {}", dir.display());
    let entries =
        std::fs::read_dir(dir).with_context(read)?.collect::<Result<Vec<_>, _>>().with_context(read)?;
    if !seen.insert(dir.canonicalize().with_context(read)?) {
        return Ok(());
    }
    let mut entries: Vec<_> = entries.into_iter().map(|entry| (entry.path(), entry.file_name())).collect();
    entries.sort();
    for (path, name) in entries {
        if name.to_string_lossy().starts_with('.') || same_folder(&path, out) {
            continue;
        }
        if path.is_dir() {
            walk(&path, out, &results.join(&name), seen, found)?;
        } else if tags::sniff_path(&path).is_ok() {
            found.push((path, results.to_path_buf()));
        }
    }
    Ok(())
}

fn same_folder(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
