//! One FLAC frame: header, a subframe per channel, checksum. Source: RFC 9639, section 9.

use super::bits::{Bits, crc8, crc16};
use super::lpc::{self, PRECISION, Predictor};
use super::residual::{self, Plan};

/// What is the same for all frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) rate: u32,
    pub(super) bits: u32,
    /// Frames of every block but the last.
    pub(super) block: usize,
}

/// Encodes block number `number`, `[channels][frames]`, at least one frame.
pub(super) fn encode(stream: &Stream, number: u64, planes: &[Vec<i32>]) -> Vec<u8> {
    let (assignment, subframes) = channels(stream.bits, planes);
    let mut bits = Bits::default();
    header(&mut bits, stream, number, planes[0].len(), assignment);
    let check = crc8(bits.bytes());
    bits.put(u32::from(check), 8);
    for subframe in &subframes {
        subframe.write(&mut bits);
    }
    bits.align();
    let check = crc16(bits.bytes());
    bits.put(u32::from(check), 16);
    bits.into_bytes()
}

fn header(bits: &mut Bits, stream: &Stream, number: u64, frames: usize, assignment: u32) {
    let full = frames == stream.block && frames == 4096;
    bits.put(0xfff8, 16);
    bits.put(if full { 12 } else { 7 }, 4);
    bits.put(rate_code(stream.rate), 4);
    bits.put(assignment, 4);
    bits.put(if stream.bits == 16 { 4 } else { 6 }, 3);
    bits.put(0, 1);
    coded_number(bits, number);
    if !full {
        bits.put(frames as u32 - 1, 16);
    }
}

/// The frame number in the code that UTF-8 uses, up to 36 bits.
fn coded_number(bits: &mut Bits, number: u64) {
    let Some(length) = (2..=7).find(|length| number < 1 << (5 * length + 1)).filter(|_| number >= 0x80)
    else {
        return bits.put(number as u32, 8);
    };
    let lead = 0xff00_u64 >> length & 0xff;
    bits.put((lead | number >> (6 * (length - 1))) as u32, 8);
    for i in (0..length - 1).rev() {
        bits.put((0x80 | number >> (6 * i) & 0x3f) as u32, 8);
    }
}

/// 0 refers to the stream information.
fn rate_code(hz: u32) -> u32 {
    let known = [88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];
    known.iter().position(|rate| *rate == hz).map_or(0, |i| i as u32 + 1)
}

/// The channel assignment and its subframes: for stereo that pair of left, right, middle and side which leaves
/// the smallest second differences.
fn channels(bits: u32, planes: &[Vec<i32>]) -> (u32, Vec<Subframe>) {
    let [left, right] = planes else {
        let subframes = planes.iter().map(|plane| Subframe::best(plane.clone(), bits));
        return (planes.len() as u32 - 1, subframes.collect());
    };
    let pair = || left.iter().zip(right);
    let side: Vec<i32> = pair().map(|(left, right)| left - right).collect();
    let middle: Vec<i32> = pair().map(|(left, right)| (left + right) >> 1).collect();
    let [l, r, m, s] = [left, right, &middle, &side].map(|plane| roughness(plane));
    let assignment =
        [(l + r, 1), (l + s, 8), (s + r, 9), (m + s, 10)].into_iter().min().map_or(1, |(_, code)| code);
    let (left, right) = (left.clone(), right.clone());
    let (one, other) = match assignment {
        8 => (Subframe::best(left, bits), Subframe::best(side, bits + 1)),
        9 => (Subframe::best(side, bits + 1), Subframe::best(right, bits)),
        10 => (Subframe::best(middle, bits), Subframe::best(side, bits + 1)),
        _ => (Subframe::best(left, bits), Subframe::best(right, bits)),
    };
    (assignment, vec![one, other])
}

/// Sum of the magnitudes of the second differences.
fn roughness(plane: &[i32]) -> u64 {
    plane.windows(3).map(|w| u64::from((w[0] - 2 * w[1] + w[2]).unsigned_abs())).sum()
}

/// One channel of a block and the way it is coded.
struct Subframe {
    samples: Vec<i32>,
    bits: u32,
    coding: Coding,
}

enum Coding {
    Constant,
    Verbatim,
    Fixed { residual: Vec<i32>, plan: Plan },
    Fitted { predictor: Predictor, residual: Vec<i32>, plan: Plan },
}

impl Subframe {
    /// The cheapest coding of all. `bits` is the width of the samples.
    fn best(samples: Vec<i32>, bits: u32) -> Self {
        let of = |coding| Self { samples: Vec::new(), bits, coding };
        let mut best = if samples.iter().all(|sample| *sample == samples[0]) {
            of(Coding::Constant)
        } else {
            predicted(&samples, bits).map_or(of(Coding::Verbatim), of)
        };
        best.samples = samples;
        if best.size() > u64::from(bits) * best.samples.len() as u64 + 8 {
            best.coding = Coding::Verbatim;
        }
        best
    }

    /// Size in bits.
    fn size(&self) -> u64 {
        let samples = |n: usize| u64::from(self.bits) * n as u64;
        8 + match &self.coding {
            Coding::Constant => samples(1),
            Coding::Verbatim => samples(self.samples.len()),
            Coding::Fixed { residual, plan } => samples(self.samples.len() - residual.len()) + plan.bits,
            Coding::Fitted { predictor, plan, .. } => fitted_bits(predictor, self.bits) + plan.bits,
        }
    }

    fn write(&self, bits: &mut Bits) {
        let kind = match &self.coding {
            Coding::Constant => 0,
            Coding::Verbatim => 1,
            Coding::Fixed { residual, .. } => 8 + (self.samples.len() - residual.len()) as u32,
            Coding::Fitted { predictor, .. } => 31 + predictor.coefficients.len() as u32,
        };
        bits.put(kind << 1, 8);
        match &self.coding {
            Coding::Constant => self.raw(bits, 1),
            Coding::Verbatim => self.raw(bits, self.samples.len()),
            Coding::Fixed { residual, plan } => {
                let order = self.samples.len() - residual.len();
                self.raw(bits, order);
                residual::write(bits, residual, order, plan);
            }
            Coding::Fitted { predictor, residual, plan } => {
                let order = predictor.coefficients.len();
                self.raw(bits, order);
                bits.put(PRECISION - 1, 4);
                bits.put(predictor.shift, 5);
                for coefficient in &predictor.coefficients {
                    bits.put_signed(*coefficient, PRECISION);
                }
                residual::write(bits, residual, order, plan);
            }
        }
    }

    /// The first `count` samples as they are.
    fn raw(&self, bits: &mut Bits, count: usize) {
        for sample in &self.samples[..count] {
            bits.put_signed(*sample, self.bits);
        }
    }
}

/// The better of a fitted predictor and the best difference; none where no residual can be coded.
fn predicted(samples: &[i32], bits: u32) -> Option<Coding> {
    let magnitude =
        |residual: &[i32]| -> u64 { residual.iter().map(|rest| u64::from(rest.unsigned_abs())).sum() };
    let fixed = (0..=4.min(samples.len() - 1))
        .filter_map(|order| lpc::fixed(samples, order))
        .min_by_key(|residual| magnitude(residual))
        .map(|residual| {
            let plan = residual::plan(&residual, samples.len() - residual.len());
            (
                u64::from(bits) * (samples.len() - residual.len()) as u64 + plan.bits,
                Coding::Fixed { residual, plan },
            )
        });
    let fitted = lpc::fitted(samples).map(|(predictor, residual)| {
        let plan = residual::plan(&residual, predictor.coefficients.len());
        (fitted_bits(&predictor, bits) + plan.bits, Coding::Fitted { predictor, residual, plan })
    });
    fixed.into_iter().chain(fitted).min_by_key(|(size, _)| *size).map(|(_, coding)| coding)
}

/// Warm-up samples, precision, shift and coefficients.
fn fitted_bits(predictor: &Predictor, bits: u32) -> u64 {
    9 + predictor.coefficients.len() as u64 * u64::from(bits + PRECISION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_numbers_use_as_many_bytes_as_they_need() {
        for (number, wanted) in [
            (0x7f, vec![0x7f]),
            (0x80, vec![0xc2, 0x80]),
            (0x7ff, vec![0xdf, 0xbf]),
            (0x800, vec![0xe0, 0xa0, 0x80]),
            (0xf_ffff_ffff, vec![0xfe, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf]),
        ] {
            let mut bits = Bits::default();
            coded_number(&mut bits, number);
            assert_eq!(bits.bytes(), wanted, "{number:#x}");
        }
    }
}
