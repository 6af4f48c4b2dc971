//! Two ways of separating in turns, a segment at a time, so that the machine's mood meets both alike:
//! `turns FILE.safetensors threads [ROUNDS]` for one thread beside all of them, a few segments each, and
//! `turns FILE.safetensors length [MINUTES]` for a song of that length beside songs of one minute.
#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use demucs::weights::Checkpoint;
use demucs::{Bag, Compute, Mixture, Network, Progress, Request, Separator, Settings, Stem, StemSink};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Segments of a turn that count.
const TURN: usize = 5;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let checkpoint = Checkpoint::from_bytes(&std::fs::read(args.get(1).ok_or("which weights?")?)?)?;
    let compute = Compute::named("cpu", "auto")?;
    let number = |default: usize| args.get(3).map_or(Ok(default), |text| text.parse());
    match args.get(2).map(String::as_str) {
        Some("threads") => threads(&Network::from_checkpoint(checkpoint, &compute)?, number(7)?),
        Some("length") => {
            let bag = Bag::new(vec![checkpoint], None, &compute)?;
            length(&Separator::new(bag, Settings::default())?, number(10)?)
        }
        _ => Err("threads or length?".into()),
    }
}

/// Prints how many times as fast a segment is on all threads.
fn threads(network: &Network, rounds: usize) -> Result<()> {
    let mix = demucs::seeded::signal(network.config().segment_frames()).concat();
    let mut out = vec![0.0; network.config().sources.len() * mix.len()];
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let (one, all) = (pool(1)?, pool(0)?);
    // The first of a turn is left out: a core that has slept begins slowly.
    let mut seconds = |pool: &rayon::ThreadPool| -> Result<f64> {
        let mut turn = Vec::new();
        for _ in 0..=TURN {
            let start = Instant::now();
            pool.install(|| network.forward(&mix, &mut out))?;
            turn.push(start.elapsed().as_secs_f64());
        }
        Ok(median(turn.into_iter().skip(1)))
    };
    let mut rows = Vec::new();
    for _ in 0..rounds {
        rows.push([seconds(&one)?, seconds(&all)?]);
    }
    let [alone, together] = [0, 1].map(|side| median(rows.iter().map(|row| row[side])));
    println!("one thread {alone:.3} s, {} threads {together:.3} s", all.current_num_threads());
    println!("scaling={:.3}", median(rows.iter().map(|[one, all]| one / all)));
    Ok(())
}

/// Prints what a segment takes in a long song over what it takes in songs of a minute.
fn length(separator: &Separator, minutes: usize) -> Result<()> {
    let rate = separator.bag().samplerate() as usize;
    let baton = Baton::default();
    let (long, short) = std::thread::scope(|scope| {
        let short = scope.spawn(|| {
            let mut times = Vec::new();
            while baton.separate(1, separator, 60 * rate, &mut times).is_ok() {}
            times
        });
        let mut times = Vec::new();
        let long = baton.separate(0, separator, minutes * 60 * rate, &mut times).map(|()| times);
        baton.end();
        (long, short.join())
    });
    let (long, short) = (long?, short.map_err(|_| "the songs of a minute failed")?);
    let [longer, shorter] = [&long, &short].map(|times| median(times.iter().copied()));
    println!("{minutes} minutes: {} segments, median {longer:.3} s", long.len());
    println!("songs of a minute: {} segments, median {shorter:.3} s", short.len());
    println!("ratio={:.4}", longer / shorter);
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A song of any length that takes no memory.
struct Tone {
    frames: usize,
}

impl Mixture for Tone {
    fn frames(&self) -> usize {
        self.frames
    }

    fn read(
        &mut self,
        start: usize,
        left: &mut [f32],
        right: &mut [f32],
    ) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for (i, (left, right)) in left.iter_mut().zip(right).enumerate() {
            let frame = start + i;
            *left = (frame % 401) as f32 / 401.0 - 0.5;
            *right = (frame % 307) as f32 / 307.0 - 0.5;
        }
        Ok(())
    }
}

/// Lets stems go.
struct Nowhere;

impl StemSink for Nowhere {
    fn write(
        &mut self,
        _: usize,
        _: demucs::Block,
    ) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

/// Lets two sides compute in turns. `None` when the work is over.
struct Baton {
    turn: Mutex<Option<usize>>,
    passed: Condvar,
}

impl Default for Baton {
    fn default() -> Self {
        Self { turn: Mutex::new(Some(0)), passed: Condvar::new() }
    }
}

impl Baton {
    /// Separates a song of `frames` on the turns of `side` and keeps the seconds of each segment.
    fn separate(
        &self,
        side: usize,
        separator: &Separator,
        frames: usize,
        times: &mut Vec<f64>,
    ) -> Result<()> {
        let request = Request::new(Stem::all(separator.bag().sources()));
        let mut start = None;
        let mut turn = |_: Progress| {
            times.extend(start.map(|start: Instant| start.elapsed().as_secs_f64()));
            let go_on = self.pass(side);
            start = Some(Instant::now());
            go_on
        };
        Ok(separator.separate(&mut Tone { frames }, &request, &mut Nowhere, &mut turn)?)
    }

    /// Gives the turn away and waits until it comes back.
    fn pass(&self, side: usize) -> ControlFlow<()> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if *turn == Some(side) {
            *turn = Some(1 - side);
            self.passed.notify_all();
        }
        while turn.is_some_and(|turn| turn != side) {
            turn = self.passed.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        if turn.is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn end(&self) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.passed.notify_all();
    }
}
