//! Whether what the card computes is right: against the CPU, and against the true stems.

use std::collections::BTreeMap;
use std::path::Path;

use demucs::cuda::Precision;
use demucs::{Compute, Kernels, Network, Request, Stem};
use serde_json::json;

use crate::figures::{Song, decibels, finite, largest};
use crate::measure::{Measure, Result, Stems, say};

/// What single precision has to come to, in dB.
const PARITY_DB: f64 = 70.0;
/// What half precision may change of a stem's SDR, in dB.
const SDR_DB: f64 = 0.03;

impl Measure {
    /// Prints how far half and single precision are from where they should be.
    pub(crate) fn parity(&self, samples: &str, batch: usize) -> Result<()> {
        let cpu = Network::from_checkpoint(self.checkpoint.clone(), &Compute::cpu())?;
        let config = cpu.config();
        let (n, sources) = (config.segment_frames(), config.sources.clone());
        let mix = Song::open(samples, config.samplerate)?.segments(config.samplerate, batch, n)?;
        // Nothing that is not written looks right.
        let nothing = vec![f32::NAN; mix.len() * sources.len()];
        let mut exact = nothing.clone();
        cpu.forward(&mix, &mut exact)?;
        let computed = |precision| -> Result<Vec<f32>> {
            let mut out = nothing.clone();
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
        let by_stem: BTreeMap<_, _> = sources.iter().enumerate().map(|(i, name)| (name, source(i))).collect();
        let finite = finite(&exact) && finite(&single) && finite(&half);
        say(&json!({
            "batch": batch, "single_snr_db": snr, "single_largest": largest(&exact, &single), "bar_db": PARITY_DB,
            "half_snr_db": decibels(exact.iter().zip(&half)), "half_largest": largest(&exact, &half),
            "half_by_stem_db": by_stem, "finite": finite,
        }));
        if !finite {
            return Err("some of what was computed is no number".into());
        }
        if snr.is_nan() || snr < PARITY_DB {
            return Err(
                format!("single precision is {snr:.1} dB from the CPU, {PARITY_DB} dB are wanted").into()
            );
        }
        Ok(())
    }

    /// Prints what half precision changes of the signal-to-distortion ratio of songs whose true stems are known: folders with
    /// `mixture.f32`, and one file for each stem.
    pub(crate) fn sdr(&self, folders: &[String]) -> Result<()> {
        if self.drawn {
            return Err("drawn weights separate nothing".into());
        }
        let mut good = !folders.is_empty();
        for folder in folders.iter().map(Path::new) {
            let [half, single] =
                [Kernels::Half, Kernels::Single].map(|kernels| self.stems_of(folder, kernels));
            let (half, single) = (half?, single?);
            for (index, name) in self.sources()?.iter().enumerate() {
                let truth = read(folder, name, self.rate()?)?;
                let sdr = |stems: &Stems| {
                    let pairs = truth.iter().zip(&stems[index]).flat_map(|(a, b)| a.iter().zip(b));
                    decibels(pairs)
                };
                let (half, single) = (sdr(&half), sdr(&single));
                let met = (half - single).abs() <= SDR_DB;
                good &= met;
                say(&json!({
                    "song": folder.file_name().map(|name| name.to_string_lossy()), "stem": name, "half_sdr_db": half,
                    "single_sdr_db": single, "difference_db": half - single, "bar_db": SDR_DB,
                }));
            }
        }
        if good {
            Ok(())
        } else {
            Err(format!("half precision changes a stem by more than {SDR_DB} dB").into())
        }
    }

    fn stems_of(&self, folder: &Path, kernels: Kernels) -> Result<Stems> {
        let separator = self.separator(kernels, if self.emulated { 2 } else { 16 })?;
        let path = folder.join("mixture.f32");
        let mut song = Song::open(&path.to_string_lossy(), self.rate()?)?.whole();
        let mut stems = Stems::new();
        let request = Request::new(Stem::all(separator.bag().sources()));
        separator.separate(&mut song, &request, &mut stems, &mut ())?;
        Ok(stems)
    }

    /// Writes what single precision makes of the first of the song's segments, for others to compare theirs with.
    pub(crate) fn segment(&self, samples: &str, file: &str) -> Result<()> {
        let network = self.compiled(Precision::Single, 1)?;
        let config = network.config();
        let mix = Song::open(samples, config.samplerate)?.segments(
            config.samplerate,
            1,
            config.segment_frames(),
        )?;
        let mut out = vec![f32::NAN; mix.len() * config.sources.len()];
        network.forward(&mix, &mut out)?;
        let bytes: Vec<u8> = out.iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(file, bytes).map_err(|error| format!("{file}: {error}").into())
    }
}

fn read(folder: &Path, stem: &str, rate: u32) -> Result<[Vec<f32>; 2]> {
    let path = folder.join(stem).with_extension("f32");
    Ok(Song::open(&path.to_string_lossy(), rate)?.whole().channels)
}
