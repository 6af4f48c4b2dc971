//! What is measured, and printed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use demucs::cuda::bench::Bench;
use demucs::cuda::{Card, Compiled, Precision};
use demucs::kernels::bench::operations;
use demucs::model::Config;
use demucs::seeded::{checkpoint, small_kwargs};
use demucs::weights::{Checkpoint, member};
use demucs::{Bag, BoxError, Compute, Device, Kernels, Request, Samples, Separator, Settings, Stem};
use serde_json::{Value, json};

use crate::figures::{Song, finite, median};

pub(crate) type Stems = Vec<[Vec<f32>; 2]>;
pub(crate) type Result<T> = std::result::Result<T, BoxError>;

const PRECISIONS: [(&str, Precision); 2] = [("half", Precision::Half), ("single", Precision::Single)];
/// Segments of a batch, those that say most first. 42 are a song of four minutes, 21 and 14 parts of it that are full.
const BATCHES: [usize; 9] = [8, 16, 32, 14, 21, 42, 4, 1, 2];
/// The network whose figures count.
const OFFICIAL: &str = "955717e8";
/// Minutes of the songs of a queue.
pub(crate) const SONG: f64 = 4.0;

/// The network and the card that it is measured on.
pub(crate) struct Measure {
    device: Device,
    pub(crate) checkpoint: Checkpoint,
    /// Weights of no network that ever learnt anything.
    pub(crate) drawn: bool,
    /// Time is none there, and everything takes long: one of each is enough.
    pub(crate) emulated: bool,
}

impl Measure {
    /// Opens the device, loads or draws the weights, and prints whose they are.
    pub(crate) fn new(device: &str, weights: &str) -> Result<Self> {
        let (card, checkpoint) = (opened(device)?, loaded(weights)?);
        let drawn = matches!(weights, "small" | "seeded");
        let fingerprint = checkpoint.fingerprint().to_string();
        let official = member(OFFICIAL).and_then(|network| network.fingerprint) == Some(&fingerprint);
        let whose = if drawn {
            "drawn"
        } else if official {
            "official"
        } else {
            "other"
        };
        say(&json!({"weights": whose, "fingerprint": fingerprint}));
        Ok(Self { device: card, checkpoint, drawn, emulated: device == "emulated" })
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

    /// Prints what a segment takes in batches of all sizes.
    pub(crate) fn speed(&self, samples: &str, seconds: f64) -> Result<()> {
        for &batch in if self.emulated { &BATCHES[7..] } else { &BATCHES } {
            for (name, precision) in PRECISIONS {
                let network = self.compiled(precision, batch)?;
                if network.most() < batch {
                    say(&json!({"precision": name, "batch": batch, "error": "too little memory"}));
                    continue;
                }
                fill(&network, samples, batch)?;
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
    pub(crate) fn kernels(&self, samples: &str, batch: usize) -> Result<()> {
        for (name, precision) in PRECISIONS {
            let network = self.compiled(precision, batch)?;
            fill(&network, samples, batch)?;
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
        let song = Song::open(samples, self.rate()?)?;
        let mut song = song.repeated(0, (60.0 * minutes * f64::from(self.rate()?)) as usize);
        for (kernels, most) in [(Kernels::Half, 7), (Kernels::Single, 3)] {
            for &batch in if self.emulated { &BATCHES[8..] } else { &BATCHES[..most] } {
                let separator = self.separator(kernels, batch)?;
                if separator.batch() < batch {
                    say(
                        &json!({"precision": kernels.to_string(), "batch": batch, "error": "too little memory"}),
                    );
                    continue;
                }
                let mut stems = Stems::new();
                let wall = self.settled(0.0, || separated(&separator, &mut song, &mut stems))?;
                if !stems.iter().flatten().all(|channel| finite(channel)) {
                    return Err(format!("{kernels}, batch {batch}: a sample that is no number").into());
                }
                say(&json!({
                    "precision": kernels.to_string(), "batch": batch, "audio_s": 60.0 * minutes, "wall_s": wall,
                    "times_real": 60.0 * minutes / wall,
                }));
            }
        }
        Ok(())
    }

    fn config(&self) -> Result<Config> {
        Ok(Config::from_kwargs(&self.checkpoint.kwargs)?)
    }

    /// Samples a second of what the network takes.
    pub(crate) fn rate(&self) -> Result<u32> {
        Ok(self.config()?.samplerate)
    }

    /// The stems' names.
    pub(crate) fn sources(&self) -> Result<Vec<String>> {
        Ok(self.config()?.sources)
    }

    pub(crate) fn card(&self) -> Result<&Card> {
        match &self.device {
            Device::Cuda(card) => Ok(card),
            _ => Err("that is no card".into()),
        }
    }

    pub(crate) fn compiled(&self, precision: Precision, batch: usize) -> Result<Compiled> {
        Ok(Compiled::from_checkpoint(&self.checkpoint, self.card()?, precision, batch, None)?)
    }

    pub(crate) fn separator(&self, kernels: Kernels, batch: usize) -> Result<Separator> {
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

/// Gives a network a batch of the song to compute, and demands numbers.
fn fill(network: &Compiled, samples: &str, batch: usize) -> Result<()> {
    let config = network.config();
    let song = Song::open(samples, config.samplerate)?;
    let mix = song.segments(config.samplerate, batch, config.segment_frames())?;
    let mut out = vec![f32::NAN; mix.len() * config.sources.len()];
    network.forward(&mix, &mut out)?;
    if finite(&out) { Ok(()) } else { Err(format!("batch of {batch}: a sample that is no number").into()) }
}

pub(crate) fn say(line: &Value) {
    println!("{line}");
}
