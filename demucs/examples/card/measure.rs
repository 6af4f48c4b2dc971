//! What is measured, and printed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use demucs::cuda::bench::Bench;
use demucs::cuda::{Card, Compiled, Precision};
use demucs::kernels::bench::operations;
use demucs::seeded::{checkpoint, signal, small_kwargs};
use demucs::weights::Checkpoint;
use demucs::{
    Bag, Batches, BoxError, Compute, Device, Kernels, Loudness, Mixture, Network, Request, Samples,
    Separator, Settings, Stem, StemSink,
};
use serde_json::{Value, json};

use crate::figures::{decibels, largest, median, repeated};

type Stems = Vec<[Vec<f32>; 2]>;
type Result<T> = std::result::Result<T, BoxError>;

const PRECISIONS: [(&str, Precision); 2] = [("half", Precision::Half), ("single", Precision::Single)];
const BATCHES: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// What single precision has to come to, in dB.
const PARITY: f64 = 70.0;
/// Minutes of the songs of a queue.
pub(crate) const SONG: f64 = 4.0;

/// The network and the card that it is measured on.
pub(crate) struct Measure {
    device: Device,
    checkpoint: Checkpoint,
    /// Time is none there, and everything takes long: one of each is enough.
    emulated: bool,
}

impl Measure {
    /// Opens the device, and loads or draws the weights.
    pub(crate) fn new(device: &str, weights: &str) -> Result<Self> {
        let (card, checkpoint) = (opened(device)?, loaded(weights)?);
        Ok(Self { device: card, checkpoint, emulated: device == "emulated" })
    }

    /// Prints the card's rates, and the least that a segment takes at them.
    pub(crate) fn floor(&self, seconds: f64) -> Result<()> {
        let card = self.card()?;
        let properties = card.properties();
        say(
            &json!({"card": card.to_string(), "processors": properties.processors, "free_bytes": card.free_memory()?}),
        );
        let (bytes, count) = if self.emulated { (1 << 10, 4) } else { (1 << 30, 256) };
        let (from, mut to, stream) = (card.zeroed(bytes)?, card.zeroed(bytes)?, card.stream()?);
        // Each byte is read and written.
        let bandwidth =
            2.0 * bytes as f64 / self.settled(seconds, || Ok(stream.copy(&from, &mut to, bytes)?))?;
        say(&json!({"copy_bytes_s": bandwidth}));
        drop((from, to));
        let launches = Bench::launches(card, count)?;
        let launch = self.settled(seconds, || Ok(launches.time()?))? / count as f64;
        say(&json!({"launch_s": launch, "launches": count}));

        for (name, precision) in PRECISIONS {
            let sizes = if self.emulated { (128, 64, 128) } else { (16_384, 2048, 2048) };
            let product = Bench::product(card, precision, sizes)?;
            let (tokens, k, columns) = sizes;
            let took = self.settled(seconds, || Ok(product.time()?))?;
            let rate = 2.0 * (tokens * k * columns) as f64 / took;
            let [alone, both] = [1, 2].map(|batch| self.compiled(precision, batch));
            let (alone, both) = (alone?, both?);
            let flop = operations(alone.config()) as f64;
            // What a segment's buffers are, is written once and read once; weights are read for the whole batch.
            let traffic = 2.0 * (both.bytes() - alone.bytes()) as f64;
            let (compute, memory) = (flop / rate, traffic / bandwidth);
            say(&json!({
                "precision": name, "kernel": product.kernel(), "product_flop_s": rate, "segment_flop": flop,
                "segment_bytes": traffic, "compute_s": compute, "memory_s": memory, "floor_s": compute.max(memory),
            }));
        }
        Ok(())
    }

    /// Prints how far half and single precision are from where they should be.
    pub(crate) fn parity(&self, samples: &str, batch: usize) -> Result<()> {
        let cpu = Network::from_checkpoint(self.checkpoint.clone(), &Compute::cpu())?;
        let config = cpu.config();
        let (n, sources) = (config.segment_frames(), config.sources.clone());
        let song = repeated(samples, batch * n)?;
        let loudness = Loudness::of(&mut Samples { channels: song.channels.clone() })?;
        let [left, right] = song.channels.map(|mut channel| {
            loudness.normalize(&mut channel);
            channel
        });
        let segments = left.chunks_exact(n).zip(right.chunks_exact(n));
        let mix: Vec<f32> = segments.flat_map(|(left, right)| [left, right].concat()).collect();
        let mut exact = vec![0.0; mix.len() * sources.len()];
        cpu.forward(&mix, &mut exact)?;
        let computed = |precision| -> Result<Vec<f32>> {
            let mut out = vec![0.0; exact.len()];
            self.compiled(precision, batch)?.forward(&mix, &mut out)?;
            Ok(out)
        };
        let (single, half) = (computed(Precision::Single)?, computed(Precision::Half)?);
        let snr = decibels(exact.iter().zip(&single));
        let source = |index: usize| {
            // `[B, S, 2, N]`
            let of = |values: &[f32]| -> Vec<f32> {
                values.chunks_exact(2 * n).skip(index).step_by(sources.len()).flatten().copied().collect()
            };
            decibels(of(&single).iter().zip(&of(&half)))
        };
        let sdr: BTreeMap<_, _> = sources.iter().enumerate().map(|(i, name)| (name, source(i))).collect();
        say(&json!({
            "batch": batch, "single_snr_db": snr, "single_largest": largest(&exact, &single), "bar_db": PARITY,
            "half_snr_db": decibels(exact.iter().zip(&half)), "half_largest": largest(&exact, &half),
            "half_sdr_db": sdr,
        }));
        if snr < PARITY || !half.iter().all(|value| value.is_finite()) {
            return Err(
                format!("single precision is {snr:.1} dB from the CPU, {PARITY} dB are wanted").into()
            );
        }
        Ok(())
    }

    /// Prints what a segment takes in batches of all sizes.
    pub(crate) fn speed(&self, seconds: f64) -> Result<()> {
        for (name, precision) in PRECISIONS {
            for &batch in if self.emulated { &BATCHES[..2] } else { &BATCHES } {
                let network = self.compiled(precision, batch)?;
                if network.most() < batch {
                    say(&json!({"precision": name, "batch": batch, "error": "too little memory"}));
                    break;
                }
                fill(&network, batch)?;
                let segment = self.settled(seconds, || Ok(network.time(batch)?))? / batch as f64;
                let flop = operations(network.config()) as f64;
                say(&json!({
                    "precision": name, "batch": batch, "segment_s": segment, "segments_s": 1.0 / segment,
                    "gflop_s": flop / segment / 1e9, "bytes": network.bytes(),
                }));
            }
        }
        Ok(())
    }

    /// Prints what the kernels take of a batch, those that take most first, and the launches that do.
    pub(crate) fn kernels(&self, batch: usize) -> Result<()> {
        for (name, precision) in PRECISIONS {
            let network = self.compiled(precision, batch)?;
            fill(&network, batch)?;
            let whole = self.settled(0.5, || Ok(network.time(batch)?))?;
            let rounds = if self.emulated { 1 } else { 25 };
            let rounds: Vec<_> =
                (0..rounds).map(|_| network.time_each(batch)).collect::<demucs::Result<_>>()?;
            let mut launches: Vec<(usize, &str, f64)> = (0..rounds[0].len())
                .map(|i| (i, rounds[0][i].0, median(rounds.iter().map(|round| round[i].1).collect())))
                .collect();
            let sum: f64 = launches.iter().map(|launch| launch.2).sum();
            let count = launches.len();
            say(
                &json!({"precision": name, "batch": batch, "whole_s": whole, "sum_s": sum, "launches": count}),
            );
            let mut kernels: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
            for (_, kernel, seconds) in &launches {
                let (count, total) = kernels.entry(kernel).or_default();
                (*count, *total) = (*count + 1, *total + seconds);
            }
            let mut kernels: Vec<_> = kernels.into_iter().collect();
            kernels.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
            for (kernel, (count, seconds)) in kernels {
                say(&json!({
                    "precision": name, "kernel": kernel, "launches": count, "seconds": seconds,
                    "share": seconds / sum,
                }));
            }
            launches.sort_by(|a, b| b.2.total_cmp(&a.2));
            for (place, kernel, seconds) in launches.iter().take(12) {
                say(&json!({"precision": name, "launch": place, "kernel": kernel, "seconds": seconds}));
            }
        }
        Ok(())
    }

    /// Prints what a song takes from samples to stems.
    pub(crate) fn song(&self, samples: &str, minutes: f64) -> Result<()> {
        let batches: &[usize] = if self.emulated { &[2] } else { &[4, 8, 16, 32] };
        for kernels in [Kernels::Half, Kernels::Single] {
            for batch in batches {
                let separator = self.separator(kernels, *batch)?;
                let rate = f64::from(separator.bag().samplerate());
                let mut song = repeated(samples, (60.0 * minutes * rate) as usize)?;
                let mut stems = Stems::new();
                let wall = self.settled(0.0, || separated(&separator, &mut song, &mut stems))?;
                say(&json!({
                    "precision": kernels.to_string(), "batch": batch, "audio_s": 60.0 * minutes, "wall_s": wall,
                    "times_real": 60.0 * minutes / wall,
                }));
            }
        }
        Ok(())
    }

    /// Prints what many songs take that wait together, and what memory grows by meanwhile.
    pub(crate) fn queue(&self, samples: &str, songs: usize) -> Result<()> {
        let minutes = if self.emulated { 0.001 } else { SONG };
        let separator = self.separator(Kernels::Half, if self.emulated { 2 } else { 16 })?;
        let rate = f64::from(separator.bag().samplerate());
        let mut song = repeated(samples, (60.0 * minutes * rate) as usize)?;
        separated(&separator, &mut song, &mut Stems::new())?;
        let request = Request::new(Stem::all(separator.bag().sources()));
        let loudness = Loudness::of(&mut song)?;
        let work = |_| separator.work(Heard(&song), &request, loudness);
        let mut works: Vec<_> = (0..songs).map(work).collect::<demucs::Result<_>>()?;

        let most = separator.batch() * separator.in_flight();
        let (begun, start, first) = (unix_s(), Instant::now(), self.memory()?);
        let (mut resident, mut free) = first;
        let mut batches = Batches::new(&separator);
        while !works.is_empty() {
            while batches.begin(works.iter_mut().take(most)) {}
            batches.finish();
            batches.begin(works.iter_mut().take(most));
            batches.take(&mut works);
            for work in works.iter_mut().take(most) {
                work.check()?;
                while work.hand_out(&mut Nowhere)? {}
            }
            let left = works.len();
            works.retain(|work| !work.is_done());
            if works.len() < left {
                let now = self.memory()?;
                (resident, free) = (resident.max(now.0), free.min(now.1));
            }
        }
        let wall = start.elapsed().as_secs_f64();
        say(&json!({
            "songs": songs, "audio_s": 60.0 * minutes, "wall_s": wall, "song_s": wall / songs as f64,
            "begun_unix_s": begun, "ended_unix_s": unix_s(), "grown_bytes": resident - first.0,
            "card_grown_bytes": first.1 - free,
        }));
        Ok(())
    }

    fn card(&self) -> Result<&Card> {
        match &self.device {
            Device::Cuda(card) => Ok(card),
            _ => Err("that is no card".into()),
        }
    }

    fn compiled(&self, precision: Precision, batch: usize) -> Result<Compiled> {
        Ok(Compiled::from_checkpoint(&self.checkpoint, self.card()?, precision, batch, None)?)
    }

    fn separator(&self, kernels: Kernels, batch: usize) -> Result<Separator> {
        let compute = Compute { device: self.device.clone(), kernels };
        let bag = Bag::new(vec![self.checkpoint.clone()], None, &compute)?;
        Ok(Separator::new(bag, Settings { batch, ..Settings::default() })?)
    }

    /// The median of at least five runs, for so many seconds, behind as many that warm a card up.
    fn settled(&self, seconds: f64, mut run: impl FnMut() -> Result<f64>) -> Result<f64> {
        if self.emulated {
            return run();
        }
        let long = Duration::from_secs_f64(seconds);
        let mut times = Vec::new();
        for least in [1, 5] {
            times.clear();
            let start = Instant::now();
            while times.len() < least || start.elapsed() < long {
                times.push(run()?);
            }
        }
        Ok(median(times))
    }

    /// Bytes of this process that are resident, where the system tells, and those of the card that are free.
    fn memory(&self) -> Result<(i64, i64)> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let resident = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0_i64);
        Ok((resident << 10, self.card()?.free_memory()? as i64))
    }
}

fn opened(word: &str) -> Result<Device> {
    #[cfg(feature = "emulation")]
    if word == "emulated" {
        return Ok(Device::Cuda(Card::emulated()));
    }
    Ok(word.parse()?)
}

fn loaded(word: &str) -> Result<Checkpoint> {
    let kwargs = match word {
        "small" => small_kwargs(&["drums", "bass", "other", "vocals"]),
        "seeded" => serde_json::from_str(include_str!("../../src/weights/955717e8.json"))?,
        file => {
            let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
            return Ok(Checkpoint::from_bytes(&bytes)?);
        }
    };
    Ok(checkpoint(kwargs, 1)?)
}

/// Seconds of this clock, from samples to stems in memory that was there before.
fn separated(separator: &Separator, song: &mut Samples, stems: &mut Stems) -> Result<f64> {
    let request = Request::new(Stem::all(separator.bag().sources()));
    stems.iter_mut().flatten().for_each(Vec::clear);
    let start = Instant::now();
    separator.separate(song, &request, stems, &mut ())?;
    Ok(start.elapsed().as_secs_f64())
}

/// Gives a network a batch to compute, so that nothing is a zero.
fn fill(network: &Compiled, batch: usize) -> Result<()> {
    let config = network.config();
    let mix = signal(config.segment_frames()).concat().repeat(batch);
    let mut out = vec![0.0; mix.len() * config.sources.len()];
    Ok(network.forward(&mix, &mut out)?)
}

/// A song that many have.
struct Heard<'a>(&'a Samples);

impl Mixture for Heard<'_> {
    fn frames(&self) -> usize {
        self.0.channels[0].len()
    }

    fn read(&mut self, start: usize, left: &mut [f32], right: &mut [f32]) -> Result<()> {
        let [all_left, all_right] = &self.0.channels;
        left.copy_from_slice(&all_left[start..][..left.len()]);
        right.copy_from_slice(&all_right[start..][..right.len()]);
        Ok(())
    }
}

/// Lets stems go.
struct Nowhere;

impl StemSink for Nowhere {
    fn write(&mut self, _: usize, _: [&[f32]; 2]) -> Result<()> {
        Ok(())
    }
}

/// The clock by which other programs watch the card.
fn unix_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn say(line: &Value) {
    println!("{line}");
}
