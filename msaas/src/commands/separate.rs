//! `msaas separate`: songs in, files out.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use demucs::{Bag, Compute, Devices, Request, Separator, Settings};
use separation::Engine;

use crate::cli::SeparateArgs;
use crate::format::format;
use crate::job::{Order, Place};
use crate::layout::Layout;
use crate::report::{Event, Reporter};
use crate::songs::{self, Found};
use crate::template::Template;
use crate::{commands, recipe, stop, terminal};

/// What `--out` says for standard output.
const STANDARD_OUTPUT: &str = "-";

/// Runs the command.
pub(crate) fn run(args: &SeparateArgs) -> Result<()> {
    let reporter = Reporter::new(args.json && !is_piped(args), args.quiet);
    separate(args, &reporter).inspect_err(|error| reporter.fail(None, error))
}

fn separate(args: &SeparateArgs, reporter: &Reporter) -> Result<()> {
    let format = format(&args.recipe.format)?;
    ensure!(args.max_seconds > 0.0, "--max-seconds has to be above 0");
    let template = Template::parse(&args.filename)?;
    let piped = is_piped(args);
    ensure!(!piped || !args.json, "--json and a result cannot both go to standard output");
    let songs = songs::find(&args.songs, &args.out)?;
    stop::listen()?;
    let separator = load(args, &device(args, reporter)?)?;
    let stems = recipe::stems(args, separator.bag().sources())?;
    ensure!(
        !piped || songs.len() * stems.len() == 1,
        "standard output takes one result of one song: choose it by --stems, as in --stems vocals"
    );
    separator.check(&Request {
        overlap: args.recipe.overlap,
        chunk_s: args.segment,
        ..Request::new(stems.clone())
    })?;
    let names = stems.iter().map(|stem| stem.name.clone()).collect();
    let layout = Layout::new(args.out.join(args.model()), template, names, format.extension());
    let places = places(&songs, layout, piped)?;
    let order = Order { args, reporter, stems, format };
    let engine = Engine::start(separator)?;
    let (mut failed, many) = (0, songs.len() > 1);
    for (found, place) in songs.iter().zip(&places) {
        let label = found.label();
        if args.skip_existing && is_there(place) {
            reporter.say(&format!("{label}: already separated"));
            reporter.tell(&Event::Skipped { song: &label })?;
            continue;
        }
        let Err(error) = order.run(&engine, found, place) else { continue };
        if terminal::is_broken_pipe(&error) {
            return Err(error);
        }
        reporter.fail(Some(&label), &error);
        if !many || stop::requested() {
            return Err(error.context(label));
        }
        failed += 1;
        terminal::complain(&format!("msaas: {label}: {}", terminal::sentence(&error)));
    }
    ensure!(failed == 0, "{failed} of {} songs could not be separated", songs.len());
    Ok(())
}

/// Whether the result, and nothing else, goes to standard output.
fn is_piped(args: &SeparateArgs) -> bool {
    args.out == Path::new(STANDARD_OUTPUT)
}

fn places(songs: &[Found], mut layout: Layout, piped: bool) -> Result<Vec<Place>> {
    let place = |song: &Found| {
        if piped { Ok(Place::Output) } else { layout.place(song).map(Place::Files) }
    };
    songs.iter().map(place).collect()
}

fn is_there(place: &Place) -> bool {
    matches!(place, Place::Files(paths) if paths.iter().all(|path: &PathBuf| path.is_file()))
}

/// The device that the options name. Who has a program for cards hears why none computes.
fn device(args: &SeparateArgs, reporter: &Reporter) -> Result<Compute> {
    let mut devices = Devices::named(&args.device, &args.kernels)?;
    if cfg!(feature = "cuda") && !devices.left_out.is_empty() {
        reporter.say(&format!("computing on {devices}"));
    }
    ensure!(devices.all.len() == 1, "a song is separated on one device, \"{}\" names several", args.device);
    Ok(devices.all.remove(0))
}

/// Fetches the weights if they are missing and builds the networks that the stems need.
fn load(args: &SeparateArgs, compute: &Compute) -> Result<Separator> {
    let store = commands::models::open(&args.store)?;
    let wanted = recipe::needed_sources(args);
    let wanted = wanted.as_deref();
    let mut watcher = commands::models::Watcher::new(args.quiet);
    store.ensure_for(args.model(), wanted, &mut |event| watcher.hear(&event))?;
    drop(watcher);
    let loaded = store.load(args.model(), wanted)?;
    let bag = Bag::new(loaded.members, loaded.weights.as_deref(), compute)?;
    let batch = if args.batch == 0 { compute.usual_batch() } else { usize::from(args.batch) };
    let threads = usize::from(args.jobs);
    let settings = Settings { batch, threads, device_memory: args.device_memory };
    Ok(Separator::new(bag, settings)?)
}
