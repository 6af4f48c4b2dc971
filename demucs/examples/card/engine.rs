//! Many songs that wait together, by the engine alone: nothing is decoded, encoded or stored.

use std::collections::BTreeSet;
use std::time::Instant;

use demucs::{Batches, Block, Kernels, Loudness, Mixture, Request, Samples, Stem, StemSink, Work};
use serde_json::json;

use crate::figures::Song;
use crate::measure::{Measure, Result, SONG, say};

impl Measure {
    /// Prints what equal songs take that wait together, whether their stems are equal, and what memory they take.
    pub(crate) fn engine(&self, samples: &str, songs: usize, kernels: Kernels, batch: usize) -> Result<()> {
        let minutes = if self.emulated { 0.001 } else { SONG };
        let separator = self.separator(kernels, batch)?;
        let rate = separator.bag().samplerate();
        let mut song = Song::open(samples, rate)?.repeated(0, (60.0 * minutes * f64::from(rate)) as usize);
        let request = Request::new(Stem::all(separator.bag().sources()));
        let loudness = Loudness::of(&mut song)?;
        separator.separate(&mut song, &request, &mut Sum::default(), &mut ())?;
        let work = |_| Ok((separator.work(Heard(&song), &request, loudness)?, Sum::default()));
        let (mut works, mut sums): (Vec<_>, Vec<_>) =
            (0..songs).map(work).collect::<Result<Vec<_>>>()?.into_iter().unzip();

        let most = separator.batch() * separator.in_flight();
        let start = Instant::now();
        let mut stems = BTreeSet::new();
        let mut marks = vec![songs / 10, songs / 2, songs];
        marks.retain(|mark| *mark > 0);
        let mut batches = Batches::new(&separator);
        while !works.is_empty() {
            while batches.begin(works.iter_mut().take(most)) {}
            batches.finish();
            batches.begin(works.iter_mut().take(most));
            while let Some(id) = batches.take(&mut works) {
                for (work, sum) in works.iter_mut().zip(&mut sums).filter(|(work, _)| work.id() == id) {
                    while work.hand_out(sum)? {}
                }
            }
            works.iter_mut().try_for_each(Work::check)?;
            for place in
                (0..works.len().min(most)).rev().filter(|place| works[*place].is_done()).collect::<Vec<_>>()
            {
                works.remove(place);
                stems.insert(sums.remove(place).0);
            }
            let done = songs - works.len();
            while marks.first().is_some_and(|mark| *mark <= done) {
                let (resident, on_card) = self.memory()?;
                say(&json!({"done": marks.remove(0), "resident_bytes": resident, "card_bytes": on_card}));
            }
        }
        let wall = start.elapsed().as_secs_f64();
        say(&json!({
            "songs": songs, "audio_s": 60.0 * minutes, "wall_s": wall, "song_s": wall / songs as f64,
            "precision": kernels.to_string(), "batch": separator.batch(), "different": stems.len(),
        }));
        if stems.len() == 1 { Ok(()) } else { Err("equal songs got different stems".into()) }
    }

    /// Bytes of this process that are resident, where the system tells, and those of the card that somebody has.
    fn memory(&self) -> Result<(u64, usize)> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let resident = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0_u64);
        let card = self.card()?;
        Ok((resident << 10, card.properties().memory.saturating_sub(card.free_memory()?)))
    }
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

/// A sum over the bits of all samples and their places: differs where stems do, and takes next to no time.
#[derive(Default)]
struct Sum(u64, Vec<u32>);

impl StemSink for Sum {
    fn write(&mut self, stem: usize, block: Block) -> Result<()> {
        if self.1.len() <= stem {
            self.1.resize(stem + 1, 0);
        }
        for (channel, samples) in (1..).zip(&*block) {
            // Of a stretch that came in another number of pieces the sum is the same.
            for (place, sample) in (self.1[stem]..).zip(samples) {
                let place = (2 * place + channel).wrapping_mul(0x9E37_79B1) | 1;
                let part = u64::from(sample.to_bits()).wrapping_mul(u64::from(place));
                self.0 = self.0.wrapping_add(part.rotate_left(stem as u32));
            }
        }
        self.1[stem] += block[0].len() as u32;
        Ok(())
    }
}
