//! `msaas compare`: how near one recording is to another, or a folder of stems to another.

mod figures;
mod pairs;
mod recording;

use std::cmp::Ordering;
use std::path::Path;

use anyhow::{Result, ensure};
use audio::Block;
use audio::measure::{Comparison, Difference};

use self::figures::{Figures, Report};
use self::pairs::{Pair, Pairs};
use self::recording::Recording;
use crate::cli::CompareArgs;
use crate::terminal;

/// Largest lag that is found, in frames.
const MAX_LAG: usize = 4096;

const BLOCK_FRAMES: usize = 1 << 16;

/// Runs the command.
pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let Pairs { matched, lonely, folders } = Pairs::find(&args.reference, &args.estimates)?;
    let (mut pairs, mut total) = (Vec::new(), Difference::default());
    for pair in &matched {
        let (figures, difference) = judge(pair, args.track)?;
        total.merge(&difference);
        pairs.push(figures);
    }
    let all = folders.then(|| Figures::of_all(&pairs, &total));
    let report = Report { pairs, all, lonely };
    if args.json {
        terminal::print(&serde_json::to_string(&report)?)?;
    } else {
        report.lines().iter().try_for_each(|line| terminal::print(line))?;
    }
    let faults = faults(&report, args);
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

/// Compares as far as both go.
fn judge(pair: &Pair, track: Option<usize>) -> Result<(Figures, Difference)> {
    let mut reference = Recording::open(&pair.reference, track)?;
    let mut estimates =
        pair.estimates.iter().map(|path| Recording::open(path, None)).collect::<Result<Vec<_>>>()?;
    for estimate in &estimates {
        let (name, rate) = (&reference.name, reference.rate);
        ensure!(estimate.rate == rate, "{name} has {rate} Hz and {} has {} Hz", estimate.name, estimate.rate);
    }
    let mut comparison = Comparison::default();
    loop {
        let block = reference.take(BLOCK_FRAMES)?;
        let mut sum = vec![Vec::new(); 2];
        for estimate in &mut estimates {
            add(&mut sum, &estimate.take(BLOCK_FRAMES)?);
        }
        comparison.add(&block, &sum);
        if block[0].is_empty() && sum[0].is_empty() {
            break;
        }
    }
    let difference = *comparison.difference();
    let lengths = (reference.frames, estimates.iter().map(|estimate| estimate.frames).collect());
    Ok((Figures::of_pair(pair, reference.rate, lengths, &mut comparison), difference))
}

fn add(sum: &mut Block, block: &Block) {
    for (sum, channel) in sum.iter_mut().zip(block) {
        if sum.len() < channel.len() {
            sum.resize(channel.len(), 0.0);
        }
        for (sum, sample) in sum.iter_mut().zip(channel) {
            *sum += sample;
        }
    }
}

/// What is not as it was asked for, a clause each.
fn faults(report: &Report, args: &CompareArgs) -> Vec<String> {
    let mut faults = Vec::new();
    for figures in &report.pairs {
        let mut fault = |text: &str| {
            let name = if report.all.is_some() { format!("{}: ", figures.name) } else { String::new() };
            faults.push(format!("{name}{text}"));
        };
        if args.aligned && !figures.is_equally_long() {
            fault("the lengths differ");
        }
        if args.aligned && figures.lag_frames.is_some_and(|lag| lag != 0) {
            fault("the recordings are not aligned");
        }
        // Not a number is too little as well.
        let too_little = |min: &f64| figures.sdr_db.partial_cmp(min).is_none_or(Ordering::is_lt);
        if let Some(min) = args.min_sdr.filter(too_little) {
            fault(&format!("the ratio is below {min} dB"));
        }
    }
    let mut miss = |folder: &Path, names: &[String]| {
        if !names.is_empty() {
            faults.push(format!("{} has no {}", folder.display(), names.join(", ")));
        }
    };
    miss(&args.estimates[0], &report.lonely.in_reference);
    miss(&args.reference, &report.lonely.in_estimate);
    faults
}
