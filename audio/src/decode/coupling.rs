//! The order of channel coupling in Vorbis streams of more than two channels.
//!
//! Couplings are to be undone from the last to the first (Vorbis I specification, 4.3.5); symphonia 0.6.1 goes
//! the other way, which turns 5.1 into noise. Stereo has one coupling and does not care. So the list in the
//! setup header is reversed before the decoder reads it; the suite's comparison with ffmpeg fails as soon as
//! that is no longer right.

/// Length of the identification header, which stands before the setup header.
const IDENT_BYTES: usize = 30;

/// Reverses the couplings in the headers `ident ++ setup`. None, with nothing changed that matters, for headers
/// that are broken: the decoder will say so.
pub(super) fn reverse(headers: &mut [u8]) -> Option<()> {
    let channels = u32::from(*headers.get(11)?);
    let setup = headers.get_mut(IDENT_BYTES..)?;
    if setup.get(..7)? != b"\x05vorbis" {
        return None;
    }
    let mut bits = Bits { bytes: setup, at: 7 * 8 };
    repeat(&mut bits, 8, codebook)?;
    repeat(&mut bits, 6, |bits| bits.skip(16))?;
    repeat(&mut bits, 6, floor)?;
    repeat(&mut bits, 6, residue)?;
    repeat(&mut bits, 6, |bits| mapping(bits, channels))
}

/// Reads a count, one less than it is, and then that many things.
fn repeat(bits: &mut Bits<'_>, width: u32, mut thing: impl FnMut(&mut Bits<'_>) -> Option<()>) -> Option<()> {
    let count = bits.take(width)? + 1;
    (0..count).try_for_each(|_| thing(bits))
}

fn codebook(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(24)?;
    let dimensions = bits.take(16)?;
    let entries = bits.take(24)?;
    if bits.take(1)? == 1 {
        bits.skip(5)?;
        let mut known = 0;
        while known < entries {
            known += bits.take(width(entries - known))?;
        }
    } else {
        let sparse = bits.take(1)? == 1;
        for _ in 0..entries {
            if !sparse || bits.take(1)? == 1 {
                bits.skip(5)?;
            }
        }
    }
    let lookup = bits.take(4)?;
    if lookup == 0 {
        return Some(());
    }
    bits.skip(64)?;
    let value_bits = u64::from(bits.take(4)?) + 1;
    bits.skip(1)?;
    let entries = u64::from(entries);
    let values = match (lookup, dimensions) {
        (1, 0) => return None,
        (1, 1) => entries,
        (1, _) => (1..=entries + 1).find(|n| n.saturating_pow(dimensions) > entries)? - 1,
        _ => entries * u64::from(dimensions),
    };
    bits.skip(values * value_bits)
}

fn floor(bits: &mut Bits<'_>) -> Option<()> {
    if bits.take(16)? == 0 {
        bits.skip(8 + 16 + 16 + 6 + 8)?;
        return repeat(bits, 4, |bits| bits.skip(8));
    }
    let partitions = bits.take(5)?;
    let classes: Vec<u32> = (0..partitions).map(|_| bits.take(4)).collect::<Option<_>>()?;
    let count = classes.iter().max().map_or(0, |class| class + 1);
    let mut dimensions = Vec::new();
    for _ in 0..count {
        dimensions.push(u64::from(bits.take(3)?) + 1);
        let subclasses = bits.take(2)?;
        bits.skip(if subclasses > 0 { 8 } else { 0 } + (8 << subclasses))?;
    }
    bits.skip(2)?;
    let range = u64::from(bits.take(4)?);
    classes.iter().try_for_each(|class| bits.skip(range * dimensions[*class as usize]))
}

fn residue(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(16 + 24 + 24 + 24)?;
    let classes = bits.take(6)? + 1;
    bits.skip(8)?;
    let mut books = 0;
    for _ in 0..classes {
        books += bits.take(3)?.count_ones();
        if bits.take(1)? == 1 {
            books += bits.take(5)?.count_ones();
        }
    }
    bits.skip(8 * u64::from(books))
}

fn mapping(bits: &mut Bits<'_>, channels: u32) -> Option<()> {
    bits.skip(16)?;
    let submaps = if bits.take(1)? == 1 { bits.take(4)? + 1 } else { 1 };
    if bits.take(1)? == 1 {
        let steps = bits.take(8)? + 1;
        let width = 2 * width(channels.checked_sub(1)?);
        let start = bits.at;
        let pairs: Vec<u32> = (0..steps).map(|_| bits.take(width)).collect::<Option<_>>()?;
        bits.at = start;
        for pair in pairs.iter().rev() {
            bits.put(*pair, width);
        }
    }
    bits.skip(2)?;
    if submaps > 1 {
        bits.skip(4 * u64::from(channels))?;
    }
    bits.skip(24 * u64::from(submaps))
}

/// Bits that hold `value`.
fn width(value: u32) -> u32 {
    u32::BITS - value.leading_zeros()
}

/// Bits, least significant first.
struct Bits<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for i in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Some(value)
    }

    fn put(&mut self, value: u32, count: u32) {
        for i in 0..count {
            if let Some(byte) = self.bytes.get_mut(self.at / 8) {
                let mask = 1 << (self.at % 8);
                *byte = if value >> i & 1 == 1 { *byte | mask } else { *byte & !mask };
            }
            self.at += 1;
        }
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.at = self.at.checked_add(usize::try_from(count).ok()?)?;
        (self.at <= self.bytes.len() * 8).then_some(())
    }
}
