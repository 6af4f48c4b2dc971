//! What a segment costs beside its network: reading it, adding it up, handing out stems. Prints a line of JSON:
//! `hand_out [STEMS] [BATCH] [THREADS]`, a song of four minutes in segments as long as the published networks' through a
//! network that is hardly one. Stems beyond the fourth are the first ones again, as a service asks for that keeps them.
#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::time::{Duration, Instant};

use demucs::seeded::{checkpoint, signal, small_kwargs};
use demucs::{
    Bag, Batches, Block, BoxError, Compute, Loudness, Request, Samples, Separator, Settings, Stem, StemSink,
};
use serde_json::json;

/// Songs, after a first one whose time is not counted.
const SONGS: usize = 3;

const SOURCES: [&str; 4] = ["drums", "bass", "other", "vocals"];

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().collect();
    let number = |place: usize, default| args.get(place).map_or(Ok(default), |text| text.parse());
    let (stems, batch, threads) = (number(1, 8)?, number(2, 16)?, number(3, 0)?);

    let mut kwargs = small_kwargs(&SOURCES);
    let long = json!({"samplerate": 44_100, "segment": 7.8, "nfft": 4096, "depth": 4, "bottom_channels": 0, "t_layers": 1});
    kwargs.extend(long.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
    let bag = Bag::new(vec![checkpoint(kwargs, 1)?], None, &Compute::cpu())?;
    let separator = Separator::new(bag, Settings { batch, threads, ..Settings::default() })?;
    let stems = Stem::all(&SOURCES.map(String::from)).into_iter().cycle().take(stems).collect();
    let request = Request::new(stems);
    let mut song = Samples { channels: signal(4 * 60 * 44_100) };
    let loudness = Loudness::of(&mut song)?;

    let [mut begin, mut give] = [Spent::default(); 2];
    let mut segments = 0;
    let mut batches = Batches::new(&separator);
    for round in 0..=SONGS {
        if round == 1 {
            ([begin, give], segments) = ([Spent::default(); 2], 0);
        }
        let mut work = separator.work(&mut song, &request, loudness)?;
        while !work.is_done() {
            begin.of(|| while batches.begin([&mut work]) {});
            segments += batches.finish().map_or(0, |computed| computed.segments);
            let mut kept = Kept::default();
            give.of(|| -> demucs::Result<()> {
                while batches.take([&mut work]).is_some() {
                    while work.hand_out(&mut kept)? {}
                }
                Ok(())
            })?;
        }
        work.check()?;
    }
    println!(
        "{}",
        json!({
            "stems": request.stems.len(), "batch": batch, "segments": segments,
            "begin_ms": begin.each(segments), "give_ms": give.each(segments),
        })
    );
    Ok(())
}

/// Time on the clock and of all threads.
#[derive(Debug, Default, Clone, Copy)]
struct Spent {
    wall: Duration,
    cpu_s: f64,
}

impl Spent {
    fn of<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (cpu, start) = (cpu_s(), Instant::now());
        let made = work();
        self.wall += start.elapsed();
        self.cpu_s += cpu_s() - cpu;
        made
    }

    /// Wall and CPU time of a segment.
    fn each(&self, segments: usize) -> [f64; 2] {
        [self.wall.as_secs_f64(), self.cpu_s].map(|s| (1e5 * s / segments as f64).round() / 100.0)
    }
}

/// Keeps blocks until all of a batch are there.
#[derive(Debug, Default)]
struct Kept(Vec<Block>);

impl StemSink for Kept {
    fn write(&mut self, _: usize, block: Block) -> Result<(), BoxError> {
        self.0.push(block);
        Ok(())
    }
}

/// Time of all threads so far; 0 where the system does not tell.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
