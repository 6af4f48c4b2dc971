use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler as _};

use crate::decode::RATES;
use crate::{Block, Error, Result, frames_of};

/// Shortest transform on either side, in frames: the longer, the steeper the filter.
const MIN_TRANSFORM: usize = 2048;

/// Length of `n` frames at `from` Hz once they are at `to` Hz: `n * to / from`, rounded to nearest, halves up.
///
/// Exact for every length; a result beyond `usize` saturates. A `from` of 0 counts as 1.
#[must_use]
pub fn resampled_len(n: usize, from: u32, to: u32) -> usize {
    let from = u128::from(from.max(1));
    let len = (n as u128 * u128::from(to) * 2 + from) / (from * 2);
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// Changes the sample rate of a stream of planar blocks.
///
/// The output is aligned with the input (frame 0 is the same instant) and has exactly [`resampled_len`] frames
/// in all. Equal rates pass through bit for bit. Memory is a few transforms of the
/// reduced ratio: half a MiB for 48 to 44.1 kHz, half a GiB at worst (767999 to 768000 Hz).
pub struct Resampler {
    from: u32,
    to: u32,
    channels: usize,
    /// None when the rates are equal.
    fft: Option<Fft<f64>>,
    /// Input that does not fill a transform yet.
    pending: Vec<Vec<f64>>,
    scratch: Vec<Vec<f64>>,
    /// Output frames that are still the filter's delay.
    skip: usize,
    taken: usize,
    given: usize,
}

impl Resampler {
    /// A resampler from `from` Hz to `to` Hz, both within 1000 to 768000.
    ///
    /// # Errors
    /// [`Error::Rate`], [`Error::Channels`] for none, [`Error::Resample`].
    pub fn new(from: u32, to: u32, channels: usize) -> Result<Self> {
        for hz in [from, to] {
            if !RATES.contains(&hz) {
                return Err(Error::Rate { hz });
            }
        }
        if channels == 0 {
            return Err(Error::Channels { channels, max: crate::decode::MAX_CHANNELS });
        }
        let fft = if from == to { None } else { Some(transform(from, to, channels)?) };
        let skip = fft.as_ref().map_or(0, rubato::Resampler::output_delay);
        let out_frames = fft.as_ref().map_or(0, rubato::Resampler::output_frames_max);
        let scratch = vec![vec![0.0; out_frames]; channels];
        Ok(Self {
            from,
            to,
            channels,
            fft,
            pending: vec![Vec::new(); channels],
            scratch,
            skip,
            taken: 0,
            given: 0,
        })
    }

    /// Takes `[channels][frames]`, gives what is ready, possibly no frames.
    ///
    /// # Errors
    /// [`Error::Shape`] for another channel count, [`Error::Resample`].
    pub fn push(&mut self, block: &[Vec<f32>]) -> Result<Block> {
        self.taken += frames_of(block, self.channels)?;
        if self.fft.is_none() {
            self.given = self.taken;
            return Ok(block.to_vec());
        }
        for (pending, plane) in self.pending.iter_mut().zip(block) {
            pending.extend(plane.iter().map(|sample| f64::from(*sample)));
        }
        let mut out = vec![Vec::new(); self.channels];
        self.run(&mut out)?;
        Ok(out)
    }

    /// Gives the rest, so that all output together has `target` frames, or [`resampled_len`] of the input.
    ///
    /// A `target` is for round trips, where it differs by a frame or two: it cuts, or adds zeros.
    ///
    /// # Errors
    /// [`Error::Resample`], also when more than `target` frames were given already.
    pub fn finish(mut self, target: Option<usize>) -> Result<Block> {
        let target = target.unwrap_or_else(|| resampled_len(self.taken, self.from, self.to));
        let Some(missing) = target.checked_sub(self.given) else {
            return Err(self.error(format!("{} frames were given, {target} were to be", self.given)));
        };
        let mut out = vec![Vec::new(); self.channels];
        if let Some(fft) = &self.fft {
            let chunk = fft.input_frames_next();
            let wanted =
                resampled_len(self.taken, self.from, self.to).saturating_sub(self.given).min(missing);
            while out[0].len() < wanted {
                for plane in &mut self.pending {
                    plane.resize(chunk.max(plane.len()), 0.0);
                }
                self.run(&mut out)?;
            }
        }
        for plane in &mut out {
            plane.resize(missing, 0.0);
        }
        Ok(out)
    }

    /// Transforms all that is pending in whole chunks.
    fn run(&mut self, out: &mut Block) -> Result<()> {
        let Some(fft) = &mut self.fft else { return Ok(()) };
        let chunk = fft.input_frames_next();
        let mut used = 0;
        let mut fault = None;
        while self.pending[0].len() - used >= chunk && fault.is_none() {
            let indexing = rubato::Indexing::new().input_offset(used);
            match step(fft, &self.pending, &mut self.scratch, &indexing, self.channels) {
                Ok(frames) => {
                    let skip = self.skip.min(frames);
                    self.skip -= skip;
                    for (plane, scratch) in out.iter_mut().zip(&self.scratch) {
                        plane.extend(scratch[skip..frames].iter().map(|sample| *sample as f32));
                    }
                    self.given += frames - skip;
                    used += chunk;
                }
                Err(reason) => fault = Some(reason),
            }
        }
        for plane in &mut self.pending {
            plane.drain(..used);
        }
        fault.map_or(Ok(()), |reason| Err(self.error(reason)))
    }

    fn error(&self, reason: String) -> Error {
        Error::Resample { from_hz: self.from, to_hz: self.to, reason }
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, channels, taken, given, .. } = self;
        write!(
            f,
            "Resampler {{ {from} hz to {to} hz, channels: {channels}, taken: {taken}, given: {given} }}"
        )
    }
}

/// Both transform lengths are even multiples of the reduced ratio: the filter's centre then falls on a frame
/// of either rate, so that its delay can be cut exactly.
fn transform(from: u32, to: u32, channels: usize) -> Result<Fft<f64>> {
    let gcd = gcd(from, to);
    let shortest = (from.min(to) / gcd) as usize;
    let blocks = MIN_TRANSFORM.div_ceil(shortest).next_multiple_of(2);
    let chunk = blocks * (from / gcd) as usize;
    Fft::new(from as usize, to as usize, chunk, channels, FixedSync::Both).map_err(|error| Error::Resample {
        from_hz: from,
        to_hz: to,
        reason: error.to_string(),
    })
}

fn step(
    fft: &mut Fft<f64>,
    input: &[Vec<f64>],
    output: &mut [Vec<f64>],
    indexing: &rubato::Indexing,
    channels: usize,
) -> std::result::Result<usize, String> {
    let (in_frames, out_frames) = (input[0].len(), output[0].len());
    let input = SequentialSliceOfVecs::new(input, channels, in_frames).map_err(|e| e.to_string())?;
    let mut output =
        SequentialSliceOfVecs::new_mut(output, channels, out_frames).map_err(|e| e.to_string())?;
    let done = fft.process_into_buffer(&input, &mut output, Some(indexing)).map_err(|e| e.to_string())?;
    Ok(done.1)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_rounded_and_never_overflow() {
        assert_eq!(resampled_len(48_000, 48_000, 44_100), 44_100);
        assert_eq!(resampled_len(1, 48_000, 44_100), 1);
        assert_eq!(resampled_len(1, 2, 1), 1);
        assert_eq!(resampled_len(0, 8_000, 44_100), 0);
        assert_eq!(resampled_len(usize::MAX, 44_100, 44_100), usize::MAX);
        assert_eq!(resampled_len(usize::MAX, 1_000, 768_000), usize::MAX);
    }
}
